"""Files that are complete or absent: written under a temporary name, renamed when done.

A kill at any moment leaves at most `<name>.tmp`, which the next run of the same step overwrites;
`working_in` makes sure that only one process at a time works on one output.
"""

import contextlib
import fcntl
import hashlib
import io
import json
import mmap
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np

from yt8m.cli import InputError, log


@contextlib.contextmanager
def writing(path: Path):
    """Yields a temporary path beside `path`, to be created as a file or folder; renames on success.

    A folder that exists at `path` is replaced. On an exception the temporary is removed.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(temporary)
    try:
        yield temporary
        if path.is_dir() or temporary.is_dir():
            remove(path)  # a folder cannot be renamed over what is there
        os.replace(temporary, path)
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    """Removes a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def working_in(folder: Path):
    """Creates `folder` and holds a lock on it, so that no second process works on the same output.

    The lock dies with its process, however that ends. A second process waits: after a killed make,
    a job of the old run may still be working, and its result is then found complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log(f"{folder}: another process is working on it; waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(handle)


def write_json(path: Path, value) -> None:
    """Writes JSON (no NaN) atomically."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path):
    """Reads JSON; InputError when the file is absent or not JSON."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run `make` to build it") from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error}); delete it and run `make`") from error


def write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Writes named arrays atomically. The same arrays are the same bytes whenever they are written,
    which np.savez's are not: what is made from them is then found to be complete."""
    with writing(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, array in arrays.items():
            with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asanyarray(array), allow_pickle=False)


def read_npz(path: Path) -> dict[str, np.ndarray]:
    """Reads named arrays; nothing is unpickled. InputError when absent or damaged."""
    try:
        with open(path, "rb") as file:  # np.load leaves a damaged file open
            return dict(np.load(file, allow_pickle=False))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run `make` to build it") from error
    except (ValueError, OSError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read ({error}); delete it, run `make`") from error


def fingerprint(*parts) -> str:
    """A hash of the contents of the files given, and of the texts: what a result was made from."""
    digest = hashlib.sha256()
    for part in parts:
        with open(part, "rb") if isinstance(part, Path) else io.BytesIO(str(part).encode()) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def forget(*arrays: np.ndarray) -> None:
    """Lets go of the pages that a process has touched of memory-mapped arrays. They stay in the
    files' cache, what was written to them too; without this a process that walks through a file
    holds all of it in the end."""
    for array in arrays:
        mapped = getattr(array, "_mmap", None)
        if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)
