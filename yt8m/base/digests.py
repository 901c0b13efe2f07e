"""What a file holds, in a few characters: files with equal digests have the same content.

A file of arrays states its own digest in its header (arrays.py); others are hashed. Sizes and times
only save the look: `Digests` remembers what a file of that size, time and place was found to hold.
"""

import contextlib
import hashlib
import json
import os
from pathlib import Path

from yt8m.base.files import read_json, write_json

ARRAYS = ".safetensors"
LONGEST_HEADER = 1 << 20


def digest_of(path: Path) -> str | None:
    """Of a file's content; None when there is no such file."""
    if not path.is_file():
        return None
    with open(path, "rb") as file:
        stated = stated_digest(file) if path.suffix == ARRAYS else None
        file.seek(0)
        return stated or hashlib.file_digest(file, "sha256").hexdigest()[:16]


def digest_of_text(text: str) -> str:
    """What `digest_of` finds of a file that holds this text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def stated_digest(file) -> str | None:
    """What the header of a file of arrays states; None of weights, which state none."""
    length = int.from_bytes(file.read(8), "little")
    with contextlib.suppress(ValueError, KeyError, TypeError):
        return json.loads(file.read(min(length, LONGEST_HEADER)))["__metadata__"]["digest"]
    return None


class Digests:
    """Digests of files, looked up in the file `cache` before they are computed.

    shards: the same of records, which yt8m/records/content.py looks up and fills.
    """

    def __init__(self, cache: Path):
        self.cache = cache
        kept = read_json(cache) if cache.is_file() else {}
        self.files: dict[str, list] = kept.get("files", {})
        self.shards: dict[str, str] = kept.get("shards", {})
        self.before = len(self.shards), 0
        self.looks = 0

    def __getitem__(self, path: Path) -> str | None:
        try:
            state = os.stat(path)
        except OSError:
            return None
        key, signature = str(path), [state.st_size, state.st_mtime_ns, state.st_ino]
        if key not in self.files or self.files[key][0] != signature:
            self.files[key] = [signature, digest_of(path)]
            self.looks += 1
        return self.files[key][1]

    def save(self) -> None:
        """Writes the cache if it has learnt anything."""
        if (len(self.shards), self.looks) != self.before:
            write_json(self.cache, {"files": self.files, "shards": self.shards})
