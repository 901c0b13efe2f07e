"""What raters said of segments, and how a model learns it.

W windows, S rated segments, K classes asked about.
"""

import copy
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from first_level.segments.windows import Windows
from yt8m.data.store import Segments
from yt8m.inputs.batch import Batch, Targets
from yt8m.training.settings import Training


@dataclass(frozen=True)
class Ratings:
    """Targets for `rated_bce`: of each segment, the class that raters were asked about."""

    segments: Segments
    num_classes: int

    def __call__(self, windows: np.ndarray) -> Targets:
        classes = torch.from_numpy(self.segments.label[windows].astype(np.int64))
        values = torch.from_numpy(self.segments.score[windows].clip(0, 1))
        shape = (len(windows), self.num_classes)
        return Targets(torch.arange(len(windows)), classes, values, shape)


def latest(segments: Segments) -> Segments:
    """Where a segment is rated twice for a class, the later rating; the rest as it is."""
    keys = _keys(segments.rows, segments.start, segments.label)
    _, last = np.unique(keys[::-1], return_index=True)
    return segments.take(np.sort(len(keys) - 1 - last))


def rating_of(windows: Windows, segments: Segments, classes: np.ndarray) -> np.ndarray:
    """What raters said of each window's classes (W, K): int8, 1 shown, 0 not shown, -1 not asked.

    segments: each rated once for a class (`latest`).
    """
    keys = _keys(segments.rows, segments.start, segments.label)
    order = np.argsort(keys)
    known, shown = keys[order], (segments.score[order] > 0).astype(np.int8)
    wanted = _keys(windows.rows[:, None], windows.start[:, None], classes)
    if not len(known):
        return np.full(wanted.shape, -1, np.int8)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[place] == wanted, shown[place], np.int8(-1))


def _keys(rows, start, classes) -> np.ndarray:
    """One number for a (video, second, class): 2^31 videos, 2^16 seconds and classes."""
    return (np.asarray(rows, np.int64) << 32) | (np.asarray(start, np.int64) << 16) | classes


class SegmentTraining(Training):
    """Training in which only what raters were asked about counts."""

    loss: Literal["rated_bce"] = "rated_bce"


class Taught(nn.Module):
    """A model that learns, and beside it the parent that it was: of what nobody rated, it should
    go on thinking what the parent thinks of the same seconds. That is taught of all classes, the
    rated one among them. `fit` adds `penalty` to the loss.
    """

    def __init__(self, model: nn.Module, classes: int, weight: float):
        super().__init__()
        self.model, self.classes, self.weight = model, classes, weight
        self.parent = copy.deepcopy(model).requires_grad_(False)

    def train(self, mode: bool = True) -> "Taught":
        super().train(mode)
        self.parent.eval()
        return self

    def forward(self, batch: Batch) -> Tensor:
        logits = self.model(batch)[:, : self.classes]  # without verticals, which nobody rated
        with torch.no_grad():
            wanted = self.parent(batch).float().sigmoid()
        apart = F.binary_cross_entropy_with_logits(logits.float(), wanted, reduction="sum")
        self.penalty = self.weight * apart / len(logits) + getattr(self.model, "penalty", 0.0)
        return logits
