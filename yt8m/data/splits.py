"""Which video is in which fold: decided by a hash of its id, so it is the same on every disk.

folds.safetensors: `ids` (N,) bytes, `fold` int8 (N,): 0..4, HOLDOUT (no stage trains, tunes or
stops on it) or UNUSED (a video without a labels field, as in the test partition). Where videos have
groups, `groups` (N,) bytes: what is hashed instead of the id, the id where a video has none.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yt8m.base.arrays import open_arrays, write_arrays
from yt8m.base.cli import InputError
from yt8m.base.digests import digest_of

NUM_FOLDS = 5
HOLDOUT = -1
UNUSED = -2
UNLABELLED = -3  # of UNLABELLED: in no folds.safetensors, rows that yt8m/data/unlabelled.py adds
HASHED = SOUGHT = 1 << 15  # ids at a time


def uniform(ids: np.ndarray, salt: str) -> np.ndarray:
    """A number in [0, 1) from each id: float64 (N,). Other salts give independent numbers."""
    key, found = salt.encode(), np.empty(len(ids))
    for start in range(0, len(ids), HASHED):  # the hashes of all of them would be large
        part = ids[start : start + HASHED]
        digests = (hashlib.blake2b(bytes(i), digest_size=8, key=key).digest() for i in part)
        integers = np.frombuffer(b"".join(digests), dtype=">u8")
        found[start : start + HASHED] = (integers >> np.uint64(11)) / np.float64(1 << 53)
    return found


def draw_share(ids: np.ndarray, salt: str, share: float) -> np.ndarray:
    """Which ids are in a share that their hashes choose, one of them at least: bool (N,)."""
    draws = uniform(ids, salt)
    return (draws < share) | (draws == draws.min(initial=1))


def seed_of(*parts) -> int:
    """A seed below 2^31 from what a job is (run seed, model, fold, ...), never from who runs it."""
    text = "/".join(str(part) for part in parts).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "big") >> 1


def row_finder(ids: np.ndarray, where):
    """A function from ids to their rows in `ids`; InputError on a doubled id or an absent one."""
    order = np.argsort(ids, kind="stable")
    known = ids[order]
    if len(known) > 1 and (known[1:] == known[:-1]).any():
        first = known[:-1][known[1:] == known[:-1]][0].decode()
        raise InputError(f"{where}: id {first} appears twice; delete it and run `make`")

    def find(wanted: np.ndarray) -> np.ndarray:
        rows, absent = np.zeros(len(wanted), np.int64), []
        for start in range(0, len(wanted), SOUGHT):
            part = wanted[start : start + SOUGHT]
            position = np.searchsorted(known, part)
            inside = position < len(known)
            inside[inside] = known[position[inside]] == part[inside]
            rows[start : start + SOUGHT][inside] = order[position[inside]]
            absent.extend(part[~inside])
        if absent:
            raise InputError(
                f"{where}: {len(absent):,} of {len(wanted):,} videos are absent "
                f"(first: {absent[0].decode()}); delete it and run `make`"
            )
        return rows

    return find


def find_rows(wanted: np.ndarray, ids: np.ndarray, where) -> np.ndarray:
    """The rows of `wanted`, which differ, in `ids`: int32 (n,). InputError as row_finder's."""
    if np.array_equal(ids, wanted):
        return np.arange(len(ids), dtype=np.int32)
    return row_finder(ids, where)(wanted).astype(np.int32)


@dataclass(frozen=True)
class Splits:
    """The fold of every row of a store: int8 (N,). groups: bytes (N,), or None without any; digest:
    of the file that says so."""

    fold: np.ndarray
    groups: np.ndarray | None = None
    digest: str | None = None

    @classmethod
    def read(cls, path: Path, ids: np.ndarray) -> "Splits":
        """Reads folds.safetensors for a store's ids. InputError on an absent or doubled one."""
        arrays = open_arrays(path)
        rows, groups = find_rows(ids, arrays["ids"], path), arrays.get("groups")
        groups = None if groups is None else groups[rows]
        return cls(arrays["fold"][rows], groups, digest_of(path))

    def write(self, path: Path, ids: np.ndarray) -> None:
        """Writes folds.safetensors."""
        groups = {} if self.groups is None else {"groups": self.groups}
        write_arrays(path, {"ids": ids, "fold": self.fold.astype(np.int8)} | groups)

    def keys(self, ids: np.ndarray) -> np.ndarray:
        """What `uniform` is to hash, so that every split keeps groups together: bytes (N,). ids: of
        all rows."""
        return ids if self.groups is None else self.groups

    def with_unlabelled(self, ids: np.ndarray) -> "Splits":
        """The same before rows of UNLABELLED with these ids, each a group of its own."""
        fold = np.concatenate([self.fold, np.full(len(ids), UNLABELLED, self.fold.dtype)])
        groups = None if self.groups is None else np.concatenate([self.groups, ids])
        return Splits(fold, groups, self.digest)

    def rows(self, k: int) -> np.ndarray:
        """Rows of fold k: int32, as those of all sets here: half as large as numpy's own."""
        return _places(self.fold == k)

    def others(self, *folds: int) -> np.ndarray:
        """Rows of every fold but these: without fold k, what its models train on."""
        wanted = self.fold >= 0
        for k in folds:
            wanted &= self.fold != k
        return _places(wanted)

    @property
    def training(self) -> np.ndarray:
        """Rows of all folds: what students learn from."""
        return self.others()

    @property
    def unlabelled(self) -> np.ndarray:
        """Rows of UNLABELLED: predicted by all models, and learnt from by students alone."""
        return self.rows(UNLABELLED)

    @property
    def holdout(self) -> np.ndarray:
        """Rows that no stage trains, tunes or stops on."""
        return self.rows(HOLDOUT)


def _places(wanted: np.ndarray) -> np.ndarray:
    return np.flatnonzero(wanted).astype(np.int32)
