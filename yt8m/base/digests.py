"""What a file holds, in a few characters: files with equal digests have the same content.

A file of arrays states its own digest in its header (arrays.py); others are hashed. Sizes and times
only save the look: `Digests` remembers what a file of that size, time and place was found to hold.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json

ARRAYS = ".safetensors"
LONGEST_HEADER = 1 << 20
SEALED = 16 << 20  # bytes; larger files would take long to read at every first look


def digest_of(path: Path) -> str | None:
    """Of a file's content; None when there is no such file."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        stated = stated_digest(file) if path.suffix == ARRAYS else None
        file.seek(0)
        return stated or hashlib.file_digest(file, "sha256").hexdigest()[:16]


def seal_of(path: Path) -> str:
    """What tells whether an output is as it was written: its size and, up to SEALED bytes, a hash
    of all that it holds; of larger files of arrays, a hash of their header."""
    size = path.stat().st_size
    if size > SEALED and path.suffix == ARRAYS:
        header = json.dumps(header_of(path), sort_keys=True)
        return f"{size} {hashlib.sha256(header.encode()).hexdigest()[:16]}"
    if size > SEALED:
        return str(size)
    with open(path, "rb") as file:
        return f"{size} {hashlib.file_digest(file, 'sha256').hexdigest()[:16]}"


def same_seal(found: str | None, kept: str) -> bool:
    """Whether a file's seal is the one that was kept. Older code kept sizes of some large files."""
    return found == kept or (found is not None and kept.isdecimal() and found.split()[0] == kept)


def digest_of_text(text: str) -> str:
    """What `digest_of` finds of a file that holds this text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stated_digest(file) -> str | None:
    """What the header of a file of arrays states; None of weights, which state none."""
    return _header(file).get("digest")


def header_of(path: Path) -> dict[str, str]:
    """What the header of a .safetensors says beside the arrays; empty when it is no such file."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return _header(file)
    return {}


def _header(file) -> dict[str, str]:
    length = int.from_bytes(file.read(8), "little")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return dict(json.loads(file.read(min(length, LONGEST_HEADER)))["__metadata__"])
    return {}


def read_cache(path: Path) -> dict:
    """A JSON object that can be made again; empty when it is absent or damaged."""
    with contextlib.suppress(InputError):
        found = read_json(path)
        return found if isinstance(found, dict) else {}
    return {}


class Digests:
    """Digests of files, looked up in the file `cache` before they are computed.

    shards: the same of records, which yt8m/records/content.py looks up and fills.
    """

    def __init__(self, cache: Path):
        self.cache = cache
        kept = read_cache(cache)
        self.files: dict[str, list] = kept.get("files", {})
        self.shards: dict[str, str] = kept.get("shards", {})
        self.before = len(self.shards), 0
        self.looks = 0

    def __getitem__(self, path: Path) -> str | None:
        """`digest_of` a file."""
        return self._look(path, str(path), digest_of)

    def seal(self, path: Path) -> str | None:
        """`seal_of` a file; None when there is no such file."""
        return self._look(path, f"seal {path}", seal_of)

    def _look(self, path: Path, key: str, look: Callable[[Path], str | None]) -> str | None:
        try:
            state = os.stat(path)
        except OSError:
            return None
        signature = [state.st_size, state.st_mtime_ns, state.st_ino]
        if key not in self.files or self.files[key][0] != signature:
            self.files[key] = [signature, look(path)]
            self.looks += 1
        return self.files[key][1]

    def save(self) -> None:
        """Writes the cache if it has learnt anything."""
        if (len(self.shards), self.looks) != self.before:
            write_json(self.cache, {"files": self.files, "shards": self.shards}, durable=False)
