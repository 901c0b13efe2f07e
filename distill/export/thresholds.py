"""From which score on a class counts as said: thresholds of the largest F1, chosen out of fold.

They come from the labels as given and the stack's soft labels of the training videos, each made
without the video's fold. The student learnt by the same log-loss, so the same thresholds serve.

N videos, M candidates, C classes.
"""

import numpy as np

from yt8m.data.predictions import Predictions, sigmoid
from yt8m.records.labels import Labels

FEW = 20  # labels: a class with fewer has the threshold of all classes together


def choose_thresholds(soft: Predictions, labels: Labels, classes: int) -> tuple[float, np.ndarray]:
    """(the threshold for all classes together, one for each class: float32 (C,)).

    soft: (N, M), labels: of the same videos. A label that is no candidate counts as missed.
    """
    hits, scores = labels.contains(soft.classes).ravel(), sigmoid(soft.logits).ravel()
    counts = labels.class_counts(classes)
    overall = _best(scores, hits, np.zeros(len(scores), np.int64), counts.sum()[None])[0]
    found = _best(scores, hits, soft.classes.ravel().astype(np.int64), counts)
    found[counts < FEW] = overall
    return float(overall), found


def _best(scores: np.ndarray, hits: np.ndarray, groups: np.ndarray, positives: np.ndarray):
    """The threshold of the largest F1 = 2 TP / (predicted + positives) of each group,
    0.5 without a hit.

    scores, hits, groups (n,); positives: of each group, those outside the n included.
    """
    order = np.lexsort((-scores, groups))
    scores, hits, groups = scores[order], hits[order], groups[order]
    found = np.full(len(positives), 0.5, np.float32)
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(groups)], strict=True):
        right, count = np.cumsum(hits[start:stop]), np.arange(1, stop - start + 1)
        if right[-1] == 0:
            continue
        f1 = 2 * right / (count + positives[groups[start]])
        last = np.append(np.diff(scores[start:stop]) < 0, True)  # equal scores are said together
        best = int(np.where(last, f1, 0).argmax())
        below = scores[start + best + 1] if start + best + 1 < stop else 0.0
        found[groups[start]] = (scores[start + best] + below) / 2
    return found
