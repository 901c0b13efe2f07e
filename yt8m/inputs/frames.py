"""Frames of several videos, stacked one after the other, and where each video's begin.

Letters: B videos, S frames of all of them, T frames of the longest, D features of a modality.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from yt8m.data.store import Store
from yt8m.inputs.settings import Inputs

SCALE, SHIFT = 4 / 255, 4 / 512 - 2  # of stored bytes (records.dequantise)


@dataclass(frozen=True)
class Frames:
    """rgb (S, R) and audio (S, A), uint8 as stored or float; lengths int64 (B,), on the CPU."""

    rgb: Tensor
    audio: Tensor
    lengths: Tensor

    @classmethod
    def read(cls, store: Store, rows: np.ndarray, inputs: Inputs) -> "Frames":
        """The bytes of store rows without the frames that `skip_frames` leaves out."""
        rows = np.asarray(rows)
        if inputs.skip_frames:
            counts = kept_of(store.num_frames[rows], inputs)
            rgb, audio = store.spans(rows, store.num_frames[rows] - counts, counts)
        else:
            rgb, audio, counts = store.frames(rows)
        rgb = rgb[:, :0] if inputs.modalities == "audio" else rgb
        audio = audio[:, :0] if inputs.modalities == "rgb" else audio
        lengths = torch.from_numpy(counts.astype(np.int64))
        return cls(torch.from_numpy(rgb), torch.from_numpy(audio), lengths)

    @property
    def joined(self) -> Tensor:
        """rgb and audio side by side: (S, R + A)."""
        return torch.cat([self.rgb, self.audio], 1)

    def on(self, device: torch.device) -> "Frames":
        """Dequantised float32, on `device`."""
        return Frames(*(_dequantised(p.to(device)) for p in (self.rgb, self.audio)), self.lengths)

    def take(self, index: Tensor, lengths: Tensor) -> "Frames":
        """The frames `index` (S',) of the stack, now `lengths` of each video."""
        index = index.to(self.rgb.device)
        return Frames(self.rgb.index_select(0, index), self.audio.index_select(0, index), lengths)

    def map(self, function) -> "Frames":
        """`function` of each modality's (S, D)."""
        return Frames(function(self.rgb), function(self.audio), self.lengths)

    def padded(self) -> tuple[Tensor, Tensor, Tensor]:
        """rgb (B, T, R), audio (B, T, A), zero where the mask (B, T) is false."""
        longest = int(self.lengths.max())
        mask = torch.arange(longest) < self.lengths[:, None]
        place = mask.view(-1).nonzero()[:, 0].to(self.rgb.device)
        parts = []
        for part in (self.rgb, self.audio):
            out = part.new_zeros(mask.numel(), part.shape[1]).index_copy_(0, place, part)
            parts.append(out.view(*mask.shape, part.shape[1]))
        return *parts, mask.to(self.rgb.device)


@dataclass(frozen=True)
class Runs:
    """Where each of a store's videos is in arrays of all their frames: int64 (N,) each."""

    begin: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, store: Store, inputs: Inputs) -> "Runs":
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
    """Frames of a whole store after their dynamics: float16 (S, R) and (S, A)."""

    rgb: np.ndarray
    audio: np.ndarray
    runs: Runs

    def read(self, rows: np.ndarray) -> Frames:
        places, lengths = self.runs.find(rows)
        return Frames(*(torch.from_numpy(part[places]) for part in (self.rgb, self.audio)), lengths)


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


def _dequantised(part: Tensor) -> Tensor:
    return part.float().mul_(SCALE).add_(SHIFT) if part.dtype == torch.uint8 else part.float()
