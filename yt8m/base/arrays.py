"""Arrays in files, as large as the data: mapped, so that a process holds what it looks at.

    open_array, create      one array, a .npy file
    open_npz, write_npz     named arrays in an uncompressed .npz; each is mapped where it lies
    scratch, empty          an array in a file without a name, gone with its process; or in memory

All are plain numpy arrays. A page of a file stays with the process that touched it until `let_go`,
which loops over data call as they go on, finds more than MEMORY_MB of them. They then stay in the
system's cache, what was written to them too. So memory does not grow with the data, and where there
is enough of it, nothing is read twice.
"""

import contextlib
import functools
import mmap
import os
import resource
import struct
import tempfile
import tokenize
import weakref
import zipfile
import zlib
from pathlib import Path

import numpy as np

from yt8m.base.cli import DISK_FULL, InputError
from yt8m.base.files import writing

MEMORY_MB = 128  # of mapped files in a process's memory; the variable YT8M_MEMORY_MB says otherwise
PAGE = mmap.PAGESIZE
MOST_FILES = 10_240  # open at a time; what macOS allows
DAMAGED = (  # what zipfile, zlib and numpy raise for it
    *(ValueError, OSError, EOFError, RuntimeError, struct.error, zlib.error),
    *(zipfile.BadZipFile, tokenize.TokenError),
)
BLOCK_BYTES = 1 << 20  # read or written at a time
ALIGNMENT = 64  # bytes; where arrays begin in a .npz
LOCAL_HEADER, ZIP64 = 30, 20  # bytes of a member's header in a .zip, and of its field of long sizes
PADDING = 0xD935  # a field of that header that holds nothing, as Android's zipalign writes it

_maps: "weakref.WeakSet[mmap.mmap]" = weakref.WeakSet()  # those that are open
_before = 0  # bytes of files that were in memory when pages were let go of


def open_array(path: Path) -> np.ndarray:
    """A .npy, to be read. FileNotFoundError; ValueError when it is none or cut off."""
    with open(path, "rb") as file:
        return _mapped(path, *_header(file), file.tell())


def create(path: Path, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """A new .npy, to be written into. InputError when the disk has no room for it."""
    shape = tuple(int(size) for size in shape)  # a numpy integer in the header cannot be read back
    described = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    with open(path, "wb+") as file:
        np.lib.format.write_array_header_1_0(file, described)
        return _new(file, np.dtype(dtype), shape, Path(path).parent)


def scratch(folder: Path, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array to be written into, in a file of `folder` that has no name. InputError when the disk
    has no room for it."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        return _new(file, np.dtype(dtype), shape, folder)


def empty(folder: Path | None, dtype, shape: tuple[int, ...]) -> np.ndarray:
    """An array to be written into: in memory or, if given, as `scratch` in a folder."""
    return np.empty(shape, dtype) if folder is None else scratch(folder, dtype, shape)


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Writes named arrays atomically. The same arrays are the same bytes whenever they are written,
    which np.savez's are not: what is made from them is then found to be complete."""
    with writing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            start = archive.fp.tell() + LOCAL_HEADER + len(member.filename) + ZIP64 + 4
            member.extra = struct.pack("<HH", PADDING, -start % ALIGNMENT)
            member.extra += bytes(-start % ALIGNMENT)
            with archive.open(member, "w", force_zip64=True) as file:
                _write(file, np.ascontiguousarray(array).reshape(np.shape(array)))


def open_npz(path: Path) -> dict[str, np.ndarray]:
    """Named arrays, to be read; nothing is unpickled. All bytes are read once, and compared with
    their checksums. InputError when absent or damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                member.filename.removesuffix(".npy"): _member(path, archive, member)
                for member in archive.infolist()
            }
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run `make` to build it") from error
    except DAMAGED as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, run `make`") from error


def let_go() -> None:
    """Lets go of the pages of all mapped arrays if there are more than MEMORY_MB of them."""
    global _before
    limit, held = _limit(), _in_memory()
    if held is None or held - _before > limit:
        for mapped in list(_maps):
            if hasattr(mmap, "MADV_DONTNEED"):
                mapped.madvise(mmap.MADV_DONTNEED)
        _before = _in_memory() or 0


def _limit() -> int:
    text = os.environ.get("YT8M_MEMORY_MB", str(MEMORY_MB))
    if not text.isdecimal() or not int(text):
        raise InputError(f"MEMORY_MB {text}: a number of MB, 1 or more, is wanted")
    return int(text) << 20


def _in_memory() -> int | None:
    """Bytes of files, libraries too, that this process has in memory; None if the system does not
    tell."""
    file = _opened_statm(os.getpid())
    return None if file is None else int(os.pread(file, 99, 0).split()[2]) * PAGE


@functools.cache
def _opened_statm(process: int) -> int | None:
    """What Linux tells of a process's memory, kept open: let_go looks there thousands of times."""
    with contextlib.suppress(OSError):
        return os.open(f"/proc/{process}/statm", os.O_RDONLY)


def _mapped(file, shape: tuple[int, ...], dtype: np.dtype, offset: int, mode="r") -> np.ndarray:
    """A plain array of a file's bytes; nothing can be mapped of an empty one."""
    if dtype.hasobject:
        raise ValueError("holds Python objects")
    if 0 in shape:
        return np.zeros(shape, dtype)
    _allow_many_files()
    array = np.memmap(file, dtype, mode, offset, shape)
    _maps.add(array._mmap)
    return np.asarray(array)


@functools.cache
def _allow_many_files() -> None:
    """Each map keeps its file open: a large store has thousands, and many systems allow 1,024
    unless a process asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _new(file, dtype: np.dtype, shape: tuple[int, ...], folder: Path) -> np.ndarray:
    """Takes the room at once, where the system can promise it: a process that writes into a mapped
    file when the disk is full is killed."""
    start, size = file.tell(), int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    file.flush()
    try:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, start + size)
    except OSError as error:
        if error.errno in DISK_FULL:  # others cannot promise room
            raise InputError(
                f"{folder}: no room for {size / 1e6:,.0f} MB ({error.strerror}); free some or "
                "choose another ARTIFACTS"
            ) from error
    return _mapped(file, shape, dtype, start, "r+")


def _header(file) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) of a .npy that is read from its beginning."""
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in read:
        raise ValueError(f"is of .npy version {version}")
    shape, fortran, dtype = read[version](file)
    if fortran and len(shape) > 1:
        raise ValueError("is in Fortran's order")
    return shape, dtype


def _member(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """An array of a .npz: mapped, or read where it is compressed or begins at an odd place."""
    with archive.open(member) as file:
        shape, dtype = _header(file)
        start, size = file.tell(), int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if member.file_size - start != size:
            raise ValueError(f"{member.filename}: {member.file_size - start} bytes, not {size}")
        while file.read(BLOCK_BYTES):  # to the end, where its checksum is compared
            pass
    archive.fp.seek(member.header_offset + 26)
    name, extra = struct.unpack("<HH", archive.fp.read(4))
    offset = member.header_offset + LOCAL_HEADER + name + extra + start
    if member.compress_type == zipfile.ZIP_STORED and not offset % dtype.alignment:
        return _mapped(path, shape, dtype, offset)
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _write(file, array: np.ndarray) -> None:
    """The bytes of a .npy, a block at a time."""
    described = np.lib.format.header_data_from_array_1_0(array)
    np.lib.format.write_array_header_1_0(file, described)
    flat = array.reshape(-1)
    step = max(1, BLOCK_BYTES // array.itemsize)
    for at in range(0, len(flat), step):
        file.write(flat[at : at + step].tobytes())
        let_go()
