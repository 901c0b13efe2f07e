"""Sparse predictions: the K best classes of each video, with their ids.

Logits, not probabilities: float16 probabilities lose the ranking near 1, which GAP needs. Dense
ones would be 43 GB a model at 5.6 million videos. Everyone who reads them aligns on ids.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from yt8m.base.arrays import blocks, empty, open_arrays, write_arrays
from yt8m.base.cli import InputError
from yt8m.base.files import check_members
from yt8m.data.origins import Origin, origin_of
from yt8m.data.splits import find_rows
from yt8m.records.framing import LONGEST

BLOCK = 1 << 14  # videos copied at a time
RANK_OFFSET = 10  # of reciprocal ranks: softens the difference between the first places
COLUMN_PLACES = (1, 2, 3, 5, 10, 20)  # of a video's largest mean logits: columns of the stack
TOP_K = 20  # predictions of a video that count: for GAP@20, and in the challenge's files


@dataclass(frozen=True)
class Predictions:
    """ids bytes (N,); classes uint16 (N, K); logits float16 (N, K), descending in a row; origin:
    what they were made from, None where the file does not say."""

    ids: np.ndarray
    classes: np.ndarray
    logits: np.ndarray
    where: str = "predictions"
    origin: Origin | None = None

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Opens a file of `write`, mapped, or a .npz of the same arrays by numpy. InputError when
        absent, damaged, or not predictions."""
        arrays = _read_npz(path) if path.suffix == ".npz" else open_arrays(path)
        if set(arrays) != {"ids", "classes", "logits"}:
            raise InputError(f"{path}: holds {sorted(arrays)}, not predictions; delete it")
        return cls(**arrays, where=str(path), origin=origin_of(path))

    def write(self, path: Path) -> None:
        """Writes a .safetensors atomically."""
        arrays = {"ids": self.ids, "classes": self.classes, "logits": self.logits}
        write_arrays(path, arrays, self.origin.header if self.origin else None)

    def align(self, ids: np.ndarray, folder: Path | None = None) -> "Predictions":
        """The predictions of `ids`, in that order; InputError on an absent or doubled id.

        `ids` must differ. Nothing is copied where the predictions have that order already; else
        into memory, or, if given, into files without a name in `folder`.
        """
        if np.array_equal(self.ids, ids):
            return self
        rows = find_rows(ids, self.ids, self.where)
        found = to_fill(ids, self.classes.shape[1], folder)
        found = replace(found, where=self.where, origin=self.origin)
        found.put(np.arange(len(rows)), self, rows)
        return found

    def put(self, places: np.ndarray, others: "Predictions", rows: np.ndarray) -> None:
        """Copies `rows` of others to `places` here, as many of the best classes as there is room
        for: a block of videos at a time."""
        width = self.classes.shape[1]
        for block in blocks(len(rows), BLOCK):
            to, of = places[block], rows[block]
            self.classes[to] = others.classes[of, :width]
            self.logits[to] = others.logits[of, :width]

    @property
    def scores(self) -> np.ndarray:
        """Probabilities, float32 (N, K)."""
        return sigmoid(self.logits)


def to_fill(ids: np.ndarray, k: int, folder: Path | None = None) -> Predictions:
    """Predictions to be filled: in memory or, if given, in files without a name in `folder`."""
    kinds = (np.uint16, np.float16)
    return Predictions(ids, *(empty(folder, kind, (len(ids), k)) for kind in kinds))


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a .npz that a user made. InputError when absent or damaged."""
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            check_members(arrays.zip, path, LONGEST)
            return _check_foreign(dict(arrays))
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; give a file of predictions") from error
    except Exception as error:  # numpy, zipfile and zlib have many of their own
        raise InputError(f"{path}: cannot be read ({error}); write it by np.savez") from error


def _check_foreign(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same, ids as bytes. ValueError on shapes, types and values that predictions cannot have;
    other names of arrays are for the caller."""
    if set(arrays) != {"ids", "classes", "logits"}:
        return arrays
    ids, classes, logits = (arrays[name] for name in ("ids", "classes", "logits"))
    if ids.dtype.kind == "U":
        ids = np.char.encode(ids, "utf-8")
    if ids.dtype.kind != "S" or ids.ndim != 1 or classes.ndim != 2 or len(classes) != len(ids):
        raise ValueError(f"ids are {ids.dtype} {ids.shape}, classes {classes.shape}")
    if logits.shape != classes.shape or logits.dtype.kind != "f" or np.isnan(logits).any():
        raise ValueError(f"logits must be numbers of shape {classes.shape}")
    known = classes.dtype.kind in "iu" and classes.min(initial=0) >= 0
    if not known or classes.max(initial=0) > np.iinfo(np.uint16).max:
        raise ValueError("classes must be whole numbers from 0 to 65535")
    return {"ids": ids, "classes": classes.astype(np.uint16), "logits": logits}


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)) in float32, without overflow."""
    return (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float32)))).astype(np.float32)


def top_k(logits, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Best k classes of a tensor (B, C): classes uint16 and logits float16, (B, min(k, C))."""
    values, classes = logits.topk(min(k, logits.shape[1]), dim=1)  # (B, K), descending
    limit = np.finfo(np.float16).max  # an overflow to infinity would tie the best classes
    values = values.float().cpu().numpy().clip(-limit, limit)
    return classes.cpu().numpy().astype(np.uint16), values.astype(np.float16)
