"""Frames of several videos, stacked one after the other, and where each video's begin.

B videos, S frames of all of them, T frames of the longest, W width of a kind of features.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from yt8m.data.store import Videos
from yt8m.inputs.settings import Inputs
from yt8m.records.values import LOWEST, QUANTUM

SCALE, SHIFT = float(QUANTUM), float(LOWEST)  # of stored bytes, as records.video.dequantise


@dataclass(frozen=True)
class ByKind:
    """Features of each kind, by its name: (..., W)."""

    features: dict[str, Tensor]

    @property
    def joined(self) -> Tensor:
        """All kinds side by side: (..., sum of W)."""
        return torch.cat(list(self.features.values()), dim=-1)

    @property
    def device(self) -> torch.device:
        """Where the features are."""
        return next(iter(self.features.values())).device


@dataclass(frozen=True)
class Frames(ByKind):
    """features: (S, W) of each kind, uint8 as stored or float; lengths: int64 (B,), on the CPU."""

    lengths: Tensor

    @classmethod
    def read(cls, store: Videos, rows: np.ndarray, inputs: Inputs) -> "Frames":
        """The bytes of store rows without the frames that `skip_frames` leaves out."""
        rows, names = np.asarray(rows), inputs.kinds(store.dims, "frame")
        if inputs.skip_frames:
            counts = kept_of(store.num_frames[rows], inputs)
            features = store.spans(rows, store.num_frames[rows] - counts, counts, names)
        else:
            features, counts = store.frames(rows, names)
        tensors = {name: torch.from_numpy(part) for name, part in features.items()}
        return cls(tensors, torch.from_numpy(counts.astype(np.int64)))

    def __len__(self) -> int:
        """S."""
        return int(self.lengths.sum())

    def on(self, device: torch.device) -> "Frames":
        """Dequantised float32, on `device`."""
        return self.map(lambda part: _dequantise(part.to(device)))

    def take(self, index: Tensor, lengths: Tensor) -> "Frames":
        """The frames `index` (S',) of the stack, now `lengths` of each video."""
        index = index.to(self.device)
        return self.map(lambda part: part.index_select(0, index), lengths)

    def map(self, function: Callable[[Tensor], Tensor], lengths: Tensor | None = None) -> "Frames":
        """`function` of each kind's (S, W). lengths: of the results, where they differ."""
        features = {name: function(part) for name, part in self.features.items()}
        return Frames(features, self.lengths if lengths is None else lengths)

    def pad(self) -> tuple[dict[str, Tensor], Tensor]:
        """(B, T, W) of each kind, zero where the mask (B, T) is false."""
        mask = torch.arange(int(self.lengths.max())) < self.lengths[:, None]
        place = mask.view(-1).nonzero()[:, 0].to(self.device)

        def spread(part: Tensor) -> Tensor:
            out = part.new_zeros(mask.numel(), part.shape[1]).index_copy_(0, place, part)
            return out.view(*mask.shape, part.shape[1])

        return self.map(spread).features, mask.to(self.device)


@dataclass(frozen=True)
class Runs:
    """Where each of a store's videos is in arrays of all their frames: int64 (N,) each."""

    begin: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, store: Videos, inputs: Inputs) -> "Runs":
        """The frames that `skip_frames` leaves, of one video after the other."""
        lengths = kept_of(store.num_frames, inputs).astype(np.int64)
        return cls(lengths.cumsum() - lengths, lengths)

    @property
    def total(self) -> int:
        """S, of the whole store."""
        return int(self.lengths.sum())

    def find(self, rows: np.ndarray) -> tuple[np.ndarray, Tensor]:
        """(the places (S,) of the frames of `rows`, their lengths (B,))."""
        lengths = torch.from_numpy(self.lengths[rows])
        begin = torch.from_numpy(self.begin[rows]).repeat_interleave(lengths)
        return (begin + place_of(lengths)).numpy(), lengths


@dataclass(frozen=True)
class StoredFrames:
    """Frames of a whole store after their dynamics: float16 (S, W) of each kind."""

    features: dict[str, np.ndarray]
    runs: Runs

    def read(self, rows: np.ndarray) -> Frames:
        places, lengths = self.runs.find(rows)
        features = {name: torch.from_numpy(part[places]) for name, part in self.features.items()}
        return Frames(features, lengths)


def kept_of(num_frames: np.ndarray, inputs: Inputs) -> np.ndarray:
    """Frames left of videos with `num_frames`: without the first ones, but the last one stays."""
    return np.maximum(num_frames - inputs.skip_frames, np.minimum(num_frames, 1))


def starts(lengths: Tensor) -> Tensor:
    """Where each video begins in the stack: (B,)."""
    return lengths.cumsum(0) - lengths


def video_of(lengths: Tensor) -> Tensor:
    """The video of each frame of the stack: (S,)."""
    return torch.repeat_interleave(lengths)


def place_of(lengths: Tensor) -> Tensor:
    """The place of each frame in its video: (S,)."""
    return torch.arange(int(lengths.sum())) - torch.repeat_interleave(starts(lengths), lengths)


def sums(values: Tensor, lengths: Tensor) -> Tensor:
    """The sum of each video's frames: (S, D) -> (B, D)."""
    out = values.new_zeros(len(lengths), values.shape[1])
    return out.index_add_(0, video_of(lengths).to(values.device), values)


def _dequantise(part: Tensor) -> Tensor:
    return part.float().mul_(SCALE).add_(SHIFT) if part.dtype == torch.uint8 else part.float()
