"""Hashes of many videos: which of them are the same, in bounded memory."""

from collections.abc import Callable

import numpy as np

from yt8m.base.arrays import blocks

BLOCK = 1 << 15  # rows at a time
SORTED = 1 << 18  # hashes at a time


def rows_alike(hashes_of: Callable[[slice], np.ndarray], count: int) -> np.ndarray:
    """Which of `count` rows have the hash, uint64, of another one, ascending: those that are the
    same, and seldom others. As many parts of the hashes as there are SORTED rows, one at a time."""
    found, parts = [np.zeros(0, np.int64)], -(-count // SORTED)
    for part in range(parts):
        own = []
        for block in blocks(count, BLOCK):
            hashes = hashes_of(block)
            own.append(hashes[hashes % np.uint64(parts) == part])
        own = np.sort(np.concatenate(own))
        twice = np.unique(own[:-1][own[1:] == own[:-1]])
        if len(twice):
            where = (np.isin(hashes_of(block), twice) for block in blocks(count, BLOCK))
            found.append(np.flatnonzero(np.concatenate(list(where))))
    return np.sort(np.concatenate(found))
