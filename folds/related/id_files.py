"""Files of ids that people write: GROUPS (id and group) and HOLDOUT (ids). N rows of one."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from folds.conversion.label_files import IDS
from yt8m.base.cli import InputError
from yt8m.records.description import GROUP

SHARE = "0.1"  # of the videos that are held out where nothing else is said
DELIMITERS = ",;\t|"


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


def group_columns(path: Path) -> list[str]:
    """The columns of a CSV of groups; reads no more. InputError without id and group."""
    columns = _header(path)
    if columns is None or GROUP not in columns:
        found = ", ".join(columns or ()) or "none that is called id"
        raise InputError(f"{path}: columns id and {GROUP} are needed; it has {found}")
    return columns


def read_groups(path: Path) -> IdFile:
    """Reads a CSV with columns id and group. InputError without them or a group, or when an id has
    two."""
    columns = group_columns(path)
    pairs: dict[str, str] = {}
    for row in _rows(path, columns):
        video, group = (row[columns.index(name)].strip() for name in (_id_column(columns), GROUP))
        if pairs.setdefault(video, group) != group:
            both = f"{pairs[video]!r} and {group!r}"
            raise InputError(f"{path}: id {video!r} has groups {both}; one is allowed")
    if not any(pairs.values()):
        raise InputError(f"{path}: names no group; give rows of id and group")
    return _file_of(pairs)


def read_ids(path: Path) -> IdFile:
    """Reads ids, one a line, or the column id of a CSV. InputError without any."""
    columns = _header(path)
    if columns is None:
        with _open(path) as file:
            found = {line.strip(): "" for line in file if line.strip()}
    else:
        at = columns.index(_id_column(columns))
        found = {row[at].strip(): "" for row in _rows(path, columns)}
    if not found:
        raise InputError(f"{path}: has no id; give one a line, or a CSV with a column id")
    return _file_of(found)


def _file_of(found: dict[str, str]) -> IdFile:
    ids, groups = (_bytes(texts) for texts in (found.keys(), found.values()))
    order = np.argsort(ids, kind="stable")
    return IdFile(ids[order], groups[order])


def _bytes(texts) -> np.ndarray:
    return np.array([text.encode(errors="surrogateescape") for text in texts], "S")


def _open(path: Path):
    # An id may be any bytes.
    return open(path, newline="", encoding="utf-8-sig", errors="surrogateescape")


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def _header(path: Path) -> list[str] | None:
    """The columns of a CSV; None where the first line names no ids."""
    with _open(path) as file:
        line = file.readline()
    fields = next(csv.reader([line], delimiter=_delimiter(line)), [])
    columns = [field.strip() for field in fields]
    return columns if any(name in columns for name in IDS) else None


def _id_column(columns: list[str]) -> str:
    return next(name for name in IDS if name in columns)


def _rows(path: Path, columns: list[str]) -> Iterator[list[str]]:
    """The rows behind the header. InputError on one with other fields, or an empty id."""
    at = columns.index(_id_column(columns))
    with _open(path) as file:
        delimiter = _delimiter(file.readline())
        reader = csv.reader(file, delimiter=delimiter)
        try:
            for number, row in enumerate(reader, 2):
                if not any(field.strip() for field in row):
                    continue
                if len(row) != len(columns) or not row[at].strip():
                    text = f"has {len(row)} fields, the header {len(columns)}"
                    text = text if len(row) != len(columns) else "has no id"
                    raise InputError(f"{path}: row {number} {text}; mend it")
                yield row
        except csv.Error as error:
            raise InputError(f"{path}: not a CSV ({error}); mend it") from error
