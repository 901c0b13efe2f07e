"""From store rows to what a model takes: batches of features, sparse targets.

Letters: B batch, T frames (padded), R rgb, A audio, C classes. A modality that the data lacks has
width 0, so that models need no second code path for it.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from yt8m.labels import Labels
from yt8m.settings import Inputs, Level
from yt8m.store import Dims, Store


@dataclass(frozen=True)
class Batch:
    """Features of B videos.

    Video level: rgb (B, R), audio (B, A), mask None. Frame level: rgb (B, T, R), audio (B, T, A),
    mask (B, T), true where a frame is real; padding is zero.
    """

    rgb: Tensor
    audio: Tensor
    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(self.rgb)

    @property
    def features(self) -> Tensor:
        """rgb and audio side by side: (B, R + A) or (B, T, R + A)."""
        return torch.cat([self.rgb, self.audio], dim=-1)

    def to(self, device: torch.device) -> "Batch":
        """A copy on `device`."""
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        rgb = self.rgb.to(device, non_blocking=True)
        return replace(self, rgb=rgb, audio=self.audio.to(device, non_blocking=True), mask=mask)


@dataclass(frozen=True)
class Targets:
    """Sparse targets of a batch: values (nnz,) in [0, 1] at (rows, classes); zero elsewhere.

    A (row, class) may occur twice (mixup of two videos that share it); the values then add up.
    """

    rows: Tensor
    classes: Tensor
    values: Tensor
    shape: tuple[int, int]

    def dense(self) -> Tensor:
        """(B, C) float32."""
        dense = torch.zeros(self.shape, device=self.values.device)
        return dense.index_put_((self.rows, self.classes), self.values, accumulate=True)

    def to(self, device: torch.device) -> "Targets":
        """A copy on `device`."""
        return Targets(
            self.rows.to(device), self.classes.to(device), self.values.to(device), self.shape
        )


class TargetSource(Protocol):
    """Anything that gives the targets of store rows."""

    def __call__(self, rows: np.ndarray) -> Targets: ...


@dataclass(frozen=True)
class HardTargets:
    """The labels as they stand in the records."""

    labels: Labels
    num_classes: int

    def __call__(self, rows: np.ndarray) -> Targets:
        chosen = self.labels.take(rows)
        classes = torch.from_numpy(chosen.indices.astype(np.int64))
        shape = (len(rows), self.num_classes)
        return Targets(torch.from_numpy(chosen.rows()), classes, torch.ones(len(classes)), shape)


@dataclass(frozen=True)
class Source:
    """A store as a model of one level sees it: where batches come from."""

    store: Store
    level: Level
    inputs: Inputs

    @property
    def dims(self) -> Dims:
        """Sizes of what `load` gives; a modality that is not used has width 0."""
        return self.inputs.dims(self.store.dims)

    def load(self, rows: np.ndarray, device: torch.device, training: bool = False) -> Batch:
        """Features of store rows, dequantised and normalised, on `device`.

        training: whether they may differ from call to call (torch's global random state).
        """
        if self.level == "video":
            raw = (torch.from_numpy(part).to(device) for part in self.store.video(rows))
            return prepared(self.inputs, *raw)
        rgb, audio, lengths = self.store.frames(rows)
        most = self.inputs.max_frames
        taken, kept = _strided(lengths, most), np.minimum(lengths, most)
        mask = torch.from_numpy(np.arange(kept.max()) < kept[:, None]).to(device)  # (B, T)
        return prepared(self.inputs, *(_padded(part[taken], mask) for part in (rgb, audio)), mask)


def prepared(inputs: Inputs, rgb: Tensor, audio: Tensor, mask: Tensor | None = None) -> Batch:
    """A batch as models take it, of raw features (B, R), (B, A) or (B, T, R), (B, T, A)."""
    rgb = rgb[..., :0] if inputs.modalities == "audio" else rgb.float()
    audio = audio[..., :0] if inputs.modalities == "rgb" else audio.float()
    if inputs.normalise == "l2":
        rgb, audio = l2_scaled(rgb), l2_scaled(audio)
    return Batch(rgb, audio, mask)


def l2_scaled(features: Tensor) -> Tensor:
    """Unit L2 norm over the last dimension, times the square root of its width."""
    if not features.shape[-1]:
        return features
    norm = features.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return features * (features.shape[-1] ** 0.5 / norm)


def batch_rows(rows: np.ndarray, size: int, seed: int | None = None) -> list[np.ndarray]:
    """Cuts rows into batches of nearly equal size, at most `size`; shuffled if a seed is given.

    Nearly equal, because a last batch of one video would break batch normalisation.
    """
    if seed is not None:
        rows = np.random.default_rng(seed).permutation(rows)
    return np.array_split(rows, max(1, -(-len(rows) // size)))


def _strided(lengths: np.ndarray, most: int) -> np.ndarray | slice:
    """Rows to keep of stacked frames so that no video has more than `most`, evenly spaced."""
    if (lengths <= most).all():
        return slice(None)
    starts = np.cumsum(lengths) - lengths
    picks = [
        start + np.arange(n) if n <= most else start + np.arange(most) * int(n) // most
        for start, n in zip(starts, lengths, strict=True)
    ]
    return np.concatenate(picks)


def _padded(frames: np.ndarray, mask: Tensor) -> Tensor:
    """Stacked uint8 frames (sum T, D) -> dequantised, zero-padded (B, T, D) where the mask is."""
    values = torch.from_numpy(frames).to(mask.device).float() * (4 / 255) + (4 / 512 - 2)
    padded = torch.zeros(*mask.shape, frames.shape[1], device=mask.device)
    padded[mask] = values
    return padded
