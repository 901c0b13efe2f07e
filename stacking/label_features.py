"""Features that come from labels of other videos: priors, and what implies what.

They may not know the labels of the video itself, and a learner may not know those of the fold that
it predicts. So rows of fold j have one variant for each learner k, from all folds but j and k.

N videos, M candidates, the k strongest of them (neighbours), C classes, U of them that some video
has, L = 8 columns. The table of pairs takes 4 U^2 bytes (60 MB at 3862 classes).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from yt8m.records.labels import Labels

BLOCK = 1 << 16  # videos whose pairs are counted at a time
NAMES = (
    "prior",  # log-odds of the class
    "lift",  # sum over the k strongest candidates of probability x log lift
    "lift_least",  # the least term of that sum: the strongest evidence against the class
    "implied",  # largest probability x P(class | candidate)
    "supported",  # sum of probability x P(candidate | class): its companions are likely
    "contradicted",  # sum of (1 - probability) x P(candidate | class): they are unlikely
    "given_best",  # P(class | the best other candidate)
    "lift_best",  # log lift of the class and the best other candidate
)


@dataclass(frozen=True)
class Statistics:
    """How many of `videos` videos have a class, counts float32 (C,), and two of them, pairs float32
    (U + 1, U + 1).

    place: of each class in the pairs, int64 (C,); the last one is of those that no video has.
    smoothing s: adds s videos to each pair, as if its labels were independent.
    """

    videos: int
    counts: np.ndarray
    place: np.ndarray
    pairs: np.ndarray
    smoothing: float


def statistics(labels: Labels, rows: np.ndarray, num_classes: int, smoothing: float) -> Statistics:
    """Counts the classes, and the pairs of classes, of some rows of the labels."""
    counts = labels.class_counts(num_classes, rows).astype(np.float32)
    used = np.flatnonzero(counts)
    place = np.full(num_classes, len(used))
    place[used] = np.arange(len(used))
    pairs = np.zeros((len(used) + 1, len(used) + 1), np.float32)
    pairs[:-1, :-1] = sparse_pairs(labels, rows, num_classes)[used][:, used].toarray()
    return Statistics(max(len(rows), 1), counts, place, pairs, smoothing)


def sparse_pairs(labels: Labels, rows: np.ndarray, num_classes: int) -> sparse.csr_matrix:
    """How many of some rows have both classes: float32 (C, C)."""
    pairs = sparse.csr_matrix((num_classes, num_classes), dtype=np.float32)
    for start in range(0, len(rows), BLOCK):
        part = labels.take(rows[start : start + BLOCK])
        ones = np.ones(len(part.indices), np.float32)
        matrix = sparse.csr_matrix((ones, part.indices, part.indptr), (len(part), num_classes))
        pairs = pairs + matrix.T @ matrix
    return pairs.tocsr()


def label_features(
    known: Statistics, classes: np.ndarray, probability: np.ndarray, neighbours: int
) -> np.ndarray:
    """Columns of NAMES: float32 (n, M, 8).

    classes: candidates (n, M), best first; probability: their mean probabilities (n, M). Evidence
    for or against a row's class comes from the `neighbours` best candidates other than its own.
    """
    wide = classes.astype(np.int64)
    first = wide[:, : min(neighbours, wide.shape[1])]  # (n, k)
    counts, videos, s = known.counts, np.float32(known.videos), np.float32(known.smoothing)
    row, column = known.place[first], known.place[wide]
    pairs = known.pairs.reshape(-1).take(row[:, :, None] * len(known.pairs) + column[:, None])
    own, of_class = counts[first][:, :, None], counts[wide][:, None]
    forward = (pairs + s / videos * of_class) / (own + s)  # P(class | candidate): (n, k, M)
    back = (pairs + s / videos * own) / (of_class + s)  # P(candidate | class)
    lift = np.log((pairs + s) / (own * of_class / videos + s))
    itself = np.arange(first.shape[1])
    for table in (forward, back, lift):
        table[:, itself, itself] = 0
    weight = probability[:, : first.shape[1], None]
    weighted = weight * lift
    prior = np.log((counts + np.float32(0.5)) / (videos - counts + np.float32(0.5)))
    columns = [
        prior[wide],
        weighted.sum(1),
        weighted.min(1),
        (weight * forward).max(1),
        (weight * back).sum(1),
        ((1 - weight) * back).sum(1),
        _of_best_other(forward),
        _of_best_other(lift),
    ]
    return np.stack(columns, axis=2)


def _of_best_other(table: np.ndarray) -> np.ndarray:
    """(n, k, M) -> (n, M): the values of the best candidate; for itself, of the second best."""
    second = table[:, min(1, table.shape[1] - 1), :1]
    return np.concatenate([second, table[:, 0, 1:]], axis=1)
