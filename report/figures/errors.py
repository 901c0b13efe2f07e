"""Right and wrong labels of a system, by the definitions of the main paper (section 4).

Of a video's 20 best predictions: a label is a true positive if it is positive and scored above all
negatives; a false positive if it is negative and scored above at least one positive; a false
negative if it is positive and scored below at least one negative. A positive that is not among the
20 counts as scored below them. N videos, k predictions, C classes.
"""

from dataclasses import dataclass

import numpy as np

from yt8m.data.predictions import TOP_K
from yt8m.records.labels import Labels


@dataclass(frozen=True)
class Counts:
    """Of each class, int64 (C,)."""

    true_positive: np.ndarray
    false_positive: np.ndarray
    false_negative: np.ndarray

    @property
    def positives(self) -> np.ndarray:
        """Videos that have the class."""
        return self.true_positive + self.false_negative

    @property
    def precision(self) -> np.ndarray:
        """NaN where nothing was predicted."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> np.ndarray:
        """NaN without positives."""
        return _ratio(self.true_positive, self.positives)

    @property
    def f1(self) -> np.ndarray:
        """NaN where a class has neither positives nor predictions."""
        total = 2 * self.true_positive + self.false_positive + self.false_negative
        return _ratio(2 * self.true_positive, total)

    def of_groups(self, group: np.ndarray, number: int) -> "Counts":
        """Summed over the classes of each group: group int64 (C,), -1 = in none."""
        known = group >= 0
        columns = (self.true_positive, self.false_positive, self.false_negative)
        return Counts(
            *(np.bincount(group[known], each[known], number).astype(np.int64) for each in columns)
        )


def count(classes: np.ndarray, labels: Labels, num_classes: int) -> Counts:
    """classes: (N, k) best first, in the order of `labels`' rows."""
    classes = classes[:, :TOP_K]
    hits = labels.contains(classes)
    n, k = hits.shape
    places = np.arange(k)
    first_wrong = np.where(hits.all(axis=1), k, np.argmin(hits, axis=1)) if k else np.zeros(n)
    last_right = np.where(hits, places, -1).max(axis=1, initial=-1)
    missed = hits.sum(axis=1) < labels.counts()  # a positive is below the whole list
    above = hits & (places < first_wrong[:, None])
    wrong = ~hits & ((places < last_right[:, None]) | missed[:, None])
    positives = labels.class_counts(num_classes)
    right = np.bincount(classes[above], minlength=num_classes)
    return Counts(right, np.bincount(classes[wrong], minlength=num_classes), positives - right)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
