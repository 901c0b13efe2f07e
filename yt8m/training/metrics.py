"""GAP@20, mAP, Hit@k, PERR and cross-entropy of top-k lists; MAP@K of rated segments.

classes: integers (N, k); scores: floats (N, k), in any order within a row; labels: aligned by row.
Ties keep their order (stable sort): rows first, then places in the row. Definitions: YouTube-8M
benchmark paper, section 5; of GAP: the rules of the challenge (main paper, section 2).
"""

from collections.abc import Iterator

import numpy as np

from yt8m.data.predictions import TOP_K
from yt8m.records.labels import BLOCK, Labels

TOGETHER = 1 << 18  # predictions that are sorted by class at a time

# The place of each float16 in descending order, by its bits: equal ones share one, nan is last.
PLACES = np.unique(-np.arange(1 << 16, dtype=np.uint16).view(np.float16), return_inverse=True)[1]
PLACES = PLACES.astype(np.uint16)


def gap(classes: np.ndarray, scores: np.ndarray, labels: Labels, k: int = TOP_K) -> float:
    """Global average precision of every video's k best predictions, sorted together.

    The denominator of recall is the number of all labels, those outside the top k too. Nan when no
    video has a label. Predictions have float16 scores; with those, no memory grows with the videos.
    """
    if not len(labels.indices):
        return float("nan")
    if scores.dtype == np.float16:
        return _precisions_by_counting(classes, scores, labels, k) / len(labels.indices)
    _, hits = ranked_hits(classes, scores, labels, k)
    return average_precision(hits, len(labels.indices))


def ranked_hits(
    classes: np.ndarray, scores: np.ndarray, labels: Labels, k: int = TOP_K
) -> tuple[np.ndarray, np.ndarray]:
    """The k best predictions of all videos, best first: (row of each, whether it is right)."""
    classes, scores = _best(classes, scores, k)
    order = np.argsort(-scores.ravel().astype(np.float64), kind="stable")
    return order // classes.shape[1], labels.contains(classes).ravel()[order]


def average_precision(hits: np.ndarray, positives: int) -> float:
    """The sum of the precisions at each hit of a list, best first, divided by all positives."""
    ranks = np.flatnonzero(hits) + 1
    return float((np.arange(1, len(ranks) + 1) / ranks).sum() / positives)


def mean_average_precision(
    classes: np.ndarray, scores: np.ndarray, labels: Labels, num_classes: int
) -> tuple[float, int]:
    """(mean over the classes with a positive of their average precision, number of such classes).

    A video whose list lacks a class is not retrieved for it. Classes without positives are left
    out: if they counted as zero, subsets could not be compared.
    """
    hits = labels.contains(classes).ravel().astype(np.int8)
    positives = labels.class_counts(num_classes)
    return map_at_k(classes.ravel(), scores.ravel(), hits, positives, len(hits) + 1)


def map_at_k(
    classes: np.ndarray,
    scores: np.ndarray,
    rated: np.ndarray,
    positives: np.ndarray,
    k: int = 100_000,
) -> tuple[float, int]:
    """MAP@K of the 2019 challenge's segment task: (mean over classes, number of classes counted).

    classes, scores, rated (n,): of n predicted (class, segment) pairs in any order. rated: 1 where
    raters saw the class, 0 where they did not, -1 where nobody was asked. positives: int64 (C,),
    all pairs that raters confirmed, those that are not predicted too.

    A class's list is its k best predictions, without those that nobody rated. The sum of the
    precisions at its hits is divided by its positives. Classes without a positive do not count.
    """
    sums = np.zeros(len(positives))
    for part in _groups(classes, len(positives)):
        sums += _precisions_by_class(classes[part], scores[part], rated[part], len(positives), k)
    counted = positives > 0
    if not counted.any():
        return float("nan"), 0
    return float((sums[counted] / positives[counted]).mean()), int(counted.sum())


