"""Locks between processes, of one host or of several on a shared disk: files that name a holder.

Only one process can create a file that must not exist. That holds on NFS too, where flock of a
folder may not. Who holds a lock touches it every BEAT seconds. It is taken over when nobody can
hold it any more: its process has ended, or its host has been silent for SILENT seconds.
"""

import contextlib
import fcntl
import functools
import itertools
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from yt8m.base.cli import InputError, log

LOCK = ".lock"  # in the folder that it is of
BEAT, SILENT = 15.0, 120.0
POLL = 0.1  # seconds between two looks of one who waits
_numbers = itertools.count()


@dataclass(frozen=True)
class Holder:
    """A process. machine: tells hosts of one name apart; born: tells processes of one number."""

    host: str
    machine: str
    pid: int
    born: str
    command: str
    since: str

    @classmethod
    def of(cls, pid: int, command: str) -> "Holder":
        """A process of this host."""
        since = time.strftime("%Y-%m-%d %H:%M:%S")
        return cls(platform.node(), _machine(), pid, _state(pid)[1], command, since)

    def __str__(self) -> str:
        return f"{self.command} (process {self.pid} on {self.host}, since {self.since})"

    def is_here(self) -> bool:
        """Whether it is of this host, so that one can see whether it still runs."""
        return self.machine == _machine()

    def has_ended(self) -> bool:
        """Of a process of this host."""
        return has_ended(self.pid, self.born)


@contextlib.contextmanager
def hold(lock: Path, what, *also: Path) -> Iterator[None]:
    """Holds a lock while the block runs; waits, with a line that says for whom. what: the lock is
    of; also: locks of whom this process works for, which are touched too."""
    spec = sys.modules["__main__"].__spec__
    words = [spec.name if spec else Path(sys.argv[0]).name, *sys.argv[1:]]
    mine = Holder.of(os.getpid(), " ".join(words)[:200])
    waiting = False
    while (other := _take(lock, mine)) is not None:
        if not waiting:
            log(f"{what}: in use by {other}; waiting")
        waiting = True
        time.sleep(POLL)
    done = threading.Event()
    beats = threading.Thread(target=_beat, args=((lock, *also), done), daemon=True)
    beats.start()
    try:
        yield
    finally:
        done.set()
        beats.join()
        if _read(lock) == mine:
            lock.unlink(missing_ok=True)


def claim(lock: Path, pid: int, command: str, family: list[int]) -> None:
    """Takes a lock for another process of this host, which need not release it. InputError, which
    says who holds it, unless that is of the family (process numbers)."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    other = _take(lock, Holder.of(pid, command))
    if other is not None and not (other.is_here() and other.pid in family):
        text = "wait until it has ended, or stop it; to work beside it, say another ARTIFACTS"
        raise InputError(f"{lock.parent}: in use by {other}; {text}")


def is_passing(path: Path) -> bool:
    """Whether a file is a lock, or has a temporary name."""
    return path.suffix in (LOCK, ".tmp") or path.name.startswith(LOCK)


def has_ended(pid: int, born: str = "") -> bool:
    """Whether a process of this host has ended, or its number is another's now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    state, now = _state(pid)
    return state == "Z" or bool(born and now and now != born)


def _take(lock: Path, mine: Holder) -> Holder | None:
    """Takes a lock that is free or that nobody can hold any more; else who holds it."""
    new = lock.with_name(f"{lock.name}.{mine.pid}-{next(_numbers)}.tmp")
    with _guard(lock.parent):
        new.write_text(json.dumps(asdict(mine)))
        try:
            while True:
                if _create(lock, new):
                    return None
                other = _read(lock)
                if other is not None and not _is_gone(lock, other):
                    return other
                _remove(lock, other, new.with_suffix(".old"))
        finally:
            new.unlink()


def _create(lock: Path, new: Path) -> bool:
    """Gives the content of `new` to a lock that does not exist; whether it did not."""
    try:
        os.link(new, lock)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with open(lock, "x") as file:
                file.write(new.read_text())
        except FileExistsError:
            return False
    return True


def _is_gone(lock: Path, holder: Holder) -> bool:
    """Whether a lock may be taken over."""
    if holder.is_here():
        return holder.has_ended()
    now = lock.with_name(f"{lock.name}.{os.getpid()}-{next(_numbers)}.now")
    now.touch()  # the disk's clock: those of two hosts differ
    with contextlib.suppress(FileNotFoundError):
        silent = now.stat().st_mtime - lock.stat().st_mtime
        now.unlink()
        if silent > SILENT:
            log(f"{lock.parent}: {holder} has been silent for {silent:,.0f} s; taking over")
            return True
    now.unlink(missing_ok=True)
    return False


def _remove(lock: Path, judged: Holder | None, aside: Path) -> None:
    """Removes a lock, unless it is another one than the one that was judged."""
    with contextlib.suppress(FileNotFoundError):
        os.rename(lock, aside)
        if _read(aside) != judged:
            with contextlib.suppress(FileExistsError):
                os.link(aside, lock)
        aside.unlink()


def _read(lock: Path) -> Holder | None:
    """None when there is no lock, or none that a Holder wrote."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Holder(**json.loads(lock.read_text()))
    return None


def _beat(locks: tuple[Path, ...], done: threading.Event) -> None:
    while not done.wait(BEAT):
        for lock in locks:
            with contextlib.suppress(OSError):
                os.utime(lock)


@contextlib.contextmanager
def _guard(folder: Path) -> Iterator[None]:
    """One process of this host at a time: two must not take over the same lock."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some file systems know no such lock
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@functools.cache
def _machine() -> str:
    """Of this host, since it started, and of the process numbers that are seen in it."""
    found = [platform.node()]
    with contextlib.suppress(OSError):
        found.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        found.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return " ".join(found)


def _state(pid: int) -> tuple[str, str]:
    """(a letter, when it started) of a process; empty where the system does not say."""
    with contextlib.suppress(OSError, IndexError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return fields[0], fields[19]
    return "", ""
