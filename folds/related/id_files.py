"""Files of ids that people write: GROUPS (id and group) and HOLDOUT (ids). N rows of one."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from folds.conversion.ids import as_ids, read_lines
from folds.conversion.tables import IDS, find_column, open_table
from yt8m.base.cli import InputError
from yt8m.records.description import GROUP

SHARE = "0.1"  # of the videos that are held out where nothing else is said
ROWS = 100_000  # read at a time


@dataclass(frozen=True)
class IdFile:
    """What a file says of videos. ids: bytes (N,), ascending, each once; groups: bytes (N,), b""
    where it names none."""

    ids: np.ndarray
    groups: np.ndarray

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """The row of each id, -1 where the file does not have it: int64 (n,)."""
        at = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[at] == ids, at, -1)


def share_of(text: str, name: str) -> float | None:
    """The share of the videos that a setting, called `name`, gives; None where it is a path.
    InputError on another number."""
    try:
        share = float(text if text.isascii() and "_" not in text else "a path")
    except ValueError:
        return None
    if not 0 <= share < 1:
        raise InputError(f"{name} {text}: at least 0 and less than 1 is allowed")
    return share


def check_groups(path: Path) -> None:
    """InputError unless a table has columns of ids and groups; reads its header alone."""
    if not has_groups(path):
        found = ", ".join(map(str, open_table(path).header)) or "none"
        raise InputError(f"{path}: columns {IDS[0]} and {GROUP} are needed; it has {found}")


def has_groups(path: Path, id_column: str = "id") -> bool:
    """Whether a table has columns of ids and groups."""
    header = open_table(path, id_column).header
    return None not in (find_column(header, id_column, *IDS), find_column(header, GROUP))


def read_groups(path: Path, id_column: str = "id") -> IdFile:
    """Reads a table with columns of ids and groups, CSV or parquet, which has them. InputError
    when an id has two groups."""
    table = open_table(path, id_column)
    places = [find_column(table.header, id_column, *IDS), find_column(table.header, GROUP)]
    pairs: dict[bytes, bytes] = {}
    for videos, names in table.chunks(ROWS, places):
        groups = [str(name).strip().encode() for name in names]
        for video, group in zip(as_ids(videos, path).tolist(), groups, strict=True):
            if pairs.setdefault(video, group) != group:
                name, both = video.decode(errors="replace"), (pairs[video], group)
                both = " and ".join(repr(one.decode()) for one in both)
                raise InputError(f"{path}: id {name!r} has groups {both}; one is allowed")
    return _in_order(path, pairs)


def groups_for(ids: np.ndarray, paths: Iterable[Path], id_column: str) -> np.ndarray | None:
    """The group of each id, of the tables that have groups: bytes (N,), b"" where there is none;
    None when no id has one. InputError when two tables differ."""
    found = np.zeros(len(ids), "S1")
    for path in paths:
        known = read_groups(path, id_column)
        rows = known.rows(ids)
        groups = np.where(rows < 0, b"", known.groups[rows])
        differ = (found != groups) & (found != b"") & (groups != b"")
        if differ.any():
            names = (array[differ][0].decode(errors="replace") for array in (ids, found, groups))
            text = "id {!r} is in group {!r} elsewhere, {!r} here".format(*names)
            raise InputError(f"{path}: {text}; leave one of them out")
        found = np.where(groups == b"", found, groups)
    return found if (found != b"").any() else None


def read_ids(path: Path) -> IdFile:
    """Reads ids, one a line, or the column of ids of a table. InputError without any."""
    table = open_table(path)
    at = find_column(table.header, *IDS)
    if at is None:
        found = as_ids([line for line in read_lines(path) if line.strip()], path).tolist()
    else:
        chunks = (as_ids(videos, path).tolist() for (videos,) in table.chunks(ROWS, [at]))
        found = [video for videos in chunks for video in videos]
    return _in_order(path, dict.fromkeys(found, b""))


def _in_order(path: Path, found: dict[bytes, bytes]) -> IdFile:
    if not found:
        raise InputError(f"{path}: names no video; give ids, one a row")
    ids, groups = (np.array(list(texts), "S") for texts in (found.keys(), found.values()))
    order = np.argsort(ids, kind="stable")
    return IdFile(ids[order], groups[order])
