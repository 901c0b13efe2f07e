"""From which score on a class counts as said, chosen out of fold, and what that gives.

They come from the labels as given and the stack's soft labels of the training videos, each made
without the video's fold. The student learnt by the same log-loss, so the same thresholds serve.

N videos, M candidates, C classes.
"""

from dataclasses import dataclass

import numpy as np

from yt8m.data.predictions import Predictions, sigmoid
from yt8m.records.labels import Labels

FEW = 20  # labels: a class with fewer has the threshold of all classes together


NEVER = 1.0  # no score reaches it


@dataclass(frozen=True)
class Thresholds:
    """Of some groups of classes, float32 (groups,) each: from which score on, and the precision
    and recall that it has by the given labels (recall 0 where nothing is said)."""

    at: np.ndarray
    precision: np.ndarray
    recall: np.ndarray


def choose_thresholds(
    soft: Predictions, labels: Labels, classes: int, precision: float | None = None
) -> tuple[Thresholds, Thresholds]:
    """(the one for all classes together, one for each class: (1,) and (C,)).

    Each has the largest F1, or, with `precision`, the largest recall of those that are at least so
    precise. soft: (N, M), labels: of the same videos. A label that is no candidate counts as
    missed. A class with fewer than FEW labels has what all classes together have.
    """
    hits, scores = labels.contains(soft.classes).ravel(), sigmoid(soft.logits).ravel()
    counts, each = labels.class_counts(classes), soft.classes.ravel().astype(np.int64)
    overall = _best(scores, hits, np.zeros(len(scores), np.int64), counts.sum()[None], precision)
    found = _best(scores, hits, each, counts, precision)
    for values, of_all in zip(vars(found).values(), vars(overall).values(), strict=True):
        values[counts < FEW] = of_all[0]
    return overall, found


def _best(
    scores: np.ndarray,
    hits: np.ndarray,
    groups: np.ndarray,
    positives: np.ndarray,
    wanted: float | None,
) -> Thresholds:
    """The best threshold of each group; 0.5 without a hit, NEVER if none is precise enough.

    scores, hits, groups (n,); positives: of each group, those outside the n included. wanted: a
    precision, or None for the largest F1 = 2 TP / (predicted + positives).
    """
    order = np.lexsort((-scores, groups))
    scores, hits, groups = scores[order], hits[order], groups[order]
    found = np.zeros((3, len(positives)), np.float32)
    found[0] = 0.5
    starts = np.flatnonzero(np.diff(groups, prepend=-1))
    for start, stop in zip(starts, [*starts[1:], len(groups)], strict=True):
        right, count = np.cumsum(hits[start:stop]), np.arange(1, stop - start + 1)
        if right[-1] == 0:
            continue
        labels = positives[groups[start]]
        last = np.append(np.diff(scores[start:stop]) < 0, True)  # equal scores are said together
        if wanted is None:
            worth = 2 * right / (count + labels)
        else:  # of equal hits, the fewer said
            worth = np.where(right >= wanted * count, right, 0)
        best = int(np.where(last, worth, 0).argmax())
        if not worth[best] or not last[best]:
            found[:, groups[start]] = NEVER, 0, 0
            continue
        below = scores[start + best + 1] if start + best + 1 < stop else 0.0
        at = (scores[start + best] + below) / 2
        found[:, groups[start]] = at, right[best] / count[best], right[best] / labels
    return Thresholds(*found)
