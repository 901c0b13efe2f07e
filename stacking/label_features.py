"""Features that come from labels of other videos: priors and co-occurrence.

They may know no label of the video itself, and a booster may know none of the fold it predicts. So
rows of fold j have one variant for each booster k, from the labels of all folds but j and k.

N videos, M candidates, C classes, L = 3 columns. Tables take 8 C^2 bytes (119 MB at 3862 classes).
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from yt8m.labels import Labels

NAMES = ("prior", "cooccurrence_lift", "cooccurrence_conditional")


@dataclass(frozen=True)
class Statistics:
    """Of C classes: prior (C,) log-odds; lift and conditional (C, C), row = the class given."""

    prior: np.ndarray
    lift: np.ndarray
    conditional: np.ndarray


def statistics(labels: Labels, num_classes: int, smoothing: float) -> Statistics:
    """lift[a, b] = log((pairs + s) / (expected pairs + s)), conditional[a, b] = P(b | a), where s
    videos are added as if labels were independent. Float32. Scale-free in the number of videos."""
    n = max(len(labels), 1)
    ones = np.ones(len(labels.indices), np.float32)
    matrix = sparse.csr_matrix((ones, labels.indices, labels.indptr), (len(labels), num_classes))
    pairs = (matrix.T @ matrix).toarray(order="C")
    counts = np.bincount(labels.indices, minlength=num_classes).astype(np.float32)
    frequency = counts / n
    expected = counts[:, None] * frequency
    lift = np.log((pairs + smoothing) / (expected + smoothing))
    del expected
    pairs += smoothing * frequency
    pairs /= (counts + smoothing)[:, None]
    prior = np.log((counts + 0.5) / (n - counts + 0.5))
    return Statistics(prior.astype(np.float32), lift.astype(np.float32), pairs.astype(np.float32))


def label_features(
    known: Statistics, classes: np.ndarray, probability: np.ndarray, neighbours: int
) -> np.ndarray:
    """Columns of NAMES: float32 (n, M, 3).

    classes: candidates (n, M), best first; probability: their mean probabilities (n, M). The
    strongest `neighbours` candidates other than the row's own speak for it, weighted by theirs.
    """
    num_classes = len(known.prior)
    wide = classes.astype(np.int64)
    lift = np.zeros(classes.shape, np.float32)
    conditional = np.zeros(classes.shape, np.float32)
    total = np.full(classes.shape, 1e-6, np.float32)
    flat_lift, flat_conditional = known.lift.reshape(-1), known.conditional.reshape(-1)
    for place in range(min(neighbours, classes.shape[1])):
        at = wide + wide[:, place, None] * num_classes
        weight = np.repeat(probability[:, place, None], classes.shape[1], axis=1)
        weight[:, place] = 0
        lift += weight * flat_lift.take(at)
        conditional += weight * flat_conditional.take(at)
        total += weight
    return np.stack([known.prior[wide], lift, conditional / total], axis=2)
