"""Labels that say nothing, and labels of which some are false: for `make canary`."""

from dataclasses import dataclass

import numpy as np

from yt8m.data.splits import Splits, seed_of
from yt8m.data.store import Store
from yt8m.records.labels import Labels

FOLD = 0  # whose labels are replaced
SHARE = 0.01  # of them


def permute(data: Store, seed: int) -> Labels:
    """The labels of all labelled videos, each another one's."""
    labelled = np.flatnonzero(data.labelled)
    order = np.random.default_rng(seed_of("canary", seed)).permutation(labelled)
    source = np.arange(len(data))
    source[order] = np.roll(order, 1)
    return data.labels.take(source)


@dataclass(frozen=True)
class FalseLabels:
    """labels: of all videos; rows (m,), classes (m,): which video got which false class."""

    labels: Labels
    rows: np.ndarray
    classes: np.ndarray


def false_labels(data: Store, splits: Splits, share: float, seed: int) -> FalseLabels:
    """A share of the labels of fold 0's videos, one at least, replaced by classes of other labels
    of that fold that the video has not."""
    rng = np.random.default_rng(seed_of("canary flips", seed))
    indices, indptr = np.array(data.labels.indices), data.labels.indptr
    own = splits.rows(FOLD)
    owner = np.repeat(own, data.labels.take(own).counts())
    pool = data.labels.take(own).indices
    found: dict[int, int] = {}  # video -> its false class
    for at in rng.permutation(len(owner))[: max(1, round(share * len(owner)))]:
        row, new = int(owner[at]), int(rng.choice(pool))
        labels = indices[indptr[row] : indptr[row + 1]]
        if new in labels or row in found:
            continue
        labels[rng.integers(len(labels))] = new
        labels.sort()
        found[row] = new
    rows, classes = (np.array(list(part), int) for part in (found.keys(), found.values()))
    return FalseLabels(Labels(np.array(indptr), indices), rows, classes)
