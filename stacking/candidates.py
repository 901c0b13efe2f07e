"""Candidates: the classes of a video that several sparse top lists together find likeliest.

They are the stack's rows (lists of the models), and the average of predictions (lists of the
folds). A class that is absent from a list counts with the list's last value, its upper bound.

n videos of a chunk, K entries of a list, C classes, M entries kept.
"""

from pathlib import Path

import numpy as np

from stacking.config import RankBy
from yt8m.base.arrays import blocks
from yt8m.data.predictions import RANK_OFFSET, Predictions, sigmoid, to_fill

CHUNK = 1024  # videos averaged at a time


def votes_of(logits: np.ndarray, rank_by: RankBy) -> np.ndarray:
    """The vote of a list for each of its entries: descending logits -> votes, float32 (n, K)."""
    if rank_by == "rank":
        places = np.arange(logits.shape[1], dtype=np.float32)
        return np.broadcast_to(1 / (RANK_OFFSET + places), logits.shape)
    return sigmoid(logits) if rank_by == "probability" else np.asarray(logits, np.float32)


def pool(lists, rank_by: RankBy, num_classes: int, keep: int):
    """The `keep` best classes by the mean vote of the lists, best first; ties by class.

    lists: (classes (n, K), logits (n, K) descending) pairs; every K >= keep, each may differ.
    Returns classes uint16 (n, keep) and mean votes float32 (n, keep).
    """
    n = len(lists[0][0])
    first = np.arange(n)[:, None] * num_classes  # flat indices: twice as fast as pairs
    above = np.zeros(n * num_classes, np.float32)  # sum over lists of the vote above the last one
    listed = np.zeros(n * num_classes, bool)
    floor = np.zeros((n, 1), np.float32)
    for classes, logits in lists:
        votes = votes_of(logits, rank_by)
        floor += votes[:, -1:]
        at = (first + classes).reshape(-1)
        np.add.at(above, at, (votes - votes[:, -1:]).reshape(-1))
        listed[at] = True
    keys = _sorted_keys(above, np.flatnonzero(listed), n, num_classes)[:, :keep]
    if keys.shape[1] < keep or (n and keys[:, -1].max() == _NOTHING):
        raise AssertionError(f"a list is shorter than the {keep} classes to keep")
    bits = ~(keys >> np.uint64(16)).astype(np.uint32)
    scores = (bits.view(np.float32) + floor) / np.float32(len(lists))
    return (keys & np.uint64(0xFFFF)).astype(np.uint16), scores


_NOTHING = np.uint64(0xFFFF_FFFF_FFFF_FFFF)


def _sorted_keys(above: np.ndarray, listed: np.ndarray, n: int, num_classes: int) -> np.ndarray:
    """Listed classes of each video as ascending integers: inverted bits of the sum, then class.

    The sums are >= 0, so their bits sort as they do; one plain integer sort then orders by sum
    with ties by class, whatever the chunk. uint64 (n, most classes listed), padded at the end.
    """
    bounds = np.searchsorted(listed, np.arange(n + 1) * num_classes)
    counts = np.diff(bounds)
    width = int(counts.max(initial=0))
    video = np.repeat(np.arange(n), counts)
    bits = (~above[listed].view(np.uint32)).astype(np.uint64)
    classes = (listed - video * num_classes).astype(np.uint64)
    keys = np.full((n, width), _NOTHING)
    place = np.arange(len(listed)) + (np.arange(n) * width - bounds[:-1])[video]
    keys.reshape(-1)[place] = bits << np.uint64(16) | classes
    keys.sort(axis=1)
    return keys


def average(
    parts: list[Predictions], num_classes: int, most: int | None = None, folder: Path | None = None
) -> Predictions:
    """The mean probabilities, as logits, of predictions of the same ids: their `most` best.

    Kept in `folder`, or in memory if it is None.
    """
    width = min(part.classes.shape[1] for part in parts)
    found = to_fill(parts[0].ids, min(most or width, width), folder)
    for chunk in blocks(len(found.ids), CHUNK):
        lists = [(part.classes[chunk], part.logits[chunk]) for part in parts]
        classes, means = pool(lists, "probability", num_classes, found.classes.shape[1])
        inside = means.clip(1e-7, 1 - 1e-7)
        found.classes[chunk], found.logits[chunk] = classes, np.log(inside / (1 - inside))
    return found


def sort_by_logit(classes: np.ndarray, logits: np.ndarray):
    """The same entries (n, M) with descending logits; equal ones keep their order."""
    order = np.argsort(-logits, axis=1, kind="stable")
    return np.take_along_axis(classes, order, 1), np.take_along_axis(logits, order, 1)
