"""What an artifact was made from: it says so itself, and who reads it checks it.

An `Origin` stands in the header of weights and predictions, in rows.json, in the JSON beside a
booster and in an export's model.json. A file that says nothing, or something else than its place
and the folds of today imply, is refused: a leak would look like a good model.
"""

import contextlib
import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from yt8m.base.arrays import blocks, open_arrays, write_arrays
from yt8m.base.cli import InputError
from yt8m.base.digests import header_of
from yt8m.base.receipts import check_seal
from yt8m.data.splits import Splits

ANY = "any"  # as training videos: whoever reads an artifact has no folds to compare
SOFT_LABELS = "stacking/soft_labels"  # as who made something
MADE_FROM = "made_from"  # the key of an origin in headers and JSON
BLOCK = 1 << 15  # ids hashed at a time
REMEDY = "delete it and run `make`"


@dataclass(frozen=True)
class Origin:
    """made_by: the job's folder in a run; fold: which it never saw, None if it learnt from all;
    training: `digest_of` the videos whose labels decided it; inputs: digests by name."""

    made_by: str
    fold: int | None
    training: str
    inputs: dict[str, str | None] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def header(self) -> dict[str, str]:
        """What a safetensors file says of it."""
        return {MADE_FROM: self.text}

    @classmethod
    def parse(cls, found: str | dict | None) -> "Origin | None":
        """Of `text`, or of the object itself; None for anything else."""
        with contextlib.suppress(TypeError, ValueError):
            return cls(**(json.loads(found) if isinstance(found, str) else found))
        return None


def hashes_of(ids: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
    """`hash_ids`, ascending: uint64 (N,). rows: of which of the ids (all)."""
    rows = np.arange(len(ids)) if rows is None else rows
    found = np.zeros(len(rows), np.uint64)
    for block in blocks(len(rows), BLOCK):
        found[block] = hash_ids(ids[rows[block]])
    return np.sort(found)


def hash_ids(ids: np.ndarray) -> np.ndarray:
    """A number of 64 bits for each id: uint64 (n,). ids bytes (n,), of any width: those of other
    widths, padded with zeros, have the same numbers."""
    words = -(-ids.dtype.itemsize // 8)
    parts, found = ids.astype(f"S{8 * words}").view("<u8").reshape(-1, words), np.uint64(0)
    for place in range(words):
        key = _mix(np.array([place + 1], np.uint64))
        found = found + np.where(parts[:, place] == 0, np.uint64(0), _mix(parts[:, place] ^ key))
    return _mix(found)


def _mix(x: np.ndarray) -> np.ndarray:
    """The finaliser of SplitMix64 (Steele et al., 2014): each bit depends on all bits."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def write_hashes(path: Path, hashes: np.ndarray) -> None:
    """Writes `hashes_of` some videos."""
    write_arrays(path, {"hashes": hashes})


def read_hashes(path: Path) -> np.ndarray:
    """What `write_hashes` wrote. InputError when it is absent, damaged, or something else."""
    found = open_arrays(path).get("hashes")
    if found is None or found.dtype != np.uint64 or found.ndim != 1:
        raise InputError(f"{path}: holds no hashes of videos; delete it")
    return np.array(found)


def count_known(hashes: np.ndarray, ids: np.ndarray) -> int:
    """How many of the videos are among those of `hashes`."""
    return int(np.isin(hashes_of(ids), hashes).sum())


def digest_of_videos(ids: np.ndarray, rows: np.ndarray | None = None) -> str:
    """How many videos, and a digest of the set of their ids, in any order: "3617 1f0c..."."""
    return digest_of_hashes(hashes_of(ids, rows))


def digest_of_hashes(hashes: np.ndarray) -> str:
    """The same of `hashes_of` them."""
    digest = hashlib.sha256(hashes.astype("<u8").tobytes()).hexdigest()
    return f"{len(hashes)} {digest[:16]}"


def without(fold: int | None, splits: Splits, ids: np.ndarray) -> str:
    """`digest_of_videos` that a model without this fold learns from; None: of all folds."""
    return digest_of_videos(ids, splits.training if fold is None else splits.others(fold))


def origin_of(path: Path) -> Origin | None:
    """What the header of a .safetensors says; None when it says nothing, or is no such file."""
    return Origin.parse(header_of(path).get(MADE_FROM))


def check_origin(
    found: Origin | None,
    path: Path | str,
    made_by: str,
    fold: int | None,
    training: str,
    sealed: bool = True,
    **inputs: str | None,
) -> Origin:
    """The origin. InputError when the artifact at `path` is not what it is read as.

    inputs: digests that those of the same names must have; None: not known here. sealed: whether
    the job that wrote it has ended, so that its receipt must speak of this file.
    """
    if found is None:
        raise InputError(f"{path}: does not say what it was made from; {REMEDY}")
    where = f"fold {fold}" if fold is not None else "no fold"
    if found.made_by != made_by:
        raise InputError(f"{path}: was made by {found.made_by}, not by {made_by}; {REMEDY}")
    if found.fold != fold:
        own = "no fold" if found.fold is None else f"fold {found.fold}"
        raise InputError(f"{path}: was made without {own}, not without {where}; {REMEDY}")
    if training not in (ANY, found.training):
        counts = [text.split()[0] for text in (found.training, training)]
        raise InputError(
            f"{path}: learnt from other videos than these folds give it without {where} "
            f"({counts[0]}, and {counts[1]} are right); {REMEDY}"
        )
    for name, digest in inputs.items():
        if digest is not None and found.inputs.get(name) != digest:
            raise InputError(f"{path}: was made from another {name} than is there; {REMEDY}")
    if sealed:
        check_seal(Path(path))
    return found
