"""Features of videos from numpy files or a parquet table, one video at a time in memory.

N videos, T frames, W width of a kind of features.
"""

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from folds.conversion.ids import as_ids, read_lines
from yt8m.base.cli import InputError
from yt8m.base.files import check_members
from yt8m.records.framing import LONGEST

Arrays = dict[str, np.ndarray]
BATCH = 64  # rows of a table decoded at a time


class FeatureSource:
    """Yields, in the order of `ids` (S (N,)), the arrays of each video by kind of features: (T, W)
    of the kinds in `frames`, (W,) of the others. A video may lack some of `kinds`. unread: columns
    of a table that are no features."""

    ids: np.ndarray
    kinds: set[str]
    frames: set[str]
    unread: Sequence[str] = ()


def from_files(paths: dict[str, Path], ids: Path | None, lengths: Path | None) -> FeatureSource:
    """The source that files are, by kind: all .npy or all .npz. ids, lengths: files beside .npy."""
    suffixes = {path.suffix for path in paths.values()}
    if suffixes not in ({".npy"}, {".npz"}):
        names = ", ".join(map(str, paths.values()))
        raise InputError(f"{names}: all .npy or all .npz is allowed (parquet: --table)")
    if suffixes == {".npy"}:
        return Stacked(paths, ids, lengths)
    if ids or lengths:
        raise InputError(f"{ids or lengths}: a .npz has ids and lengths of its own; leave it out")
    return Ragged(paths)


class Stacked(FeatureSource):
    """.npy files, memory-mapped: (N, W), (N, T, W), or (sum of T, W) with the lengths T."""

    def __init__(self, paths: dict[str, Path], ids: Path | None, lengths: Path | None):
        if ids is None:
            first = next(iter(paths.values()))
            raise InputError(f"{first}: give --ids too: a .npy, or a text file with an id a line")
        self.arrays = {kind: _load(path) for kind, path in paths.items()}
        self.kinds = set(paths)
        self.ids = as_ids(_column(ids, str), ids)
        self.frames = {kind for kind, array in self.arrays.items() if array.ndim == 3}
        wrong = [kind for kind, array in self.arrays.items() if array.ndim not in (2, 3)]
        if wrong or (lengths and self.frames):
            shapes = ", ".join(f"{paths[kind]} {a.shape}" for kind, a in self.arrays.items())
            raise InputError(
                f"{shapes}: (videos, width), (videos, frames, width), or (all frames, width) with "
                "--lengths, is allowed"
            )
        self.ends = None
        if lengths:
            self._cut(_column(lengths, int), lengths)
        for kind, array in self.arrays.items():
            in_rows = self.ends is not None and kind in self.frames
            rows = int(self.ends[-1]) if in_rows else len(self.ids)
            if len(array) != rows:
                what = "frames by the lengths" if in_rows else "ids"
                raise InputError(f"{paths[kind]}: {len(array):,} rows for {rows:,} {what}")

    def _cut(self, counts: np.ndarray, lengths: Path) -> None:
        """Takes the arrays for frames of all videos, but for those with a row a video beside one
        that has a row a frame."""
        if len(counts) != len(self.ids) or (counts < 1).any():
            text = f"{len(counts):,} lengths for {len(self.ids):,} ids; one of 1 or more each"
            raise InputError(f"{lengths}: {text} is needed")
        self.ends = np.cumsum(counts)
        framed = {kind for kind, array in self.arrays.items() if len(array) == self.ends[-1]}
        others = {kind for kind in self.kinds - framed if len(self.arrays[kind]) != len(counts)}
        self.frames = framed | others if framed else self.kinds

    def __iter__(self) -> Iterator[Arrays]:
        for row in range(len(self.ids)):
            span = row
            if self.ends is not None:
                span = slice(int(self.ends[row - 1]) if row else 0, int(self.ends[row]))
            yield {
                kind: np.asarray(array[span if kind in self.frames else row])
                for kind, array in self.arrays.items()
            }


