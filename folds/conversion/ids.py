"""Ids of videos, as any input has them, and other columns of text files."""

from pathlib import Path

import numpy as np

from yt8m.base.cli import InputError
from yt8m.records.values import explain_id, is_id


def as_ids(values, where) -> np.ndarray:
    """Ids as numpy's bytes, S (n,). InputError on one that records cannot have."""
    ids = [_bytes(value) for value in values]
    for row, identity in enumerate(ids):
        if not is_id(identity):
            raise InputError(f"{where}: row {row}: {explain_id(identity)}")
    return np.array(ids, "S")


def _bytes(value) -> bytes:
    if value is None or value != value:  # NaN
        return b""
    return value if isinstance(value, bytes) else str(value).strip().encode()


def read_lines(path: Path) -> list[str]:
    """The lines of a text file in UTF-8, with or without a BOM and empty lines at its end."""
    return path.read_text(encoding="utf-8-sig").rstrip().split("\n")
