"""Videos under different ids whose features are alike: copies, and near-copies.

Copies have the same hash of all features. Near-copies have a cosine of at least ALIKE. Each video
gets a code, the signs of BITS random projections of some features (SimHash; Charikar, Similarity
Estimation Techniques from Rounding Algorithms, 2002). Videos that are close in the order of their
codes, read from several bits on, are compared. So a few near-copies are missed, and no work grows
with the number of pairs. N videos, n of them, W width of a kind of features, P pairs.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from crc32c import crc32c

from folds.hashes import rows_alike
from yt8m.base.arrays import blocks, scratch
from yt8m.data.splits import uniform
from yt8m.data.store import Features, Store

ALIKE = 0.95  # of the centred features; four of 28,792 videos of YouTube-8M have such a neighbour
SAMPLE = 1 << 20  # videos whose codes are sorted: some 30 bytes of memory each
COLUMNS, BITS = 128, 64  # of all features, those that a code is made of; its bits
STARTS, AHEAD = 8, 8  # orders of the codes; how many videos behind each one are compared
NEAR_BITS = 10  # bits that may differ: at a cosine of ALIKE, one pair in twenty has more
MIXER = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 1 << 10  # videos read at a time; those whose mean centres the features
NARROW = 16  # features; of fewer, those of strangers are as near
MOST = 1 << 16  # pairs with close codes that are compared


@dataclass(frozen=True)
class Alike:
    """Pairs of rows that are alike, each once, ascending: int64 (P, 2).

    copies: bool (P,), whether all features of the two are the same.
    """

    pairs: np.ndarray
    copies: np.ndarray


def find_alike(data: Store, folder: Path) -> Alike:
    """Copies and near-copies among the videos of a store. folder: for nameless files."""
    videos = _Features(data)
    hashes, codes = (scratch(folder, np.uint64, (len(data),)) for _ in range(2))
    for block in blocks(len(data), BLOCK):
        values = data.video(np.arange(block.start, block.stop))
        hashes[block], codes[block] = _hash(values), videos.codes(values)
    rows = np.arange(len(data) if data.dims.width >= NARROW else 0)
    if len(rows) > SAMPLE:
        rows = np.sort(np.argsort(uniform(data.ids, "near copies"), kind="stable")[:SAMPLE])
    near = [np.sort(rows[pairs], axis=1) for pairs in _close(codes[rows])]
    near = np.unique(np.concatenate([np.zeros((0, 2), np.int64), *near]), axis=0)[:MOST]
    pairs = np.unique(np.concatenate([_equal(hashes), near]), axis=0)
    judged = [videos.judge(pairs[block]) for block in blocks(len(pairs), BLOCK)]
    alike, copies = np.concatenate([np.zeros((2, 0), bool), *judged], axis=1)
    return Alike(pairs[alike], copies[alike])


def _hash(values: Features) -> np.ndarray:
    """A number of all features of each video, equal for equal ones: uint64 (n,)."""
    found = np.uint64(0)
    for array in values.values():
        found = found * MIXER + np.array([crc32c(row) for row in array], np.uint64)
    return found


def _equal(hashes: np.ndarray) -> np.ndarray:
    """Pairs of a video and the next one with the same hash."""
    rows = rows_alike(lambda block: hashes[block], len(hashes))
    rows = rows[np.argsort(hashes[rows], kind="stable")]
    return np.stack([rows[:-1], rows[1:]], axis=1)[hashes[rows[:-1]] == hashes[rows[1:]]]


def _close(codes: np.ndarray) -> Iterator[np.ndarray]:
    """Pairs of places of codes, uint64 (n,), that differ in few bits and are close to each other in
    the order of the codes rotated by some bits."""
    for start in range(0, BITS, BITS // STARTS):
        left, right = np.uint64(start), np.uint64(BITS - start)
        order = np.argsort(codes << left | codes >> right if start else codes, kind="stable")
        inside = codes[order]
        for step in range(1, min(AHEAD, len(order) - 1) + 1):
            differ = np.bitwise_count(inside[step:] ^ inside[:-step])
            at = np.flatnonzero(differ <= NEAR_BITS)[:MOST]
            yield np.stack([order[at], order[at + step]], axis=1)


class _Features:
    """Codes and cosines of a store's videos, centred on the mean of some of them."""

    def __init__(self, data: Store):
        self.data, rng = data, np.random.default_rng(0)
        chosen = np.linspace(0, len(data) - 1, min(BLOCK, len(data))).astype(np.int64)
        self.means = {k: v.mean(axis=0, dtype=np.float32) for k, v in data.video(chosen).items()}
        chosen = np.sort(rng.permutation(data.dims.width)[:COLUMNS])
        ends = np.cumsum([len(mean) for mean in self.means.values()])
        parts = np.split(chosen, np.searchsorted(chosen, ends[:-1]))
        starts = ends - [len(mean) for mean in self.means.values()]
        self.columns = {k: p - s for k, p, s in zip(self.means, parts, starts, strict=True)}
        self.planes = rng.normal(size=(len(chosen), BITS)).astype(np.float32)

    def codes(self, values: Features) -> np.ndarray:
        """uint64 (n,)."""
        parts = [
            np.take(values[kind], own, axis=1) - self.means[kind][own]  # eight times as fast as []
            for kind, own in self.columns.items()
        ]
        signs = np.concatenate(parts, axis=1) @ self.planes > 0
        return np.packbits(signs, axis=1).view(np.uint64)[:, 0]

    def judge(self, pairs: np.ndarray) -> np.ndarray:
        """Whether pairs are alike, and whether they are copies: bool (2, n). The cosine of a pair
        is the mean of those of all kinds."""
        first, second = (self.data.video(pairs[:, side]) for side in (0, 1))
        total, same = 0, np.ones(len(pairs), bool)
        for kind, mean in self.means.items():
            one, two = first[kind] - mean, second[kind] - mean
            sizes = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
            total += (one * two).sum(axis=1) / np.maximum(sizes, 1e-12)
            same &= (first[kind] == second[kind]).all(axis=1)
        return np.stack([same | (total >= ALIKE * len(self.means)), same])
