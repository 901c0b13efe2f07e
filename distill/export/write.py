"""Students -> one folder that predicts anywhere: safetensors, JSON and ONNX, within a budget.

    python -m distill.export.write DISTILL CONFIG.json STORE OUT --budget-mb 1000 --plan small

DISTILL holds the folders of the stage's jobs; CONFIG's `export` says which student is exported. The
folder is checked against the trained float32 weights on real videos, then renamed into place:
complete or absent.
"""

import shutil
import string
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from distill.config import DistillConfig, member_of
from distill.export import given
from distill.export.reranker import FILES as RERANKER
from distill.export.run import Exported
from distill.job import revision
from distill.refittable import check_inputs, check_refittable
from first_level.bundle.manifest import (
    FORMAT,
    GRAPH,
    MANIFEST,
    README,
    WEIGHTS,
    ExportedKind,
    Manifest,
    Member,
)
from first_level.bundle.network import Network, build_network
from first_level.bundle.rounding import DTYPES, rounded_state
from first_level.config import ModelConfig
from yt8m.base import cli, processor
from yt8m.base.cli import InputError, log
from yt8m.base.config import canonical, read_snapshot
from yt8m.base.files import working_in, writing
from yt8m.data.predictions import TOP_K
from yt8m.data.splits import NUM_FOLDS
from yt8m.data.store import Dims, Store
from yt8m.networks.student import num_values
from yt8m.training.weights import load_weights

FILES = {WEIGHTS, GRAPH, MANIFEST, README, *RERANKER}
FOR_RECEIVERS = Path(__file__).with_name("receivers.md")
SAMPLE = 256  # videos of the parity check
# Largest difference of a score, and share of equal top-20 classes, that rounding may cost.
TOLERANCE = {"float32": 0.02, "float16": 0.02, "int8": 0.1}
SAME_TOP = {"float32": 0.95, "float16": 0.95, "int8": 0.9}


def main(
    distill: Path,
    config: Path,
    store: Path,
    out: Path,
    *,
    budget_mb: float = 1000.0,
    dtype: str = "",
    name: str = "",
    plan: str = "custom",
    onnx: bool = True,
    threads: int = 1,
) -> None:
    """Exports the student(s) that CONFIG's `export` (or --name: student, resnet, both) names.

    With refitted models in CONFIG, "student" is the re-ranked one. --dtype: of the weights, instead
    of CONFIG's.
    """
    processor.set_threads(threads)
    settings, data = read_snapshot(config, DistillConfig), Store(store)
    dtype = dtype or settings.dtype
    if dtype not in DTYPES:
        raise InputError(f"--dtype {dtype}: not supported; allowed: {', '.join(DTYPES)}")
    if out.is_file() or (out.is_dir() and {p.name for p in out.iterdir()} - FILES):
        raise InputError(f"{out}: already exists and is not an export; choose another folder")
    network, manifest = trained(distill, name or settings.export, settings, data, dtype, plan)
    sample = ParitySample.of(network, data, manifest.dims)
    with working_in(out.parent), writing(out) as folder:
        folder.mkdir()
        save_file(rounded_state(network, dtype), folder / WEIGHTS)
        del network  # each copy in float32 that is no longer needed makes room for the next
        (folder / WEIGHTS).chmod(0o644)  # safetensors writes for its owner alone
        (folder / MANIFEST).write_text(canonical(manifest))
        (folder / README).write_text(readme(manifest))
        for file in RERANKER if manifest.reranked else ():
            shutil.copyfile(_there(distill / "reranker" / file), folder / file)
        _check_budget(folder, budget_mb, out, twice=onnx)
        parity = check_parity(sample, folder, onnx, dtype, threads)
        size = _check_budget(folder, budget_mb, out)
    log(f"[export] {out}: {manifest.values:,} values, {size:,.1f} of {budget_mb:,.0f} MB; {parity}")


def trained(
    distill: Path, chosen: str, settings: DistillConfig, data: Store, dtype: str, plan: str
) -> tuple[Network, Manifest]:
    """The chosen students with their trained float32 weights, and what describes them."""
    parts = parts_of(distill, chosen, settings)
    members = [member for member, _ in parts]
    reranked = any(member.kind == "refit" for member in members)
    dims = data.dims  # the norms of all kinds are columns of a re-ranker
    if not reranked:
        kinds = settings.inputs.kinds(dims, "video")
        dims = replace(dims, features={name: dims.features[name] for name in kinds})
    network = build_network(members, settings.inputs, dims)
    by_frame = any(network.by_frame)
    for model, (_, folder) in zip(network.members, parts, strict=True):
        load_weights(model, _there(folder / "weights.safetensors"))
    manifest = Manifest(
        format=FORMAT,
        plan=plan,
        revision=revision(),
        features=[
            ExportedKind(name=name, width=width, frames=by_frame and name not in dims.frameless)
            for name, width in dims.features.items()
        ],
        classes=dims.classes,
        class_names=list(data.class_names),
        inputs=settings.inputs,
        members=members,
        dtype=dtype,
        values=num_values(network),
        frames=settings.inputs.dims(dims, "frame").max_frames if by_frame else 0,
        reranked=reranked,
    )
    return network, manifest


