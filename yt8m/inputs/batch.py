"""From store rows to what a model takes: batches of features, sparse targets.

B batch, T frames (padded), W width of a kind of features, C classes. Unused kinds are absent.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from yt8m.data.splits import seed_of
from yt8m.data.store import Dims, Videos
from yt8m.inputs.clusters import Clusters
from yt8m.inputs.dynamics import apply_dynamics
from yt8m.inputs.frames import ByKind, Frames, StoredFrames
from yt8m.inputs.sampling import sample, thin
from yt8m.inputs.scaling import Scaling, l2_normalise
from yt8m.inputs.settings import Inputs, Level
from yt8m.inputs.statistics import summaries, widths
from yt8m.records.labels import Labels

TOGETHER, NEIGHBOURS = 1 << 15, 1 << 10  # videos: `shuffle`


@dataclass(frozen=True)
class Batch(ByKind):
    """Features of B videos.

    Video level: (B, W) each. Frame level: (B, T, W) each, zero where the mask (B, T) is false.
    """

    mask: Tensor | None = None

    def __len__(self) -> int:
        return len(next(iter(self.features.values())))

    def map(self, function: Callable[[Tensor], Tensor]) -> "Batch":
        """`function` of each kind's features, under the same mask."""
        return replace(self, features={name: function(x) for name, x in self.features.items()})

    def to(self, device: torch.device) -> "Batch":
        """A copy on `device`."""
        mask = None if self.mask is None else self.mask.to(device, non_blocking=True)
        return replace(self.map(lambda x: x.to(device, non_blocking=True)), mask=mask)


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

    def map(self, function: Callable[[Tensor], Tensor]) -> "Targets":
        """`function` of the rows, of the classes and of the values."""
        return Targets(*map(function, (self.rows, self.classes, self.values)), self.shape)

    def to(self, device: torch.device) -> "Targets":
        """A copy on `device`."""
        return self.map(lambda part: part.to(device))

    def plus(self, rows: Tensor, classes: Tensor, values: Tensor) -> "Targets":
        """These, then further ones."""
        parts = zip((self.rows, self.classes, self.values), (rows, classes, values), strict=True)
        return Targets(*map(torch.cat, parts), self.shape)


TargetSource = Callable[[np.ndarray], Targets]  # gives the targets of store rows


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

    statistics: float16 (N, columns) of each kind of features; scaling: of each kind.
    """

    frames: StoredFrames | None = None
    clusters: Clusters | None = None
    statistics: dict[str, np.ndarray] | None = None
    scaling: dict[str, Scaling] | None = None


@dataclass(frozen=True)
class Source:
    """A store as a model of one level sees it: where batches come from.

    `derived.source_of` makes one for any inputs, computing first what they need.
    """

    store: Videos
    level: Level
    inputs: Inputs
    made: Made = Made()

    @property
    def dims(self) -> Dims:
        """Sizes of what `load` gives."""
        return self.inputs.dims(self.store.dims, self.level)

    def load(self, rows: np.ndarray, device: torch.device, training: bool = False) -> Batch:
        """Features of store rows as the inputs' settings say, on `device`.

        training: whether they may differ from call to call (torch's global random state).
        """
        features, lengths = self.raw(rows, device, training)
        features = normalise(self.inputs, features, self.made.scaling)
        return Batch(features) if lengths is None else Batch(*Frames(features, lengths).pad())

    def raw(
        self, rows: np.ndarray, device: torch.device, training: bool = False
    ) -> tuple[dict[str, Tensor], Tensor | None]:
        """What `load` normalises: (B, columns), None; or stacked frames (S, W), lengths (B,)."""
        if self.level == "frame":
            frames = self.sample(rows, device, training)
            return frames.features, frames.lengths
        if self.made.statistics is not None:
            arrays = {name: part[rows] for name, part in self.made.statistics.items()}
        elif self.inputs.frame_settings():
            seconds = torch.from_numpy(self.store.num_frames[rows])
            frames = self.sample(rows, device, training)
            return summaries(frames, self.inputs.statistics, seconds), None
        else:
            arrays = self.store.video(rows, self.inputs.kinds(self.store.dims, self.level))
        return {name: torch.from_numpy(part).to(device) for name, part in arrays.items()}, None

    def sample(self, rows: np.ndarray, device: torch.device, training: bool = False) -> Frames:
        """The frames that a model sees, before they are normalised."""
        if self.made.clusters is not None:
            return thin(self.made.clusters.frames(rows, device), self.inputs.max_frames)
        assert self.inputs.sampling != "centroids", 'sampling = "centroids" needs derived.source_of'
        return sample(self.after_dynamics(rows, device), self.inputs, device, training)

    def after_dynamics(self, rows: np.ndarray, device: torch.device) -> Frames:
        """All frames but the skipped ones, after the dynamics; bytes where there are none."""
        if self.made.frames is not None:
            return self.made.frames.read(rows)
        frames, how = Frames.read(self.store, rows, self.inputs), self.inputs.dynamics
        return frames if how == "none" else apply_dynamics(frames.on(device), how)


def prepare(inputs: Inputs, features: dict[str, Tensor], mask: Tensor | None = None) -> Batch:
    """A batch as models take it, of raw features (B, W) or (B, T, W) by kind."""
    return Batch(normalise(inputs, features), mask)


def normalise(
    inputs: Inputs, features: dict[str, Tensor], scaling: dict[str, Scaling] | None = None
) -> dict[str, Tensor]:
    """Features (..., columns) of the kinds in use, normalised; then the share of the columns.

    scaling: what "standard" and "whiten" were fitted to, by kind.
    """
    found = {}
    for name in filter(inputs.takes, features):
        values = features[name].float()
        if inputs.normalise == "l2":
            values = _l2_blocks(inputs, values)
        elif inputs.normalise != "none":
            assert scaling is not None, f"normalise = {inputs.normalise!r} needs derived.source_of"
            values = scaling[name](values)
        found[name] = _share(inputs, values, name)
    return found


def _l2_blocks(inputs: Inputs, features: Tensor) -> Tensor:
    """`l2_normalise` of each statistic; the length, one column, stays as it is."""
    if inputs.statistics == ("mean",):
        return l2_normalise(features)
    parts = features.split(widths(inputs.statistics, features.shape[-1]), -1)
    named = zip(inputs.statistics, parts, strict=True)
    return torch.cat([part if name == "length" else l2_normalise(part) for name, part in named], -1)


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

    Nearly equal, because a last batch of one video would break batch normalisation. So an odd
    number of rows in batches of two has one of three.
    """
    if seed is not None:
        rows = shuffle(rows, np.random.default_rng(seed))
    batches = -(-len(rows) // size)
    return np.array_split(rows, max(1, batches if size != 2 else len(rows) // 2))


def shuffle(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows in a random order; more than TOGETHER of them in one that disks and memory like.

    Blocks of NEIGHBOURS are then drawn at random, as many as make half of TOGETHER or more, and the
    rows of all of these shuffled: whatever is read of a file is used before it is let go of.
    """
    if len(rows) <= TOGETHER:
        return rng.permutation(rows)
    order, filled = np.empty_like(rows), 0
    starts = rng.permutation(np.arange(0, len(rows), NEIGHBOURS))
    for group in np.array_split(starts, -(-len(rows) // TOGETHER)):  # no group of one block alone
        drawn = rng.permutation(np.concatenate([rows[at : at + NEIGHBOURS] for at in group]))
        order[filled : (filled := filled + len(drawn))] = drawn
    return order
