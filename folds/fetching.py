"""Files over HTTP: resumed where a connection broke, tried again, in place only when verified.

A file grows under `.<name>.part` beside its place (a name that no reader of records looks at) and
is renamed once its MD5 is right. urllib3 keeps connections, follows redirects and notices a body
that ends early. It would begin a body anew, though: to go on from the bytes that are here is ours.
"""

import contextlib
import functools
import hashlib
import os
import re
import threading
from concurrent.futures import CancelledError
from http.client import IncompleteRead
from pathlib import Path
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass

from urllib3 import HTTPResponse, PoolManager, ProxyManager, Retry, make_headers
from urllib3.exceptions import HTTPError
from urllib3.util import parse_url

from yt8m.base.cli import DISK_FULL, InputError

TIMEOUT = 60  # seconds without a byte
MOST_IN_MEMORY = 1 << 24  # bytes; the largest public plan has 250 KB
LARGEST_FILE = 1 << 31  # bytes; the largest public shards have 500 MB
BLOCK = 1 << 18
FIRST_WAIT, LONGEST_WAIT = 1.0, 60.0  # seconds between tries, doubled each time
MOST_KEPT = 32  # connections to a host that stay open
WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
NOTHING_FOLLOWS = 416  # the status for a range that begins at the end
REDIRECTS = Retry(total=None, connect=0, read=0, other=0, redirect=5)


class Fetcher:
    """Downloads, from any number of threads. tries: in a row without a byte, before giving up."""

    def __init__(self, tries: int):
        self.tries = tries
        self._stopped = threading.Event()
        self._pool = functools.cache(_new_pool)  # of the connections of this fetcher

    def stop(self) -> None:
        """Ends all downloads at their next block, by CancelledError; what they have is kept."""
        self._stopped.set()

    def content(self, url: str) -> bytes:
        """What is at a URL, in memory. InputError when it cannot be had, or is too large for it."""
        return self._persist(lambda: self._read(url), url)

    def _read(self, url: str) -> bytes:
        with self._response(url, have=0) as response:
            found = b""
            while block := response.read(BLOCK, decode_content=True):
                found += block
                _check_size(len(found), MOST_IN_MEMORY, url)
        return found

    def size(self, url: str) -> int | None:
        """Bytes at a URL; None when the server does not say."""
        with contextlib.suppress(InputError):  # fetching it will say what is wrong
            response = self._persist(lambda: self._response(url, "HEAD"), url)
            text = response.headers.get("Content-Length", "")
            return int(text) if text.isdecimal() else None
        return None

    def fetch(self, url: str, path: Path, md5: str) -> None:
        """Puts the file of that MD5 at `path`; resumes a partial one.

        InputError when it cannot be had, when the sum is wrong or the disk is full.
        """
        partial = partial_of(path)
        for afresh in (False, True) if partial.exists() else (True,):
            if afresh:  # an old partial file may be of another version
                partial.unlink(missing_ok=True)
            self._persist(lambda: self._append(url, partial), url, partial)
            found = md5_of(partial)
            if found == md5:
                os.replace(partial, path)
                return
        partial.unlink()
        raise InputError(
            f"{url}: its MD5 is {found}, the plan says {md5}; it was thrown away; run the command "
            "again, or choose another mirror"
        )

    def _persist(self, action, url: str, partial: Path | None = None):
        """action(), repeated while it breaks. The count starts anew when `partial` grew."""
        failures, largest = 0, size_of(partial)
        while not self._stopped.is_set():
            try:
                return action()
            except HTTPError as error:
                gained, largest = size_of(partial) > largest, max(size_of(partial), largest)
                failures = 1 if gained else failures + 1
                if failures >= self.tries:
                    raise InputError(
                        f"{url}: {_cause(error)}, {failures} times in a row; run the command "
                        "again, what is here is kept"
                    ) from error
            self._stopped.wait(min(FIRST_WAIT * 2 ** min(failures - 1, 9), LONGEST_WAIT))
        raise CancelledError

    def _append(self, url: str, partial: Path) -> None:
        """Continues `partial` to its end, from the beginning if the server knows no ranges."""
        have = size_of(partial)
        if have > LARGEST_FILE:
            partial.unlink()  # of what turned out to be endless
            have = 0
        with self._response(url, have=have) as response:
            if response.status == NOTHING_FOLLOWS:
                return
            found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
            begins = int(found[1]) if found else 0
            _check_size(begins + int(response.length_remaining or 0), LARGEST_FILE, url)
            if begins not in (0, have):
                partial.unlink()
                raise HTTPError(f"asked from byte {have}, the server answered from {begins}")
            with _disk(partial), open(partial, "ab" if begins else "wb") as file:
                # As it comes, so that a stall loses nothing of it.
                while block := response.read1(BLOCK, decode_content=False):
                    file.write(block)
                    _check_size(file.tell(), LARGEST_FILE, url)
                    if self._stopped.is_set():
                        raise CancelledError

    def _response(self, url: str, method: str = "GET", have: int | None = None) -> HTTPResponse:
        """A good answer, with its body; or, to be read, what follows the first `have` bytes of it.
        HTTPError if another try may help, else InputError."""
        response = self._pool(_proxy_of(url)).request(
            method,
            url,
            headers={"Range": f"bytes={have}-"} if have else {},
            preload_content=have is None,
            timeout=TIMEOUT,
            retries=REDIRECTS,
        )
        if response.status < 300 or (have and response.status == NOTHING_FOLLOWS):
            return response
        response.close()
        answer = f"the server says {response.status} {response.reason}"
        if response.status in WORTH_ANOTHER_TRY:
            raise HTTPError(answer)
        raise InputError(f"{url}: {answer}; check the partition and the mirror")


def _check_size(size: int, most: int, url: str) -> None:
    """InputError when a body has more bytes than `most`: it may be endless."""
    if size > most:
        raise InputError(f"{url}: has more than {most:,} bytes; check the partition and the mirror")


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    parts = parse_url(url)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


def _new_pool(proxy: str | None) -> PoolManager:
    """Connections, through a proxy if there is one."""
    if proxy is None:
        return PoolManager(maxsize=MOST_KEPT)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    headers = make_headers(proxy_basic_auth=unquote(parse_url(proxy).auth or ""))
    return ProxyManager(proxy, maxsize=MOST_KEPT, proxy_headers=headers)


def _cause(error: HTTPError) -> str:
    """What went wrong, in the words of the system where it has some."""
    error = getattr(error, "reason", None) or error  # of a MaxRetryError
    cause = error.__cause__ or error
    if isinstance(cause, IncompleteRead):
        return f"closed {cause.expected:,} bytes before the end"
    return str(cause) or type(cause).__name__


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


@contextlib.contextmanager
def _disk(path: Path):
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        text = f"{path}: the disk is full; free some and run the command again, this file goes on"
        raise InputError(text) from error
