"""Features of videos from numpy files or a parquet table, one video at a time in memory.

A source has `ids` (S (N,)), `frames` (whether it is frame-level) and yields, in the order of its
ids, the arrays of each video by modality: (W,) at video level, (T, W) at frame level.
N videos, T frames, W width of a modality.
"""

import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from folds.label_files import as_ids
from yt8m.base.cli import InputError

Arrays = dict[str, np.ndarray]
BATCH = 64  # rows of a table decoded at a time


class Stacked:
    """.npy files, memory-mapped: (N, W), (N, T, W), or (sum of T, W) with the lengths T."""

    def __init__(self, paths: dict[str, Path], ids: Path | None, lengths: Path | None):
        if ids is None:
            first = next(iter(paths.values()))
            raise InputError(f"{first}: give --ids too: a .npy, or a text file with an id a line")
        self.arrays = {name: _load(path) for name, path in paths.items()}
        self.ids = as_ids(_column(ids, str), ids)
        shapes = {len(array.shape) for array in self.arrays.values()}
        if shapes not in ({2}, {3}) or (lengths and shapes == {3}):
            said = ", ".join(f"{paths[n]} {a.shape}" for n, a in self.arrays.items())
            raise InputError(
                f"{said}: (videos, width), (videos, frames, width), or (all frames, width) with "
                "--lengths, is allowed"
            )
        self.frames = shapes == {3} or lengths is not None
        self.ends = None
        rows = len(self.ids)
        if lengths:
            counts = _column(lengths, int)
            if len(counts) != len(self.ids) or (counts < 1).any():
                text = f"{len(counts):,} lengths for {len(self.ids):,} ids; one of 1 or more each"
                raise InputError(f"{lengths}: {text} is needed")
            self.ends = np.cumsum(counts)
            rows = int(self.ends[-1])
        for name, array in self.arrays.items():
            if len(array) != rows:
                what = "frames by the lengths" if lengths else "ids"
                raise InputError(f"{paths[name]}: {len(array):,} rows for {rows:,} {what}")

    def __iter__(self) -> Iterator[Arrays]:
        for row in range(len(self.ids)):
            span = row
            if self.ends is not None:
                span = slice(int(self.ends[row - 1]) if row else 0, int(self.ends[row]))
            yield {name: np.asarray(array[span]) for name, array in self.arrays.items()}


class Ragged:
    """.npz files: one array a video, (T, W) or (W,), under its id."""

    def __init__(self, paths: dict[str, Path]):
        self.paths = paths
        self.files = {name: _load(path) for name, path in paths.items()}
        first, *others = self.files
        self.names = self.files[first].files
        if not self.names:
            raise InputError(f"{paths[first]}: holds no array")
        for other in others:
            odd = set(self.names).symmetric_difference(self.files[other].files)
            if odd:
                both = f"{paths[first]}, {paths[other]}"
                raise InputError(f"{both}: {len(odd):,} ids are in one only (one: {min(odd)})")
        self.ids = as_ids(self.names, paths[first])
        self.frames = self._read(first, self.names[0]).ndim == 2

    def _read(self, modality: str, name: str) -> np.ndarray:
        try:
            return self.files[modality][name]
        except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.paths[modality]}: {name}: cannot be read ({error})") from error

    def __iter__(self) -> Iterator[Arrays]:
        for name in self.names:
            yield {modality: self._read(modality, name) for modality in self.files}


class Table:
    """A parquet file: a column of ids, and of lists (W) or of lists of lists (T, W)."""

    def __init__(self, path: Path, id_column: str, columns: dict[str, str]):
        """columns: by modality; those that the file does not have are left out."""
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError as error:
            text = "parquet is read by pyarrow, which is not installed: pip install pyarrow"
            raise InputError(f"{path}: {text}") from error
        try:
            self.file = pyarrow.parquet.ParquetFile(path)
        except pyarrow.ArrowException as error:
            raise InputError(f"{path}: is no parquet file ({error})") from error
        schema = self.file.schema_arrow
        self.columns = {name: column for name, column in columns.items() if column in schema.names}
        if id_column not in schema.names or not self.columns:
            wanted = f"{id_column}, and {' or '.join(columns.values())}"
            raise InputError(
                f"{path}: columns {wanted}, are needed; it has {', '.join(schema.names)}; name "
                "them by --id-column, --rgb-column, --audio-column"
            )
        nested = set()
        for column in self.columns.values():
            kind = schema.field(column).type
            if not pyarrow.types.is_nested(kind) or not hasattr(kind, "value_type"):
                text = f"column {column} is {kind}; a list of numbers, or of lists, is needed"
                raise InputError(f"{path}: {text}")
            nested.add(pyarrow.types.is_nested(kind.value_type))
        if len(nested) > 1:
            raise InputError(f"{path}: one column is of frames and one is not; take one with them")
        self.path, self.frames = path, nested == {True}
        self.ids = as_ids(self.file.read([id_column]).column(0).to_pylist(), path)

    def __iter__(self) -> Iterator[Arrays]:
        batches = self.file.iter_batches(BATCH, columns=list(self.columns.values()))
        row = 0
        for batch in batches:
            for at in range(len(batch)):
                yield {
                    name: self._array(batch.column(column)[at].values, row)
                    for name, column in self.columns.items()
                }
                row += 1

    def _array(self, values, row: int) -> np.ndarray:
        if values is None:
            raise InputError(f"{self.path}: row {row} is empty")
        if not self.frames:
            return values.to_numpy(zero_copy_only=False)
        widths = set(values.value_lengths().to_pylist()) if len(values) else {0}
        if len(widths) > 1:
            raise InputError(f"{self.path}: row {row} has frames of {sorted(map(str, widths))}")
        flat = values.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(values), -1) if len(values) else flat.reshape(0, 0)


def _load(path: Path):
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise InputError(f"{path}: is no .npy or .npz of numbers ({error})") from error


def _column(path: Path, kind: type) -> np.ndarray:
    """A one-dimensional .npy, or the lines of a text file: str or int64 (n,)."""
    try:
        if path.suffix != ".npy":
            return np.array(path.read_text(encoding="utf-8").splitlines(), str).astype(kind)
        values = _load(path)
        if values.ndim != 1 or (kind is int and values.dtype.kind not in "iu"):
            raise ValueError(f"{values.dtype}, shape {values.shape}")
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values.astype(kind)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: is no column of {kind.__name__} ({error})") from error
