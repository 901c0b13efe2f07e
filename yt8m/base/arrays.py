"""Arrays in files, as large as the data: mapped, so that a process holds what it looks at.

    open_array, create          one array, a .npy file
    open_arrays, write_arrays   named arrays, one .safetensors file
    scratch, empty              an array in memory, or in a nameless file, gone with its process

All are plain numpy arrays. A process holds each page of a file that it touched, until `let_go`
finds more than MEMORY_MB of them. Loops over data call it after each block. The pages then stay in
the system's cache, with what was written to them. So memory does not grow with the data; where it
is large enough, nothing is read twice.
"""

import contextlib
import functools
import hashlib
import json
import mmap
import os
import re
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
from crc32c import crc32c

from yt8m.base.cli import DISK_FULL, InputError
from yt8m.base.files import allow_many_files, writing

MEMORY_MB = 128  # of mapped files in a process's memory; the variable YT8M_MEMORY_MB says otherwise
PAGE = mmap.PAGESIZE
BLOCK_BYTES = 1 << 20  # read or written at a time
ALIGNMENT = 64  # bytes; where the data of a .safetensors begin
TYPES = {  # safetensors' names of numpy's types
    f"{letter}{8 * size}": np.dtype(f"<{letter.lower()}{size}")
    for letter, sizes in (("F", (2, 4, 8)), ("I", (1, 2, 4, 8)), ("U", (1, 2, 4, 8)))
    for size in sizes
} | {"BOOL": np.dtype(bool)}
DIGEST, BLANK = 32, "0" * 8  # hexadecimal digits of a digest; what a checksum is computed with
HEAD = re.compile(  # how the header of a file of ours begins, after its length
    rb'(?s:.{8}){"__metadata__":{"checksum":"(?P<checksum>\w{8})","digest":"(?P<digest>\w{32})"'
)

_maps: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()  # those that are open
_before = 0  # bytes of files that were in memory when pages were let go of


def open_array(path: Path) -> np.ndarray:
    """A .npy, to be read; checksums.py compares. FileNotFoundError; ValueError when cut off."""
    return map_array(path)[1]


def map_array(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """All bytes of a .npy, and the array in them. Errors as of `open_array`."""
    array = np.lib.format.open_memmap(path, mode="r")
    with open(path, "rb") as file:
        data = _register(np.memmap(file, np.uint8, "r"))
    values = data[len(data) - array.nbytes :].view(array.dtype)
    return data, values.reshape(array.shape, order="C" if array.flags.c_contiguous else "F")


def create(path: Path, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """A new .npy, to be written into. InputError when the disk has no room for it."""
    shape = tuple(int(size) for size in shape)  # a numpy integer in the header cannot be read back
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    with open(path, "rb+") as file:
        _take_room(file, path.stat().st_size, path.parent)
    return _register(array)


def scratch(folder: Path, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array to be written into, in a file of `folder` that has no name. InputError when the disk
    has no room for it."""
    if 0 in shape:
        return np.empty(shape, dtype)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        _take_room(file, int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize, folder)
        return _register(np.memmap(file, dtype, "r+", shape=shape))


def empty(folder: Path | None, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array to be written into: in memory or, if given, as `scratch` in a folder."""
    return np.empty(shape, dtype) if folder is None else scratch(folder, dtype, shape)


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], metadata=None) -> None:
    """Writes named arrays as safetensors, atomically. The same arrays are the same bytes.

    Byte strings (N,) of W bytes become U8 (N, W). The header's metadata hold a digest of all that
    and a checksum (CRC-32C) of the whole file. Blocks are written one by one: the library's writer
    would hold all of a mapped array in memory, and who receives an export may lack the library.
    """
    arrays = {name: np.asarray(arrays[name]) for name in sorted(arrays)}
    arrays = dict(sorted(arrays.items(), key=lambda item: -item[1].dtype.alignment))
    more = metadata or {}  # texts by name
    header = _header(arrays, BLANK, "0" * DIGEST, more)
    digest, checksum = hashlib.sha256(header), 0
    with writing(path) as temporary, open(temporary, "wb") as file:
        file.write(header)
        for block in _blocks(arrays.values()):
            file.write(block)
            digest.update(block)
            checksum = crc32c(block, checksum)
        digest = digest.hexdigest()[:DIGEST]
        checksum = crc32c(_header(arrays, BLANK, digest, more), checksum)
        file.seek(0)
        file.write(_header(arrays, f"{checksum:08x}", digest, more))


def open_arrays(path: Path) -> dict[str, np.ndarray]:
    """Named arrays that write_arrays wrote, mapped, to be read. Reads all bytes once, for their
    checksum. InputError when absent or damaged."""
    with _reading(path) as file:
        header = _read_header(file)
        checksum, found = 0, HEAD.match(header).span("checksum")
        while block := file.read(BLOCK_BYTES):
            checksum = crc32c(block, checksum)
        blanked = header[: found[0]] + BLANK.encode() + header[found[1] :]
        if f"{crc32c(blanked, checksum):08x}".encode() != header[slice(*found)]:
            raise ValueError("its checksum differs")
        data = _register(np.memmap(file, np.uint8, "r"))[len(header) :]
    entries = json.loads(header[8:])
    strings = entries.pop("__metadata__")["strings"].split()
    return {name: _tensor(data, entry, name in strings) for name, entry in entries.items()}


def read_metadata(path: Path) -> dict[str, str]:
    """What a file of write_arrays says beside its arrays. InputError when absent or none."""
    with _reading(path) as file:
        return json.loads(_read_header(file)[8:])["__metadata__"]


def let_go() -> None:
    """Lets go of the pages of all mapped arrays if there are more than MEMORY_MB of them."""
    global _before
    limit, held = _limit(), _in_memory()
    if held is None or held - _before > limit:
        for mapped in list(_maps):
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)
        _before = _in_memory() or 0


