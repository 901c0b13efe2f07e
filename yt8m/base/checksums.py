"""Checksums (CRC-32C) of files that are read in pieces, and of texts.

    write_sums             states those of all .npy of a folder, in a file beside them
    open_checked           a .npy, all of it compared
    open_rows              a .npy of which rows are compared when they are first read
    seal_text, open_text   a text whose last line is its checksum

A process compares each block once. What it never reads costs it nothing: a store may be much larger
than what one job takes of it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from crc32c import crc32c

from yt8m.base.arrays import let_go, map_array, open_arrays, write_arrays
from yt8m.base.cli import InputError

SUMS = "checksums.safetensors"  # for each file, one of each block
BLOCK = 1 << 18  # bytes
AT_ONCE = 64  # blocks compared before their pages are let go of
LAST_LINE = "\ncrc32c:"


class Sums:
    """Checksums of a file that is written from its beginning to its end, while it is."""

    def __init__(self):
        self.blocks, self.last, self.size = [], 0, 0  # the last two are of the block not yet full

    def add(self, data) -> None:
        """data: what is written next."""
        data = memoryview(data)
        data = data.cast("B") if data.nbytes else b""
        while len(data):
            piece = data[: BLOCK - self.size]
            self.last, self.size = crc32c(piece, self.last), self.size + len(piece)
            if self.size == BLOCK:
                self.blocks.append(self.last)
                self.last = self.size = 0
            data = data[len(piece) :]

    def end(self) -> np.ndarray:
        """One of each block."""
        return np.array(self.blocks + [self.last] * bool(self.size), np.uint32)


def write_sums(folder: Path, known: Mapping[str, np.ndarray] | None = None) -> None:
    """States the checksums of all .npy in a folder, which nobody changes from then on. known: those
    of some files, of which all but the first block, which has the header, are right."""
    sums, known = {}, known or {}
    for path in sorted(folder.glob("*.npy")):
        data = map_array(path)[0]
        found = np.empty(-(-len(data) // BLOCK), np.uint32)
        if path.name in known:
            found[:] = known[path.name]
        for block in range(1 if path.name in known else len(found)):
            found[block] = crc32c(data[block * BLOCK : (block + 1) * BLOCK])
            if not block % AT_ONCE:
                let_go()
        sums[path.name] = found
    write_arrays(folder / SUMS, sums)


def open_checked(path: Path) -> np.ndarray:
    """A .npy, mapped, to be read. InputError when it is absent, cut off or not as it was written;
    the same when `write_sums` knows nothing of it."""
    return open_rows(path).check_all()


def open_rows(path: Path) -> "CheckedRows":
    """A .npy, mapped, whose rows are compared when they are first read. InputError as above."""
    for needed in (path, path.with_name(SUMS)):
        if not needed.is_file():
            raise error_of(needed, "is missing")
    sums = open_arrays(path.with_name(SUMS)).get(path.name, np.zeros(0, np.uint32))
    if not len(sums) or len(sums) != -(-path.stat().st_size // BLOCK):
        raise error_of(path, "is cut off or has no checksum")
    with open(path, "rb") as file:  # before numpy reads a header that may be anything
        if crc32c(file.read(BLOCK)) != sums[0]:
            raise error_of(path, "its checksum differs (from byte 0)")
    try:
        data, array = map_array(path)
    except (ValueError, OSError) as error:
        raise error_of(path, f"is cut off ({error})") from error
    return CheckedRows(array, len(data) - array.nbytes, _Blocks(path, data, sums))


def error_of(path: Path, what: str) -> InputError:
    """An error about a file in a folder that can be made again."""
    return InputError(f"{path}: {what}; delete {path.parent} and run the same command again")


class _Blocks:
    """The blocks of a file, and which of them have been compared."""

    def __init__(self, path: Path, data: np.ndarray, sums: np.ndarray):
        self.path, self.data, self.sums = path, data, sums
        self.open, self.left = np.ones(len(sums), bool), len(sums)

    def check(self, blocks: np.ndarray) -> None:
        """Compares those of the blocks that nobody has compared. InputError when one differs."""
        blocks = blocks[self.open[blocks]]
        for count, block in enumerate(np.unique(blocks).tolist() if len(blocks) else (), 1):
            if crc32c(self.data[block * BLOCK : (block + 1) * BLOCK]) != self.sums[block]:
                raise error_of(self.path, f"its checksum differs (from byte {block * BLOCK:,})")
            self.open[block] = False
            self.left -= 1
            if not count % AT_ONCE:
                let_go()


class CheckedRows:
    """A mapped array that is read by its first axis: indices give what they do of a numpy array.

    An integer gives a part that is itself checked by rows, if it has three axes or more.
    """

    def __init__(self, array: np.ndarray, offset: int, blocks: _Blocks):
        self.array, self.offset, self.blocks = array, offset, blocks
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.size, self.nbytes = array.size, array.nbytes

    def __len__(self) -> int:
        return len(self.array)

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return np.asarray(self.check_all(), dtype)

    def __getitem__(self, key):
        if not self.blocks.left:
            return self.array[key]
        if isinstance(key, int | np.integer) and self.ndim > 3:
            key = range(len(self))[key]
            start = self.offset + key * self.array.strides[0]
            return CheckedRows(self.array[key], start, self.blocks)
        self._check(key[0] if isinstance(key, tuple) else key)
        return self.array[key]

    def check_all(self) -> np.ndarray:
        """The whole array, compared."""
        self._check(slice(None))
        return self.array

    def _check(self, rows) -> None:
        """Compares the blocks that these rows lie in."""
        width = self.array.strides[0] if self.ndim else self.nbytes
        if not self.array.flags.c_contiguous:
            rows, width = slice(None), self.nbytes // len(self)
        if isinstance(rows, slice) or not self.ndim:
            found = range(len(self))[rows] if self.ndim else range(1)
            if not len(found) or not width:
                return
            first, last = sorted((found[0], found[-1]))
            span = self.offset + first * width, self.offset + (last + 1) * width - 1
            self.blocks.check(np.arange(span[0] // BLOCK, span[1] // BLOCK + 1))
            return
        rows = np.asarray(rows)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows.ravel().astype(np.int64)
        rows = np.where(rows < 0, rows + len(self), rows)
        if not len(rows) or not width:
            return
        starts = self.offset + rows * width
        first, last = starts // BLOCK, (starts + width - 1) // BLOCK
        for further in range(int((last - first).max()) + 1):
            self.blocks.check(np.minimum(first + further, last))


def seal_text(text: str) -> str:
    """The text with its checksum as the last line."""
    return f"{text}{LAST_LINE}{crc32c(text.encode()):08x}\n"


def open_text(path: Path) -> str:
    """The text that was sealed. InputError when it is absent, cut off or not as it was written."""
    try:
        text, _, stated = path.read_text(encoding="utf-8").rpartition(LAST_LINE)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run `make` to build it") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, run `make`") from error
    if stated != f"{crc32c(text.encode()):08x}\n":
        raise InputError(
            f"{path}: is cut off, or its checksum differs; delete it and run the same command again"
        )
    return text
