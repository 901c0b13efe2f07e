"""Files that are complete or absent: written under a temporary name, renamed when done.

A kill at any moment leaves at most `<name>.tmp`, which the next run of the same step overwrites;
`working_in` makes sure that only one process at a time works on one output.
"""

import contextlib
import fcntl
import functools
import hashlib
import io
import json
import os
import resource
import shutil
from pathlib import Path

from yt8m.base.cli import InputError, log

FULL = ("no space left", "not enough free space", "quota exceeded")  # by safetensors, numpy, ...
FULL_BYTES = 1 << 20  # with less than that free, a disk is full, whatever torch says
MOST_FILES = 10_240  # open at a time; what macOS allows


@contextlib.contextmanager
def writing(path: Path):
    """Yields a temporary path beside `path`, to be created as a file or folder; renames on success.

    A folder that exists at `path` is replaced. On an exception the temporary is removed; InputError
    if it came with a full disk: libraries have many ways of saying so.
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
    except InputError:
        raise
    except Exception as error:
        text = str(error).lower()
        if any(word in text for word in FULL) or shutil.disk_usage(path.parent).free < FULL_BYTES:
            raise InputError(f"{path}: the disk is full; free some and run it again") from error
        raise
    finally:
        remove(temporary)


def require(path: Path, hint: str) -> Path:
    """The path. InputError, with a hint of what to do, when there is no such file."""
    if not path.is_file():
        raise InputError(f"{path}: {'not a' if path.exists() else 'no such'} file; {hint}")
    return path


def check_output(path: Path, name: str = "") -> Path:
    """The path. InputError when no file can be written there; name: what the text begins with."""
    if path.is_dir():
        raise InputError(f"{name}{path}: is a folder; name the file to write")
    if not path.parent.is_dir():
        raise InputError(f"{name}{path}: no folder {path.parent}; create it, or choose another")
    return path


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


def fingerprint(*parts) -> str:
    """A hash of the contents of the files given, and of the texts: what a result was made from."""
    digest = hashlib.sha256()
    for part in parts:
        with open(part, "rb") if isinstance(part, Path) else io.BytesIO(str(part).encode()) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


@functools.cache
def allow_many_files() -> None:
    """Each mapped file stays open: a large store has thousands, and many systems allow 1,024 unless
    a process asks for more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