def blocks(count: int, size: int) -> Iterator[slice]:
    """The parts of `count` rows, `size` in each; calls let_go when one is done with."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
        let_go()


def _limit() -> int:
    text = os.environ.get("YT8M_MEMORY_MB", str(MEMORY_MB))
    if not text.isdecimal() or not int(text):
        raise InputError(f"MEMORY_MB {text}: a number of MB, 1 or more, is wanted")
    return int(text) << 20


def _in_memory() -> int | None:
    """Bytes of files, libraries too, that this process has in memory; None if the system does not
    say."""
    file = _open_statm(os.getpid())
    return None if file is None else int(os.pread(file, 99, 0).split()[2]) * PAGE


@functools.cache
def _open_statm(process: int) -> int | None:
    """Linux's file about a process's memory, kept open: let_go reads it thousands of times."""
    with contextlib.suppress(OSError):
        return os.open(f"/proc/{process}/statm", os.O_RDONLY)


def _register(array: np.memmap) -> np.ndarray:
    """A mapped array as a plain one, which let_go knows of."""
    allow_many_files()
    _maps.add(array._mmap)
    return np.asarray(array)


def _take_room(file, size: int, folder: Path) -> None:
    """Takes the room for a file at once, where the system can promise it: a process that writes
    into a mapped file when the disk is full is killed."""
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        if error.errno in DISK_FULL:  # others cannot promise room
            raise InputError(
                f"{folder}: no room for {size / 1e6:,.0f} MB ({error.strerror}); free some or "
                "choose another ARTIFACTS"
            ) from error


@contextlib.contextmanager
def _reading(path: Path):
    """A file open for reading; what goes wrong meanwhile becomes an InputError."""
    try:
        with open(path, "rb") as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run `make` to build it") from error
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, run `make`") from error


def _read_header(file) -> bytes:
    """The first bytes of a .safetensors, up to its data. ValueError for another file."""
    size = file.read(8)
    length = int.from_bytes(size, "little")
    if length > os.fstat(file.fileno()).st_size:
        raise ValueError("not a .safetensors file, or cut off")
    header = size + file.read(length)
    if not HEAD.match(header):
        raise ValueError("not a .safetensors file with a checksum")
    return header


def _header(arrays: Mapping[str, np.ndarray], checksum: str, digest: str, more: dict) -> bytes:
    """The header of arrays that lie one after the other; HEAD describes its beginning."""
    strings = [name for name, array in arrays.items() if array.dtype.kind == "S"]
    about = {"checksum": checksum, "digest": digest, "strings": " ".join(strings)} | more
    names = {dtype: name for name, dtype in TYPES.items()}
    entries, end = {"__metadata__": about}, 0
    for name, array in arrays.items():
        shape = array.shape if name not in strings else (*array.shape, array.dtype.itemsize)
        kind = "U8" if name in strings else names[array.dtype]
        start, end = end, end + array.nbytes
        entries[name] = {"dtype": kind, "shape": shape, "data_offsets": (start, end)}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def _blocks(arrays: Iterable[np.ndarray]):
    """The bytes of arrays, a block at a time."""
    for array in arrays:
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        for start in range(0, len(data), BLOCK_BYTES):
            yield data[start : start + BLOCK_BYTES]
            let_go()


def _tensor(data: np.ndarray, entry: dict, is_string: bool) -> np.ndarray:
    """The array of an entry of the header. data: uint8, all that follows the header."""
    shape, dtype = entry["shape"], TYPES[entry["dtype"]]
    if is_string:
        *shape, width = shape
        dtype = f"S{width}"
    return data[slice(*entry["data_offsets"])].view(dtype).reshape(shape)
