"""Normalisations that are fitted on training videos: "standard" and "whiten".

standard  (x - mean) / standard deviation, of each column
whiten    PCA whitening of each kind of features, then unit norm times the square root of the width
          (benchmark paper, section 4.2.2)

Both see what the model sees: frames, or all statistics of a kind together. D columns.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from yt8m.base.checksums import open_checked

# Variances below this share of the largest one are taken for that share. Those of means and frames
# all lie above the first (YouTube-8M 0.04, AudioSet 0.02 at least), but statistics nearly repeat
# each other: AudioSet's [mean; std; top5] scored 0.346 with it, 0.307 with 1e-6, and 0.382 not
# whitened at all (GAP@20 of fold 0, an MLP of 512).
WHITEN_FLOOR, STANDARD_FLOOR = 1e-2, 1e-6


@dataclass(frozen=True)
class Scaling:
    """How one kind of features is normalised: mean (D,), factor (D,) or, whitening, (D, D)."""

    mean: Tensor
    factor: Tensor

    def __call__(self, values: Tensor) -> Tensor:
        """(n, D) -> (n, D)."""
        values = values - self.mean
        return values * self.factor if self.factor.ndim == 1 else l2_normalise(values @ self.factor)

    @classmethod
    def read(cls, folder: Path, name: str, device: torch.device) -> "Scaling":
        """Reads what `write` wrote."""
        arrays = (open_checked(path).copy() for path in _paths(folder, name))
        return cls(*(torch.from_numpy(array).to(device) for array in arrays))

    def write(self, folder: Path, name: str) -> None:
        """Writes two arrays that begin with `name`."""
        for path, array in zip(_paths(folder, name), (self.mean, self.factor), strict=True):
            np.save(path, array.cpu().numpy())


def _paths(folder: Path, name: str) -> list[Path]:
    return [folder / f"{name}_mean.npy", folder / f"{name}_factor.npy"]


class Moments:
    """What a Scaling is made of, in one pass over rows (n, D): sums, in float64.

    They are taken around the first batch's mean, as sums of squares lose digits far from zero.
    """

    def __init__(self, how: Literal["standard", "whiten"]):
        self.how, self.count = how, 0

    def add(self, batch: Tensor) -> None:
        """batch: (n, D)."""
        batch = batch.double()
        if not self.count:
            self.origin = batch.mean(0)
            self.total, self.squares = torch.zeros_like(self.origin), 0.0
        batch = batch - self.origin
        self.count += len(batch)
        self.total = self.total + batch.sum(0)
        squares = batch.mT @ batch if self.how == "whiten" else batch.square().sum(0)
        self.squares = self.squares + squares

    def scaling(self) -> Scaling:
        """Of the rows that were added."""
        shift = self.total / self.count
        if self.how == "whiten":
            covariance = self.squares / self.count - shift.outer(shift)
            variances, directions = torch.linalg.eigh(covariance)
            factor = directions * _inverse_root(variances, WHITEN_FLOOR)
        else:
            factor = _inverse_root(self.squares / self.count - shift.square(), STANDARD_FLOOR)
        return Scaling((self.origin + shift).float(), factor.float())


def _inverse_root(variances: Tensor, floor: float) -> Tensor:
    """1 / standard deviation, of variances of at least `floor` of the largest."""
    return variances.clamp(min=max(float(variances.max()) * floor, 1e-12)).rsqrt()


def l2_normalise(features: Tensor) -> Tensor:
    """Unit L2 norm over the last dimension, times the square root of its width."""
    norm = features.norm(dim=-1, keepdim=True).clamp_min(1e-6)
    return features * (features.shape[-1] ** 0.5 / norm)