class Ragged(FeatureSource):
    """.npz files: one array a video, (T, W) or (W,), under its id."""

    def __init__(self, paths: dict[str, Path]):
        self.paths, self.kinds = paths, set(paths)
        self.files = {kind: _load(path) for kind, path in paths.items()}
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
        self.frames = {kind for kind in paths if self._read(kind, self.names[0]).ndim == 2}

    def _read(self, kind: str, name: str) -> np.ndarray:
        try:
            return self.files[kind][name]
        except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile) as error:
            raise InputError(f"{self.paths[kind]}: {name}: cannot be read ({error})") from error

    def __iter__(self) -> Iterator[Arrays]:
        for name in self.names:
            yield {kind: self._read(kind, name) for kind in self.files}


class Table(FeatureSource):
    """A parquet file: a column of ids, and of lists (W) or of lists of lists (T, W). A null is a
    kind that the video lacks."""

    def __init__(self, path: Path, id_column: str, named: dict[str, str], usual: tuple[str, ...]):
        """named: columns by kind; usual: kinds that are taken from a column of their name, if the
        file has one."""
        self.file = open_parquet(path)
        import pyarrow

        schema = self.file.schema_arrow
        found = {kind: kind for kind in usual if kind in schema.names}
        self.columns = found | named
        absent = [name for name in (id_column, *named.values()) if name not in schema.names]
        if absent or not self.columns:
            wanted = " and ".join(named.values()) or " or ".join(usual)
            raise InputError(
                f"{path}: columns {id_column}, and {wanted}, are needed; it has "
                f"{', '.join(schema.names)}; name them by --id-column, --feature NAME=COLUMN"
            )
        self.frames = set()
        for kind, column in self.columns.items():
            what = schema.field(column).type
            if not pyarrow.types.is_nested(what) or not hasattr(what, "value_type"):
                text = f"column {column} is {what}; a list of numbers, or of lists, is needed"
                raise InputError(f"{path}: {text}")
            if pyarrow.types.is_nested(what.value_type):
                self.frames.add(kind)
        self.path, self.kinds = path, set(self.columns)
        read = {id_column, *self.columns.values()}
        self.unread = [name for name in schema.names if name not in read]
        self.ids = as_ids(self.file.read([id_column]).column(0).to_pylist(), path)

    def __iter__(self) -> Iterator[Arrays]:
        batches = self.file.iter_batches(BATCH, columns=list(self.columns.values()))
        row = 0
        for batch in batches:
            for at in range(len(batch)):
                values = {k: batch.column(column)[at].values for k, column in self.columns.items()}
                arrays = {k: self._array(k, v, row) for k, v in values.items() if v is not None}
                if not arrays:
                    raise InputError(f"{self.path}: row {row} is empty")
                yield arrays
                row += 1

    def _array(self, kind: str, values, row: int) -> np.ndarray:
        if kind not in self.frames:
            return values.to_numpy(zero_copy_only=False)
        widths = set(values.value_lengths().to_pylist()) if len(values) else {0}
        if len(widths) > 1:
            raise InputError(f"{self.path}: row {row} has frames of {sorted(map(str, widths))}")
        flat = values.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(values), -1) if len(values) else flat.reshape(0, 0)


def open_parquet(path: Path):
    """pyarrow's ParquetFile. InputError when it is none, or pyarrow is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        text = "parquet is read by pyarrow, which is not installed: pip install pyarrow"
        raise InputError(f"{path}: {text}") from error
    try:
        return pyarrow.parquet.ParquetFile(path)
    except pyarrow.ArrowException as error:
        raise InputError(f"{path}: not a parquet file ({error})") from error


def _load(path: Path):
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.lib.npyio.NpzFile):
            check_members(found.zip, path, LONGEST)
        return found
    except InputError:
        raise
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, (FileNotFoundError, PermissionError)):
            raise
        raise InputError(f"{path}: not a .npy or .npz of numbers ({error})") from error


def _column(path: Path, kind: type) -> np.ndarray:
    """A one-dimensional .npy, or the lines of a text file: str or int64 (n,)."""
    try:
        if path.suffix != ".npy":
            return np.array(read_lines(path), str).astype(kind)
        values = _load(path)
        if values.ndim != 1 or (kind is int and values.dtype.kind not in "iu"):
            raise ValueError(f"{values.dtype}, shape {values.shape}")
        return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values.astype(kind)
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a column of {kind.__name__} ({error})") from error
