"""From store rows to what a model takes: batches of features, sparse targets.

Letters: B batch, T frames (padded), R rgb, A audio, C classes. A modality that the data lacks has
width 0, so that models need no second code path for it.
"""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from yt8m.data.splits import seed_of
from yt8m.data.store import Dims, Store
from yt8m.inputs.clusters import Clusters
from yt8m.inputs.dynamics import moving
from yt8m.inputs.frames import Frames, StoredFrames
from yt8m.inputs.sampling import sampled, strided
from yt8m.inputs.scaling import Scaling, l2_scaled
from yt8m.inputs.settings import Inputs, Level
from yt8m.inputs.statistics import summaries, widths
from yt8m.records.labels import Labels

TOGETHER, NEIGHBOURS = 1 << 15, 1 << 10  # videos: `shuffled`


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
class Made:
    """What is computed once for a data set and then read; see derived.py. None: not needed.

    statistics: of rgb and audio, float16 (N, columns) each; scaling: of rgb and of audio.
    """

    frames: StoredFrames | None = None
    clusters: Clusters | None = None
    statistics: tuple[np.ndarray, np.ndarray] | None = None
    scaling: tuple[Scaling, Scaling] | None = None


@dataclass(frozen=True)
class Source:
    """A store as a model of one level sees it: where batches come from.

    `derived.source_of` makes one for any inputs; those with nothing to compute first need no more
    than Source(store, level, inputs).
    """

    store: Store
    level: Level
    inputs: Inputs
    made: Made = Made()

    @property
    def dims(self) -> Dims:
        """Sizes of what `load` gives; a modality that is not used has width 0."""
        return self.inputs.dims(self.store.dims)

    def load(self, rows: np.ndarray, device: torch.device, training: bool = False) -> Batch:
        """Features of store rows as the inputs' settings say, on `device`.

        training: whether they may differ from call to call (torch's global random state).
        """
        rgb, audio, lengths = self.raw(rows, device, training)
        rgb, audio = normalised(self.inputs, rgb, audio, self.made.scaling)
        if lengths is None:
            return Batch(rgb, audio)
        return Batch(*Frames(rgb, audio, lengths).padded())

    def raw(
        self, rows: np.ndarray, device: torch.device, training: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """What `load` normalises: (B, columns) of rgb and of audio, None; or stacked frames of both
        and how many each video has (B,)."""
        if self.level == "frame":
            frames = self.sampled(rows, device, training)
            return frames.rgb, frames.audio, frames.lengths
        if self.made.statistics is not None:
            parts = (torch.from_numpy(part[rows]) for part in self.made.statistics)
        elif self.inputs.frame_settings():
            seconds = torch.from_numpy(self.store.num_frames[rows])
            frames = self.sampled(rows, device, training)
            parts = summaries(frames, self.inputs.statistics, seconds)
        else:
            parts = (torch.from_numpy(part) for part in self.store.video(rows))
        return *(part.to(device) for part in parts), None

    def sampled(self, rows: np.ndarray, device: torch.device, training: bool = False) -> Frames:
        """The frames that a model sees, before they are normalised."""
        if self.made.clusters is not None:
            return strided(self.made.clusters.frames(rows, device), self.inputs.max_frames)
        assert self.inputs.sampling != "centroids", 'sampling = "centroids" needs derived.source_of'
        return sampled(self.moving(rows, device), self.inputs, device, training)

    def moving(self, rows: np.ndarray, device: torch.device) -> Frames:
        """All frames but the skipped ones, after the dynamics; bytes where there are none."""
        if self.made.frames is not None:
            return self.made.frames.read(rows)
        return moving(Frames.read(self.store, rows, self.inputs), self.inputs.dynamics, device)


def prepared(inputs: Inputs, rgb: Tensor, audio: Tensor, mask: Tensor | None = None) -> Batch:
    """A batch as models take it, of raw features (B, R), (B, A) or (B, T, R), (B, T, A)."""
    return Batch(*normalised(inputs, rgb, audio), mask)


def normalised(
    inputs: Inputs, rgb: Tensor, audio: Tensor, scaling: tuple[Scaling, Scaling] | None = None
) -> tuple[Tensor, Tensor]:
    """Features (..., columns) of the modalities in use, normalised; then the share of the columns.

    scaling: what "standard" and "whiten" were fitted to.
    """
    rgb = (rgb[..., :0] if inputs.modalities == "audio" else rgb).float()
    audio = (audio[..., :0] if inputs.modalities == "rgb" else audio).float()
    if inputs.normalise == "l2":
        rgb, audio = _l2_blocks(inputs, rgb), _l2_blocks(inputs, audio)
    elif inputs.normalise != "none":
        assert scaling is not None, f"normalise = {inputs.normalise!r} needs derived.source_of"
        rgb, audio = scaling[0](rgb), scaling[1](audio)
    return _share(inputs, rgb, "rgb"), _share(inputs, audio, "audio")


def _l2_blocks(inputs: Inputs, features: Tensor) -> Tensor:
    """`l2_scaled` of each statistic; the length, one column, stays as it is."""
    if inputs.statistics == ("mean",) or not features.shape[-1]:
        return l2_scaled(features)
    parts = features.split(widths(inputs.statistics, features.shape[-1]), -1)
    named = zip(inputs.statistics, parts, strict=True)
    return torch.cat([part if name == "length" else l2_scaled(part) for name, part in named], -1)


def _share(inputs: Inputs, features: Tensor, name: str) -> Tensor:
    """The columns that `feature_share` keeps, in order: the same in every batch."""
    columns = features.shape[-1]
    if inputs.feature_share == 1:
        return features
    order = np.random.default_rng(seed_of(inputs.feature_seed, name)).permutation(columns)
    kept = np.sort(order[: inputs.share_of(columns)])
    return features[..., torch.from_numpy(kept).to(features.device)]


def batch_rows(rows: np.ndarray, size: int, seed: int | None = None) -> list[np.ndarray]:
    """Cuts rows into batches of nearly equal size, at most `size`; shuffled if a seed is given.

    Nearly equal, because a last batch of one video would break batch normalisation.
    """
    if seed is not None:
        rows = shuffled(rows, np.random.default_rng(seed))
    return np.array_split(rows, max(1, -(-len(rows) // size)))


def shuffled(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows in a random order; more than TOGETHER of them in one that disks and memory like.

    Blocks of NEIGHBOURS are then drawn at random, as many as make half of TOGETHER or more, and the
    rows of all of these shuffled: whatever is read of a file is used before it is let go of.
    """
    if len(rows) <= TOGETHER:
        return rng.permutation(rows)
    order, filled = np.empty_like(rows), 0
    starts = rng.permutation(np.arange(0, len(rows), NEIGHBOURS))
    for some in np.array_split(starts, -(-len(rows) // TOGETHER)):  # no group of one block alone
        drawn = rng.permutation(np.concatenate([rows[at : at + NEIGHBOURS] for at in some]))
        order[filled : (filled := filled + len(drawn))] = drawn
    return order