def _groups(classes: np.ndarray, num_classes: int) -> Iterator[np.ndarray]:
    """Index arrays that split all predictions: about TOGETHER in each, whole classes only."""
    group = (np.cumsum(np.bincount(classes, minlength=num_classes)) // TOGETHER).astype(np.uint16)
    of_each = group[classes]
    for one in np.unique(group):
        yield np.flatnonzero(of_each == one)


def _precisions_by_class(classes, scores, rated, num_classes: int, k: int) -> np.ndarray:
    """The sum of the precisions at each class's hits, as `map_at_k` needs them: float64 (C,)."""
    # Integers of 16 bits sort fastest. By class, then best first; stable.
    falling = PLACES[scores.view(np.uint16)] if scores.dtype == np.float16 else -scores
    order = np.lexsort((falling, classes))
    classes, rated = classes[order].astype(np.int64), rated[order]
    starts = np.searchsorted(classes, np.arange(num_classes))
    place = np.arange(len(classes)) - starts[classes]
    listed = (place < k) & (rated >= 0)
    classes, hits = classes[listed], rated[listed] > 0
    starts = np.searchsorted(classes, np.arange(num_classes))
    rank = np.arange(len(classes)) - starts[classes] + 1
    found = np.concatenate([[0], np.cumsum(hits)])
    precision = (found[1:] - found[starts[classes]]) / rank
    return np.bincount(classes, weights=precision * hits, minlength=num_classes)


def cross_entropy(
    classes: np.ndarray, logits: np.ndarray, labels: Labels, num_classes: int
) -> float:
    """Mean binary cross-entropy over all videos and classes; see `cross_entropies`."""
    return _mean(cross_entropies(classes, logits, labels)) / num_classes


def cross_entropies(classes: np.ndarray, logits: np.ndarray, labels: Labels) -> np.ndarray:
    """Binary cross-entropy of each video, summed over classes, from the k kept logits: (N,).

    A label that is not kept counts as if it had the least of the row's logits. Any other class that
    is not kept counts as no loss. So it is a lower bound, exact when all classes are kept.
    """

    def of_videos(classes, logits, labels):
        hits, z = labels.contains(classes), logits.astype(np.float64)
        kept = np.logaddexp(0, np.where(hits, -z, z)).sum(axis=1)
        absent = labels.counts() - hits.sum(axis=1)
        return kept + absent * np.logaddexp(0, -z.min(axis=1))

    return _each(of_videos, classes, logits, labels)


def hit_at(classes: np.ndarray, scores: np.ndarray, labels: Labels, k: int) -> float:
    """The share of videos with at least one of their labels among their k best predictions.

    Videos without labels do not count.
    """

    def hit(classes, scores, labels):
        return labels.contains(_best(classes, scores, k)[0]).any(axis=1)

    return _mean(_each(hit, classes, scores, labels)[labels.counts() > 0])


def perr(classes: np.ndarray, scores: np.ndarray, labels: Labels) -> float:
    """Precision at equal recall rate: the share of a video's n best that is right, of n labels.

    The mean over the videos with labels. Where a list is shorter than n, the rest counts as wrong.
    """

    def right(classes, scores, labels):
        classes, _ = _best(classes, scores, classes.shape[1])
        within = np.arange(classes.shape[1]) < labels.counts()[:, None]
        return (labels.contains(classes) & within).sum(axis=1)

    counts = labels.counts()
    return _mean(_each(right, classes, scores, labels)[counts > 0] / counts[counts > 0])


def evaluate(
    classes: np.ndarray, scores: np.ndarray, labels: Labels, num_classes: int
) -> dict[str, float | int | None]:
    """gap20, map, classes (counted in map), hit1, hit5, perr, videos; None where there are none.

    Of the 20 best predictions of each video: longer lists are cut, to judge all systems alike.
    """
    if classes.shape[1] > TOP_K:
        blocks = [slice(i, i + BLOCK) for i in range(0, max(len(classes), 1), BLOCK)]
        parts = [_best(classes[block], scores[block], TOP_K) for block in blocks]
        classes, scores = map(np.concatenate, zip(*parts, strict=True))
    mean_ap, counted = mean_average_precision(classes, scores, labels, num_classes)
    figures = {
        "gap20": gap(classes, scores, labels),
        "map": mean_ap,
        "classes": counted,
        "hit1": hit_at(classes, scores, labels, 1),
        "hit5": hit_at(classes, scores, labels, 5),
        "perr": perr(classes, scores, labels),
        "videos": len(labels),
    }
    return {name: None if value != value else value for name, value in figures.items()}


def _precisions_by_counting(classes, scores, labels: Labels, k: int) -> float:
    """The sum of the precisions at each hit, of float16 scores.

    It sorts one block of videos at a time; counts of the 65,536 scores tell what comes before it.
    """

    def blocks():
        """Yields (place of the score, whether it is right) of the predictions of each block."""
        for start in range(0, len(labels), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(labels)))
            best, place = classes[rows], PLACES[scores[rows].view(np.uint16)]
            if place.shape[1] > k:
                order = np.argsort(place, axis=1, kind="stable")[:, :k]
                best, place = (np.take_along_axis(part, order, 1) for part in (best, place))
            yield place.ravel(), labels.take(rows).contains(best).ravel()

    counts = sum(_counts(place, hit) for place, hit in blocks())
    before = np.cumsum(counts, axis=1) - counts  # predictions, and hits, of better scores
    total = 0.0
    for place, hit in blocks():
        order = np.argsort(place, kind="stable")
        here = _counts(place, hit)
        first, first_hit = np.cumsum(here, axis=1) - here
        at = np.flatnonzero(hit[order])
        place = place[order[at]]
        rank = before[0, place] + at - first[place] + 1
        hits = before[1, place] + np.arange(len(at)) - first_hit[place] + 1
        total += float((hits / rank).sum())
        before += here  # equal scores of later blocks come after these
    return total


def _counts(place: np.ndarray, hit: np.ndarray) -> np.ndarray:
    """The number of predictions and of hits at each place: int64 (2, 65,536)."""
    return np.stack([np.bincount(part, minlength=len(PLACES)) for part in (place, place[hit])])


def _each(figure, classes: np.ndarray, scores: np.ndarray, labels: Labels) -> np.ndarray:
    """`figure` of each video, computed block by block: float64 (N,)."""
    parts = [np.zeros(0)]
    for start in range(0, len(labels), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(labels)))
        parts.append(figure(classes[rows], scores[rows], labels.take(rows)))
    return np.concatenate(parts)


def _best(classes: np.ndarray, scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Each row best first, cut to k."""
    order = np.argsort(-scores.astype(np.float64), axis=1, kind="stable")[:, :k]
    return np.take_along_axis(classes, order, 1), np.take_along_axis(scores, order, 1)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
