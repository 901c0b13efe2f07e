"""Files that are complete or absent: written under a temporary name, renamed when done.

A name appears when what it names is on the disk. Temporary names are unique: two processes that
write one file both write it whole, and the last one's stays. A kill leaves such a file, which the
next one that writes the same removes; `working_in` lets one process at a time work on one output.
"""

import contextlib
import errno
import functools
import hashlib
import io
import itertools
import json
import os
import platform
import re
import resource
import shutil
import time
import zipfile
from pathlib import Path

from crc32c import crc32c

from yt8m.base import locks
from yt8m.base.cli import DISK_FULL, InputError

FULL = ("no space left", "not enough free space", "quota exceeded")  # by numpy, torch, ...
FULL_BYTES = 1 << 20  # with less than that free, a disk is full, whatever torch says
MOST_FILES = 10_240  # open at a time; what macOS allows
ABANDONED = 24 * 3600  # seconds after which a temporary file of another host is nobody's
HOST = re.sub(r"[^A-Za-z0-9]", "", platform.node())[:32]
TEMPORARY = re.compile(r"\.(?:(?P<host>\w*)-(?P<pid>\d+)-\d+\.)?tmp")  # ends a name
FSYNC = os.environ.get("YT8M_FSYNC") != "0"  # tests do without: a disk takes milliseconds for each
CHECKSUM = "crc32c"  # a key of JSON objects
_numbers = itertools.count()


@contextlib.contextmanager
def writing(path: Path, durable: bool = True):
    """Yields a temporary path beside `path`, to be created as a file or folder; renames on success.

    A folder that exists at `path` is replaced. On an exception the temporary is removed; InputError
    if it came with a full disk: libraries have many ways of saying so. durable: of logs and caches
    nothing is lost with the power.
    """
    path = Path(path)
    temporary = _temporary(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    try:
        yield temporary
        if durable:
            _sync(temporary)
        _rename(temporary, path)
        if durable:
            _flush(path.parent)
    except InputError:
        raise
    except Exception as error:
        if text := _fullness(error, path.parent):
            raise InputError(f"{path}: {text} and run it again") from error
        raise
    finally:
        remove(temporary)


def _temporary(path: Path) -> Path:
    """A name that no other process and no other call has."""
    return path.with_name(f"{path.name}.{HOST}-{os.getpid()}-{next(_numbers)}.tmp")


def _remove_abandoned(path: Path) -> None:
    """Removes temporary files of `path` whose writers are gone."""
    with os.scandir(path.parent) as entries:
        for entry in entries:
            found = entry.name.startswith(path.name) and TEMPORARY.fullmatch(
                entry.name[len(path.name) :]
            )
            with contextlib.suppress(OSError):
                if found and _is_abandoned(found, entry):
                    remove(Path(entry.path))


def _is_abandoned(found: re.Match, entry: os.DirEntry) -> bool:
    if found["host"] == HOST:
        return locks.has_ended(int(found["pid"]))
    return found["host"] is None or time.time() - entry.stat().st_mtime > ABANDONED


def _sync(path: Path) -> None:
    """Has the disk hold all that a file or folder has."""
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            _sync(inner)
    _flush(path)


def _flush(path: Path) -> None:
    if not FSYNC:
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems cannot for folders
            os.fsync(handle)
    finally:
        os.close(handle)


def _rename(temporary: Path, path: Path) -> None:
    """Puts a file or folder in the place of what is there."""
    if not path.is_dir() and not temporary.is_dir():
        os.replace(temporary, path)
        return
    aside = _temporary(path)  # a folder cannot be renamed over what is there
    while True:
        with contextlib.suppress(FileNotFoundError):
            os.rename(path, aside)
        try:
            os.rename(temporary, path)
            return
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            continue  # another one was quicker
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
        finally:
            remove(aside)


def _fullness(error: BaseException | None, folder: Path) -> str:
    """What is full and what to do, if an error came with that or because of one that did."""
    full = shutil.disk_usage(folder).free < FULL_BYTES
    while error is not None:
        if isinstance(error, OSError) and error.errno == errno.EFBIG:
            return "the limit on a file's size (ulimit -f) is too low; raise it"
        full |= isinstance(error, OSError) and error.errno in DISK_FULL
        full |= any(word in str(error).lower() for word in FULL)
        error = error.__cause__ or error.__context__
    return "the disk is full; free some" if full else ""


def check_members(archive: zipfile.ZipFile, path: Path, most: int) -> None:
    """InputError when a member of a .zip claims more bytes than `most`, and a hundred times those
    that it takes there: they would fill the memory."""
    for info in archive.infolist():
        if info.file_size > most and info.file_size > 100 * info.compress_size:
            size = f"{info.filename} claims {info.file_size:,} bytes in {info.compress_size:,}"
            raise InputError(f"{path}: {size}; write it anew, with np.savez")


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
    with locks.hold(folder / locks.LOCK, folder):
        yield folder


def write_json(path: Path, value, durable: bool = True) -> None:
    """Writes JSON (no NaN) atomically."""
    with writing(path, durable) as temporary:
        temporary.write_text(json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: Path):
    """Reads JSON, without the checksum that `seal` added. InputError when the file is absent, not
    JSON, or differs from its checksum."""
    try:
        found = json.loads(Path(path).read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; run `make` to build it") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error}); delete it and run `make`") from error
    if isinstance(found, dict) and CHECKSUM in found:
        stated = found.pop(CHECKSUM)
        if seal(found)[CHECKSUM] != stated:
            raise InputError(f"{path}: its checksum differs; delete it and run `make`")
    return found


def seal(value: dict) -> dict:
    """A JSON object with its checksum as one more entry."""
    text = json.dumps(value, sort_keys=True)
    return value | {CHECKSUM: f"{crc32c(text.encode()):08x}"}


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