def parts_of(distill: Path, chosen: str, settings: DistillConfig) -> list[tuple[Member, Path]]:
    """What the chosen student(s) are made of, and the folders of their weights."""
    if chosen not in ("student", "resnet", "both"):
        raise InputError(f"--name {chosen}: not a student; allowed: student, resnet, both")
    if chosen == "both" and settings.refit.models:
        raise InputError("--name both: a re-ranked student is no mean; allowed: student, resnet")
    if chosen == "student" and settings.refit.models:
        return [
            (refitted(distill, name, settings), folder)
            for name in settings.refit.models
            for folder in versions(distill, name, settings)
        ]
    kinds = ("student", "resnet") if chosen == "both" else (chosen,)
    return [(member_of(kind, settings), distill / kind) for kind in kinds]


def versions(distill: Path, name: str, settings: DistillConfig) -> list[Path]:
    """The folders of a model's weights: of its copies, or of its fold models."""
    if name in settings.refit.folds:
        return [distill.parent / "first_level" / name / f"fold{k}" for k in range(NUM_FOLDS)]
    return [distill / "refit" / name / f"copy{copy}" for copy in range(settings.refit.copies)]


def refitted(distill: Path, name: str, settings: DistillConfig) -> Member:
    """A refitted model, or one of its fold models, as its own snapshot describes it."""
    where = distill.parent / "first_level" / name / "config.json"
    model = read_snapshot(_there(where), ModelConfig)
    if name in settings.refit.folds:
        check_inputs(model, where)
    else:
        check_refittable(model, where)
    return Member(kind="refit", name=name, refit=model)


def _there(path: Path) -> Path:
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `make distill`")
    return path


def readme(manifest: Manifest) -> str:
    """What the folder's receiver is told: receivers.md with this export's numbers."""
    last = (
        "`reranker.onnx` orders each video's best classes anew; its features are made by "
        "`distill/export/reranker.py`"
    )
    return string.Template(FOR_RECEIVERS.read_text()).substitute(
        manifest.model_dump(mode="json", include={"plan", "classes", "dtype"}),
        **given.for_receivers(manifest.dims),
        revision=manifest.revision or "unknown",
        values=f"{manifest.values:,}",
        networks=len(manifest.members),
        last=last if manifest.reranked else "The score of a class is the sigmoid of its logit",
    )


@dataclass(frozen=True)
class ParitySample:
    """Some real videos, as an export takes them, and what the trained network says of them."""

    batches: list[given.Given]
    logits: torch.Tensor  # (SAMPLE, C)

    @classmethod
    def of(cls, network: Network, data: Store, dims: Dims) -> "ParitySample":
        """SAMPLE videos of the store, evenly spread."""
        rows = np.unique(np.linspace(0, len(data.ids) - 1, SAMPLE).astype(np.int64))
        batches = list(given.of_store(data, rows, dims))
        with torch.inference_mode():
            found = torch.cat([network(*_tensors(batch)) for batch in batches])
        return cls(batches, found)

    def compare(self, exported: Exported, name: str, dtype: str) -> str:
        """How far a form of the export is from the network. AssertionError over tolerance."""
        parts = [exported.logits(batch.features, batch.lengths) for batch in self.batches]
        return _compare(self.logits, np.concatenate(parts), name, dtype)


def _tensors(batch: given.Given) -> tuple[dict[str, torch.Tensor], torch.Tensor | None]:
    features = {name: torch.from_numpy(values) for name, values in batch.features.items()}
    return features, None if batch.lengths is None else torch.from_numpy(batch.lengths)


def check_parity(sample: ParitySample, folder: Path, onnx: bool, dtype: str, threads: int) -> str:
    """Compares the folder's forms with the trained network; writes the ONNX form.

    AssertionError over tolerance: the export is then wrong, whatever its user did.
    """
    exported = Exported(folder, "torch")
    texts = [sample.compare(exported, WEIGHTS, dtype)]
    if onnx:
        from distill.export.onnx_graph import write_onnx  # its imports take seconds

        write_onnx(exported.network, exported.manifest.dims, folder / GRAPH, dtype)
        del exported
        texts.append(sample.compare(Exported(folder, "onnx", threads), GRAPH, dtype))
    return "; ".join(texts)


def _compare(truth: torch.Tensor, other: np.ndarray, name: str, dtype: str) -> str:
    found = torch.from_numpy(other)
    difference = float((truth.sigmoid() - found.sigmoid()).abs().max())
    k = min(TOP_K, truth.shape[1])
    marks = [torch.zeros_like(truth).scatter_(1, x.topk(k).indices, 1) for x in (truth, found)]
    same = float((marks[0] * marks[1]).sum() / marks[0].sum())
    text = f"{name}: scores within {difference:.1e}, {same:.2%} of the top {TOP_K} equal"
    if not (difference <= TOLERANCE[dtype] and same >= SAME_TOP[dtype]):
        raise AssertionError(f"{text}; allowed: {TOLERANCE[dtype]:g} and {SAME_TOP[dtype]:.0%}")
    return text


def _check_budget(folder: Path, budget_mb: float, out: Path, twice: bool = False) -> float:
    """Size of the folder in MB (10^6 bytes); `twice`: with an ONNX form to come of equal size."""
    size = sum(path.stat().st_size for path in folder.iterdir()) * (2 if twice else 1) / 1e6
    if size > budget_mb:
        raise InputError(
            f"{out}: the export takes {size:,.1f} MB, over the budget of {budget_mb:,.1f} MB; "
            "raise BUDGET_MB (--budget-mb), say DTYPE=int8 (--dtype), leave ONNX out (--no-onnx), "
            "or lower `scale` in distill/configs and run `make distill export`"
        )
    return size


if __name__ == "__main__":
    cli.run(main)
