"""Whether an export computes what the trained network does, on real videos."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from distill.export.batches import VideoBatch, of_store
from distill.export.run import Exported
from distill.export.steps import Steps, Top, size_mb
from first_level.bundle.manifest import Manifest
from first_level.bundle.network import Network
from first_level.bundle.rounding import rounded_state
from first_level.bundle.sums import state_sums
from yt8m.base.paths import EXPORT_GRAPH, EXPORT_WEIGHTS
from yt8m.data.predictions import TOP_K
from yt8m.data.store import Dims, Store
from yt8m.networks.student import num_values

SAMPLE = 256  # videos of the parity check
# Largest difference of a score, and share of equal top-20 classes, that rounding may cost.
TOLERANCE = {"float32": 0.02, "float16": 0.02, "int8": 0.2}
SAME_TOP = {"float32": 0.95, "float16": 0.95, "int8": 0.9}


@dataclass(frozen=True)
class ParitySample:
    """Some real videos, as an export takes them, and what the trained network says of them."""

    batches: list[VideoBatch]
    logits: torch.Tensor  # (SAMPLE, C), before any re-ranking
    classes: torch.Tensor  # (SAMPLE, 20), the best

    @classmethod
    def of(cls, network: Network, data: Store, dims: Dims) -> "ParitySample":
        """SAMPLE videos of the store, evenly spread."""
        rows = np.unique(np.linspace(0, len(data.ids) - 1, SAMPLE).astype(np.int64))
        batches = list(of_store(data, rows, dims))
        with torch.inference_mode():
            found = [network.best(*_tensors(batch)) for batch in batches]
        classes, _, logits = (torch.cat(parts) for parts in zip(*found, strict=True))
        return cls(batches, logits, classes)

    def compare(self, exported: Exported, name: str, dtype: str) -> str:
        """How far a form of the export is from the network. AssertionError over tolerance."""
        parts = [exported.logits(batch.features, batch.lengths) for batch in self.batches]
        both = self.logits, torch.from_numpy(np.concatenate(parts))
        scores = [logits.sigmoid() for logits in both]
        difference = float((scores[0] - scores[1]).abs().max())
        found = [exported.top(batch.features, TOP_K, batch.lengths)[0] for batch in self.batches]
        best = self.classes, torch.from_numpy(np.concatenate(found))
        same = float((best[0][:, :, None] == best[1][:, None]).float().sum() / best[0].numel())
        text = f"{name}: scores within {difference:.1e}, {same:.2%} of the top {TOP_K} equal"
        if not (difference <= TOLERANCE[dtype] and same >= SAME_TOP[dtype]):
            allowed = f"{TOLERANCE[dtype]:g} and {SAME_TOP[dtype]:.0%}"
            raise AssertionError(f"{text}; allowed: {allowed}")
        return text


def _tensors(batch: VideoBatch) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    features = {name: torch.from_numpy(values) for name, values in batch.features.items()}
    return features, None if batch.lengths is None else torch.from_numpy(batch.lengths)


def graph_about(manifest: Manifest) -> dict[str, str]:
    """The metadata of the graph: what a receiver of model.onnx alone needs to know."""
    return {
        "plan": manifest.plan,
        "class_names": json.dumps(manifest.class_names),
        "threshold": json.dumps(manifest.threshold),
        "thresholds": json.dumps(manifest.thresholds),
        "expected": manifest.expected.model_dump_json() if manifest.expected else "",
        "inputs": json.dumps([kind.model_dump() for kind in manifest.features]),
    }


def judge_network(steps: Steps, network: Network, dtype: str) -> None:
    """Scores a trained network, then the same rounded to float16 if that is on the way to `dtype`.

    The network then holds the rounded values.
    """

    def top(batch: VideoBatch):
        with torch.inference_mode():
            return [part.numpy() for part in network.best(*_tensors(batch))[:2]]

    values = num_values(network)
    steps.judge("float32", top, values * 4 / 1e6)
    if dtype != "float32":
        state = network.state_dict()
        network.load_state_dict({n: v.to(x.dtype) for n, v, x in _values(network, state)})
        steps.judge("float16", top, values * 2 / 1e6)


def _values(network: Network, state: dict[str, torch.Tensor]):
    """(name, value as float16 stores it, value before), of all values."""
    stored = rounded_state(network, "float16")
    return [(name, stored.get(name, value), value) for name, value in state.items()]


def check_parity(
    sample: ParitySample, steps: Steps, folder: Path, onnx: bool, dtype: str, threads: int
) -> str:
    """Compares the folder's forms with the trained network, and scores them; writes the ONNX form.

    AssertionError over tolerance: the export is then wrong, whatever its user did.
    """
    state_sums(folder)
    exported = Exported(folder, "torch")
    texts = [sample.compare(exported, EXPORT_WEIGHTS, dtype)]
    if dtype == "int8":
        steps.judge(dtype, by_export(exported), size_mb(folder / EXPORT_WEIGHTS))
    if onnx:
        from distill.export.onnx_graph import write_onnx  # its imports take seconds

        graph, about = folder / EXPORT_GRAPH, graph_about(exported.manifest)
        write_onnx(exported.network, exported.manifest.dims, graph, dtype, about)
        del exported
        state_sums(folder)
        by_graph = Exported(folder, "onnx", threads)
        texts.append(sample.compare(by_graph, EXPORT_GRAPH, dtype))
        steps.judge(f"graph ({dtype})", by_export(by_graph), size_mb(graph))
    return "; ".join(texts)


def by_export(exported: Exported) -> Top:
    """What an export says of a batch."""
    return lambda batch: exported.top(batch.features, TOP_K, batch.lengths)
