"""An export, loaded: one folder with all that predicting needs, wherever it was copied.

model.json (what the networks are, their inputs, class names), model.safetensors (their weights),
model.onnx (the same as a graph, which needs no torch and is faster on a CPU); of a re-ranked
student also the files of reranker.py. What it takes, frames or a mean: given.py.
Letters: N videos, T frames, m models, R rgb, A audio, C classes.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.special import expit

from distill.export.given import Given, means
from distill.export.reranker import Reranker, best
from first_level.bundle.manifest import GRAPH, MANIFEST, read_manifest
from yt8m.base import processor
from yt8m.base.cli import InputError

if TYPE_CHECKING:
    from first_level.bundle.network import Network


class Exported:
    """The networks of an export folder, in float32. InputError when the folder is not one.

    runtime: "torch" (safetensors), "onnx" (the graph, by onnxruntime), "auto": the graph where
    there is one, which is as accurate on a CPU and faster, in 8 bits more than twice. threads: None
    leaves torch's as they are.
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
            has_graph = (self.folder / GRAPH).is_file() or not find_spec("torch")
            runtime = "onnx" if has_graph else "torch"
        given = Torch if runtime == "torch" else Onnx
        self.networks = given(self.folder, self.manifest, threads)
        self.reranker = Reranker(self.folder, threads) if self.manifest.reranked else None

    @property
    def network(self) -> "Network":
        """The torch module; only with the runtime "torch"."""
        return self.networks.network

    def of_models(self, rgb: np.ndarray, audio: np.ndarray, lengths=None) -> np.ndarray:
        """Raw features (N, R) and (N, A) -> logits of each model: float32 (m, N, C).

        Of an export that takes frames: (N, T, R) and (N, T, A), and lengths (N,) where not all
        frames are real.
        """
        self._check("rgb", rgb, self.manifest.rgb)
        self._check("audio", audio, self.manifest.audio)
        given = {"rgb": np.ascontiguousarray(rgb, np.float32)}
        given["audio"] = np.ascontiguousarray(audio, np.float32)
        if self.manifest.frames:
            given["lengths"] = self._lengths(rgb, lengths)
        return self.networks(given)

    def logits(self, rgb: np.ndarray, audio: np.ndarray, lengths=None) -> np.ndarray:
        """The models' mean logits, before any re-ranking: float32 (N, C)."""
        return self.of_models(rgb, audio, lengths).mean(0)

    def top(self, rgb: np.ndarray, audio: np.ndarray, k: int = 20, lengths=None):
        """(classes int64 (N, k), scores float64 (N, k)) of the k best classes, best first.

        In float64 scores near 1 stay apart. A re-ranked student gives no more classes than it has
        candidates for a video.
        """
        models = self.of_models(rgb, audio, lengths)
        if self.reranker is None:
            classes, logits = best(models.mean(0), k)
        else:
            video = (rgb, audio)
            if self.manifest.frames:
                video = (means(part, self._lengths(rgb, lengths)) for part in video)
            classes, logits = (x[:, :k] for x in self.reranker.top(models, *video))
        return classes.astype(np.int64), expit(logits.astype(np.float64))

    def _check(self, name: str, features: np.ndarray, expected: int) -> None:
        axes = 3 if self.manifest.frames else 2
        if features.ndim != axes:
            shape = f"(N, T, {expected})" if self.manifest.frames else f"(N, {expected})"
            raise InputError(f"{self.folder}: takes {name} of shape {shape}, not {features.shape}")
        if features.shape[-1] != expected:
            text = f"takes {name} of {expected} values, not {features.shape[-1]}"
            raise InputError(f"{self.folder}: {text}")

    def _lengths(self, rgb: np.ndarray, lengths: np.ndarray | None) -> np.ndarray:
        """int64 (N,). InputError unless each is 1 to T, and T one that the networks take."""
        there, most = rgb.shape[1], self.manifest.frames
        lengths = np.full(len(rgb), there) if lengths is None else np.asarray(lengths)
        fits = lengths.shape == (len(rgb),) and ((lengths >= 1) & (lengths <= there)).all()
        if there > most or not fits:
            raise InputError(
                f"{self.folder}: takes 1 to {most} frames of a video and a length of each; rgb is "
                f"{rgb.shape}, lengths are {lengths.shape}, the largest {lengths.max(initial=0)}"
            )
        return lengths.astype(np.int64)


class Torch:
    """The networks by torch: raw features, float32 (and lengths) -> (m, N, C)."""

    def __init__(self, folder: Path, manifest, threads: int | None):
        import torch

        from first_level.bundle.network import load_network

        if threads:
            processor.set_threads(threads)
        self.network = load_network(folder, manifest)
        self.torch = torch

    def __call__(self, given: Given) -> np.ndarray:
        with self.torch.inference_mode():
            tensors = {name: self.torch.from_numpy(x) for name, x in given.items()}
            return self.torch.stack(self.network.of_models(**tensors)).numpy()


class Onnx:
    """The networks by onnxruntime. InputError without a graph in the folder, or with another's."""

    def __init__(self, folder: Path, manifest, threads: int | None):
        from distill.export.graph import session_of

        if not (folder / GRAPH).is_file():
            raise InputError(
                f"{folder}: no {GRAPH}, which is needed where torch is not installed; export "
                "without --no-onnx, or install torch"
            )
        self.session = session_of(folder / GRAPH, threads)
        classes = self.session.get_outputs()[-1].shape[-1]
        if classes != manifest.classes:
            raise InputError(
                f"{folder / GRAPH}: gives {classes} classes and {MANIFEST} says "
                f"{manifest.classes}; export again"
            )

    def __call__(self, given: Given) -> np.ndarray:
        feed = {node.name: given[node.name] for node in self.session.get_inputs()}
        *_, last = self.session.get_outputs()
        found = self.session.run([last.name], feed)[0]
        return found if last.name == "models" else found[None]
