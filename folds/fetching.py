"""Files over HTTP: continued where a connection broke, tried again, in place only when verified.

A file grows under `.<name>.part` beside its place (a name that no reader of records looks at) and
is renamed once its MD5 is right. urllib knows redirects and proxies; it does not notice a body that
ends early, nor does it resume: that is here.
"""

import contextlib
import hashlib
import http.client
import os
import re
import threading
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

from yt8m.base.cli import DISK_FULL, InputError

TIMEOUT = 60  # seconds without a byte
BLOCK = 1 << 18
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between tries, doubled each time
WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}


class Broken(Exception):
    """A connection failed in a way that may pass."""


class NothingFollows(Exception):
    """The server has no byte after those that are here."""


class Stopped(Exception):
    """Somebody called `Fetcher.stop`."""


class Fetcher:
    """Downloads, from any number of threads. tries: in a row without a byte, before giving up."""

    def __init__(self, tries: int):
        self.tries = tries
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends all downloads of this fetcher at their next block; what they have is kept."""
        self._stopped.set()

    def content(self, url: str) -> bytes:
        """What is at a URL, in memory. InputError when it cannot be had."""

        def read() -> bytes:
            with _opened(url) as response:
                return b"".join(_blocks(response, url))

        return self._tried(read, url)

    def size(self, url: str) -> int | None:
        """Bytes at a URL; None when the server does not tell."""

        def ask() -> int | None:
            with _opened(url, method="HEAD") as response:
                return _length(response)

        with contextlib.suppress(InputError):  # fetching it will tell what is wrong
            return self._tried(ask, url)
        return None

    def fetch(self, url: str, path: Path, md5: str) -> None:
        """Puts the file of that MD5 at `path`, from where an earlier run left off.

        InputError when it cannot be had, when the sum is wrong or the disk is full.
        """
        partial = partial_of(path)
        continued = partial.exists()
        with contextlib.suppress(NothingFollows):
            self._tried(lambda: self._append(url, partial), url, partial)
        found = md5_of(partial)
        if found != md5 and continued:  # an old partial file may be of another version
            partial.unlink()
            self._tried(lambda: self._append(url, partial), url, partial)
            found = md5_of(partial)
        if found != md5:
            partial.unlink()
            raise InputError(
                f"{url}: its MD5 is {found}, the plan says {md5}; it was thrown away; run the "
                "command again, or take another mirror"
            )
        os.replace(partial, path)

    def _tried(self, action, url: str, partial: Path | None = None):
        """action(), again and again while it breaks; bytes that `partial` gained start the count
        of tries anew."""
        failures, largest = 0, size_of(partial)
        while True:
            if self._stopped.is_set():
                raise Stopped
            try:
                return action()
            except Broken as error:
                gained, largest = size_of(partial) > largest, max(size_of(partial), largest)
                failures = 1 if gained else failures + 1
                if failures >= self.tries:
                    raise InputError(
                        f"{url}: {error}, {failures} times in a row; run the command again, what "
                        "is here is kept"
                    ) from error
            self._stopped.wait(min(FIRST_WAIT * 2 ** min(failures - 1, 9), LONGEST_WAIT))

    def _append(self, url: str, partial: Path) -> None:
        """Continues `partial` to its end, from the beginning if the server knows no ranges."""
        have = size_of(partial)
        with _opened(url, {"Range": f"bytes={have}-"} if have else {}) as response:
            begins = _begins(response)
            if begins not in (0, have):
                partial.unlink()
                raise Broken(f"asked from byte {have}, the server answered from {begins}")
            length = _length(response)
            with _disk(partial), open(partial, "ab" if begins else "wb") as file:
                for block in _blocks(response, url):
                    file.write(block)
                    if self._stopped.is_set():
                        raise Stopped
        if length is not None and size_of(partial) < begins + length:
            raise Broken(f"closed after {size_of(partial):,} of {begins + length:,} bytes")


def partial_of(path: Path) -> Path:
    """Where a file grows until it is verified."""
    return path.with_name(f".{path.stem}.part")


def size_of(path: Path | None) -> int:
    """Bytes of a file, 0 if there is none."""
    try:
        return path.stat().st_size if path else 0
    except FileNotFoundError:
        return 0


def md5_of(path: Path) -> str:
    """The MD5 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _opened(url: str, headers: dict | None = None, method: str = "GET"):
    """An open response. Broken if another try may help, else InputError."""
    request = urllib.request.Request(url, headers=headers or {}, method=method)
    try:
        return urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise NothingFollows from error
        said = f"the server says {error.code} {error.reason}"
        if error.code in WORTH_ANOTHER_TRY:
            raise Broken(said) from error
        raise InputError(f"{url}: {said}; check the partition and the mirror") from error
    except (OSError, http.client.HTTPException) as error:
        raise Broken(str(getattr(error, "reason", error)) or type(error).__name__) from error


def _blocks(response, url: str):
    while True:
        try:
            block = response.read1(BLOCK)  # what has come, so that a stall loses nothing of it
        except (OSError, http.client.HTTPException) as error:
            raise Broken(str(error) or type(error).__name__) from error
        if not block:
            return
        yield block


def _length(response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isdecimal() else None


def _begins(response) -> int:
    """The first byte of a response: 0 of a whole file."""
    if response.status != HTTPStatus.PARTIAL_CONTENT:
        return 0
    told = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(told.group(1)) if told else -1


@contextlib.contextmanager
def _disk(path: Path):
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        text = f"{path}: the disk is full; free some and run the command again, this file goes on"
        raise InputError(text) from error
