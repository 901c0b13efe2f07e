"""Global centroids of frames, and each frame's nearest (main paper, section 2; table 1, row 15).

A frame is all its kinds of features side by side, so that a centroid is a whole frame; distances
are Euclidean, between dequantised features. K centroids, S stacked frames, D widths of all kinds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from yt8m.base.cli import InputError
from yt8m.inputs.frames import Frames, Runs, video_of

BATCH = 3  # frames of a mini-batch, times K
BLOCK = 1 << 24  # distances that are in memory at a time


@dataclass(frozen=True)
class Clusters:
    """centroids (K, D) and the nearest one of all of a store's frames: uint16, video by video.

    widths: of each kind of features.
    """

    centroids: Tensor
    nearest: np.ndarray
    widths: dict[str, int]
    runs: Runs

    def frames(self, rows: np.ndarray, device: torch.device) -> Frames:
        """The centroids nearest to each video's frames, each once, by first appearance."""
        places, lengths = self.runs.find(rows)
        nearest = torch.from_numpy(self.nearest[places].astype(np.int64))
        video = video_of(lengths)
        index = first_of_each(nearest + video * len(self.centroids))
        counts = torch.bincount(video[index], minlength=len(lengths))
        values = self.centroids.to(device)[nearest[index].to(device)]
        parts = values.split(list(self.widths.values()), 1)
        return Frames(dict(zip(self.widths, parts, strict=True)), counts)


def first_of_each(values: Tensor) -> Tensor:
    """Where each different value of (S,) is first, ascending."""
    ordered, place = values.sort(stable=True)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    return place[new].sort()[0]


def fit_centroids(batches: Iterable[Tensor], clusters: int, where: Path) -> np.ndarray:
    """Mini-batch k-means (Sculley, 2010) over frames (n, D) in one pass: (K, D) float32."""
    from sklearn.cluster import MiniBatchKMeans  # takes a second to import

    model = MiniBatchKMeans(clusters, init="random", random_state=0, n_init=1)
    waiting: list[np.ndarray] = []
    for batch in batches:
        waiting.append(batch.cpu().numpy())
        if sum(map(len, waiting)) >= BATCH * clusters:
            model.partial_fit(np.concatenate(waiting))
            waiting = []
    left = sum(map(len, waiting))
    if left >= clusters:
        model.partial_fit(np.concatenate(waiting))
    elif not hasattr(model, "cluster_centers_"):
        raise InputError(f"{where}: inputs.clusters = {clusters:,} and {left:,} frames; give fewer")
    return model.cluster_centers_.astype(np.float32)


def nearest(frames: Tensor, centroids: Tensor) -> Tensor:
    """The nearest centroid (K, D) of each frame (S, D): int64 (S,), in blocks of bounded size."""
    norms = centroids.square().sum(1)
    size = max(1, BLOCK // len(centroids))
    return torch.cat([(norms - 2 * block @ centroids.T).argmin(1) for block in frames.split(size)])
