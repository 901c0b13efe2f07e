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
    lists = np.split(np.array(data.labels.indices), data.labels.indptr[1:-1])
    own = splits.rows(FOLD)
    owner = np.repeat(own, data.labels.take(own).counts())
    pool = data.labels.take(own).indices
    rows, classes = [], []
    for at in rng.permutation(len(owner))[: max(1, round(share * len(owner)))]:
        row, new = int(owner[at]), int(rng.choice(pool))
        if new in lists[row] or row in rows:
            continue
        lists[row][rng.integers(len(lists[row]))] = new
        rows.append(row)
        classes.append(new)
    return FalseLabels(Labels.from_lists(lists), np.array(rows, int), np.array(classes, int))
