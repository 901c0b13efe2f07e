"""Sparse labels in compressed rows: N videos, a few of C classes each."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yt8m.base.arrays import empty, let_go

BLOCK = 16_384  # rows whose lists of classes stay in a core's cache


@dataclass(frozen=True)
class Labels:
    """Row i holds the classes `indices[indptr[i]:indptr[i + 1]]`, sorted and unique in a row.

    indptr: int64 (N + 1,); indices: uint16 (number of labels,).
    """

    indptr: np.ndarray
    indices: np.ndarray

    @classmethod
    def from_lists(cls, lists) -> "Labels":
        """From one sequence of classes a video; doubled classes count once."""
        rows = [np.unique(np.asarray(row, np.uint16)) for row in lists]
        indptr = np.append(0, np.cumsum([len(row) for row in rows], dtype=np.int64))
        return cls(indptr, np.concatenate(rows) if rows else np.zeros(0, np.uint16))

    @classmethod
    def concatenate(cls, parts: list["Labels"]) -> "Labels":
        """The rows of all parts, in order."""
        counts = [part.counts() for part in parts]
        indptr = np.zeros(sum(map(len, counts)) + 1, np.int64)
        if parts:
            np.cumsum(np.concatenate(counts), out=indptr[1:])
        return cls(indptr, np.concatenate([np.zeros(0, np.uint16), *(p.indices for p in parts)]))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def counts(self) -> np.ndarray:
        """Labels of each video, int64 (N,)."""
        return np.diff(self.indptr)

    def class_counts(self, num_classes: int, rows: np.ndarray | None = None) -> np.ndarray:
        """Videos of each class, int64 (C,); of `rows` alone, if given, few at a time in memory."""
        if rows is None:
            return np.bincount(self.indices, minlength=num_classes)
        counts = np.zeros(num_classes, np.int64)
        for start in range(0, len(rows), BLOCK):
            counts += self.take(rows[start : start + BLOCK]).class_counts(num_classes)
        return counts

    def take(self, rows: np.ndarray, folder: Path | None = None) -> "Labels":
        """The labels of `rows` (int64 (n,)), in that order: in memory or, if given, in files
        without a name in `folder`."""
        rows = np.asarray(rows, np.int64)
        indptr = empty(folder, np.int64, (len(rows) + 1,))
        indptr[0] = 0
        for start in range(0, len(rows), BLOCK):
            part, ends = rows[start : start + BLOCK], indptr[start : start + BLOCK + 1]
            np.cumsum(self.indptr[part + 1] - self.indptr[part], out=ends[1:])
            ends[1:] += ends[0]
            let_go()
        indices = empty(folder, np.uint16, (int(indptr[-1]),))
        for start in range(0, len(rows), BLOCK):  # what is computed on the way is large
            part, ends = rows[start : start + BLOCK], indptr[start : start + BLOCK + 1]
            place = np.arange(ends[0], ends[-1])
            shift = np.repeat(self.indptr[part] - ends[:-1], np.diff(ends))
            indices[ends[0] : ends[-1]] = self.indices[place + shift]
            let_go()
        return Labels(indptr, indices)

    def rows(self) -> np.ndarray:
        """The row of each entry of `indices`, int64."""
        return np.repeat(np.arange(len(self)), self.counts())

    def contains(self, classes: np.ndarray) -> np.ndarray:
        """Whether row i has class `classes[i, j]`: bool (N, k) for integers (N, k)."""
        if len(classes) != len(self):
            raise AssertionError(f"{len(classes)} rows of classes for {len(self)} of labels")
        found = np.zeros(classes.shape, bool)
        for start in range(0, len(self), BLOCK):
            self._mark(classes[start : start + BLOCK], found[start : start + BLOCK], start)
        return found

    def _mark(self, classes: np.ndarray, found: np.ndarray, start: int) -> None:
        """Sets `found` where the rows from `start` on have the class: first by the first label of
        each, then by the second of those that have two, and so on."""
        indptr = self.indptr[start : start + len(classes) + 1]
        counts = np.diff(indptr)
        for place in range(counts.max(initial=0)):
            rows = np.flatnonzero(counts > place)
            found[rows] |= classes[rows] == self.indices[indptr[rows] + place][:, None]
