"""An export, loaded: one folder with all that predicting needs, wherever it was copied.

The folder has model.json (the networks, their inputs, class names), model.safetensors (their
weights) and model.onnx (the same as one graph: without torch, and faster on a CPU). What is loaded
is compared with its line in SHA256SUMS. The inputs: batches.py.

N videos, T frames, W width of a kind of features, C classes.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from distill.export.batches import of_store
from distill.export.graph import BEST, LOGITS, session_of
from first_level.bundle.manifest import read_manifest
from first_level.bundle.sums import check_sums
from yt8m.base import processor
from yt8m.base.arrays import blocks
from yt8m.base.cli import InputError
from yt8m.base.paths import EXPORT_GRAPH, EXPORT_MANIFEST
from yt8m.data.predictions import TOP_K
from yt8m.data.store import Features, Videos
from yt8m.records.values import UNFIT, find_unfit

TOGETHER = 512  # videos of a batch

if TYPE_CHECKING:
    from first_level.bundle.network import Network


class Exported:
    """The student of an export folder. InputError when the folder is not one.

    runtime: "torch" (safetensors), "onnx" (the graph, by onnxruntime) or "auto": the graph if the
    folder has one, for it is faster on a CPU. threads: None leaves torch's as they are.
    """

    def __init__(
        self,
        folder: Path,
        runtime: Literal["auto", "torch", "onnx"] = "auto",
        threads: int | None = None,
    ):
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        if runtime == "auto":
            has_graph = (self.folder / EXPORT_GRAPH).is_file() or not find_spec("torch")
            runtime = "onnx" if has_graph else "torch"
        kind = Torch if runtime == "torch" else Onnx
        self.student = kind(self.folder, self.manifest, threads)

    @property
    def network(self) -> "Network":
        """The torch module; only with the runtime "torch"."""
        return self.student.network

    def logits(self, features: Features, lengths=None) -> np.ndarray:
        """The models' mean logits, before any re-ranking: float32 (N, C).

        Raw features (N, W) by kind. An export of frames takes (N, T, W) of the kinds that have
        frames, and lengths (N,) unless all frames are real. InputError when a kind is absent or
        unknown.
        """
        (logits,), faults = self._run([LOGITS], features, lengths)
        self._refuse(faults)
        return logits

    def top(self, features: Features, k: int = TOP_K, lengths=None):
        """(classes int64 (N, k), scores float64 (N, k)) of the k best classes, best first.

        features, lengths: as for `logits`, such as {"rgb": rgb, "audio": audio}. k is 20 at most.
        float64 keeps scores near 1 apart. InputError also for features that no stage takes.
        """
        classes, scores, faults = self.judge(features, k, lengths)
        self._refuse(faults)
        return classes, scores

    def judge(self, features: Features, k: int = TOP_K, lengths=None):
        """As `top`, and what is wrong with videos, by row; their classes and scores say nothing.

        Wrong is a feature that training would not take either, or a logit that is not finite.
        """
        (classes, best, _), faults = self._run([*BEST, LOGITS], features, lengths)
        with np.errstate(over="ignore"):  # of a faulty video
            scores = 1 / (1 + np.exp(-best[:, :k].astype(np.float64)))
        return classes[:, :k], scores, faults

    def _run(self, outputs: list[str], features: Features, lengths):
        """Some outputs of the graph, LOGITS the last; and what is wrong with videos, by row."""
        ready, lengths = self._prepare(features, lengths)
        faults: dict[int, str] = {}
        for name, values in ready.items():
            unfit = np.flatnonzero(find_unfit(values)).tolist()
            faults = dict.fromkeys(unfit, f"{name} {UNFIT}") | faults
            if unfit:  # lest it spoils what the others have in common
                ready[name] = values.copy()
                ready[name][unfit] = 0
        found = self.student.run(outputs, ready, lengths)
        for part in found:  # the best ones may come from a re-ranker
            overflows = np.flatnonzero(~np.isfinite(part).all(1)).tolist()
            faults = dict.fromkeys(overflows, "its logits are not finite") | faults
        return found, faults

    def _refuse(self, faults: dict[int, str]) -> None:
        for row in sorted(faults)[:1]:
            raise InputError(
                f"{self.folder}: video {row} of the batch: {faults[row]}; leave it out"
            )

    def _prepare(self, features: Features, lengths) -> tuple[Features, np.ndarray | None]:
        """Features as float32 in the export's order, and the lengths if it takes frames."""
        dims = self.manifest.dims
        if features.keys() != dims.features.keys():
            names = ", ".join(features) or "none"
            raise InputError(f"{self.folder}: takes the features {dims.sizes}, not {names}")
        for name, width in dims.features.items():
            self._check(name, features[name], width)
        with np.errstate(over="ignore"):  # to infinity, which is refused
            ordered = {n: np.ascontiguousarray(features[n], np.float32) for n in dims.features}
        framed = [name for name in ordered if dims.max_frames and name not in dims.frameless]
        return ordered, self._lengths(framed[0], ordered[framed[0]], lengths) if framed else None

    def _check(self, name: str, values: np.ndarray, expected: int) -> None:
        dims = self.manifest.dims
        framed = dims.max_frames and name not in dims.frameless
        if values.ndim != (3 if framed else 2):
            shape = f"(N, T, {expected})" if framed else f"(N, {expected})"
            raise InputError(f"{self.folder}: takes {name} of shape {shape}, not {values.shape}")
        if values.shape[-1] != expected:
            text = f"takes {name} of {expected} values, not {values.shape[-1]}"
            raise InputError(f"{self.folder}: {text}")

    def _lengths(self, name: str, frames: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """int64 (N,). InputError unless each is 1 to T, and the networks take T frames."""
        longest, most = frames.shape[1], self.manifest.frames
        lengths = np.full(len(frames), longest) if lengths is None else np.asarray(lengths)
        fits = lengths.shape == (len(frames),) and ((lengths >= 1) & (lengths <= longest)).all()
        if longest > most or not fits:
            raise InputError(
                f"{self.folder}: takes 1 to {most} frames of a video and a length of each; {name} "
                f"is {frames.shape}, lengths are {lengths.shape}, the largest "
                f"{lengths.max(initial=0)}"
            )
        return lengths.astype(np.int64)


def best_of(exported: Exported, data: Videos, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best classes of store rows, best first: classes int64 and scores float64, (n, k) each.

    k is 20, or as many as the export gives.
    """
    if not len(rows):
        keep = min(TOP_K, data.dims.classes)
        return np.zeros((0, keep), np.int64), np.zeros((0, keep))
    parts = [
        exported.top(batch.features, TOP_K, batch.lengths)
        for part in blocks(len(rows), TOGETHER)
        for batch in of_store(data, rows[part], exported.manifest.dims)
    ]
    classes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return classes, scores


class Torch:
    """The student by torch."""

    def __init__(self, folder: Path, manifest, threads: int | None):
        import torch

        from first_level.bundle.network import load_network

        if threads:
            processor.set_threads(threads)
        self.network = load_network(folder, manifest)
        self.torch = torch

    def run(self, outputs: list[str], features: Features, lengths: np.ndarray | None):
        """Some outputs of the graph, by their names."""
        with self.torch.inference_mode():
            tensors = {name: self.torch.from_numpy(x) for name, x in features.items()}
            lengths = None if lengths is None else self.torch.from_numpy(lengths)
            found = self.network.best(tensors, lengths)
        named = dict(zip([*BEST, LOGITS], found, strict=True))
        return [named[name].numpy() for name in outputs]


class Onnx:
    """The student by onnxruntime. InputError when the folder has no graph, or another's."""

    def __init__(self, folder: Path, manifest, threads: int | None):
        if not (folder / EXPORT_GRAPH).is_file():
            raise InputError(
                f"{folder}: no {EXPORT_GRAPH}, and torch is not installed; export without "
                "--no-onnx, or install torch"
            )
        check_sums(folder, EXPORT_GRAPH)
        self.session = session_of(folder / EXPORT_GRAPH, threads)
        shapes = {output.name: output.shape for output in self.session.get_outputs()}
        classes = shapes[LOGITS][-1] if LOGITS in shapes else 0
        if classes != manifest.classes:
            raise InputError(
                f"{folder / EXPORT_GRAPH}: gives {classes} classes, but {EXPORT_MANIFEST} has "
                f"{manifest.classes}; export again"
            )

    def run(self, outputs: list[str], features: Features, lengths: np.ndarray | None):
        """Some outputs of the graph, by their names."""
        feed = features if lengths is None else features | {"lengths": lengths}
        return self.session.run(outputs, feed)
