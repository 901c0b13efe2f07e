"""What a file holds, in a few characters: files with equal digests have the same content.

A file of arrays states its own digest in its header (arrays.py); others are hashed. Sizes and times
only save the look: `Digests` remembers what a file of that size, time and place was found to hold.
"""

import hashlib
import os
from pathlib import Path

from yt8m.base.files import read_json, write_json


def digest_of(path: Path) -> str | None:
    """Of a file's content, 16 characters; None when there is no such file."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return None


def digest_of_text(text: str) -> str:
    """What `digest_of` finds of a file that holds this text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def signature_of(path: Path) -> list[int] | None:
    """Size, time and place on disk: another one calls for another look. None: no such file."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    return [state.st_size, state.st_mtime_ns, state.st_ino]


class Digests:
    """Digests of files, looked up in the file `cache` before they are computed."""

    def __init__(self, cache: Path):
        self.cache, self.changed = cache, False
        kept = read_json(cache) if cache.is_file() else {}
        self.kept: dict[str, list] = kept if isinstance(kept, dict) else {}

    def __getitem__(self, path: Path) -> str | None:
        signature = signature_of(path)
        if signature is None:
            return None
        key = str(path)
        if key not in self.kept or self.kept[key][0] != signature:
            self.kept[key] = [signature, digest_of(path)]
            self.changed = True
        return self.kept[key][1]

    def save(self) -> None:
        """Writes the cache if it has learnt anything."""
        if self.changed:
            write_json(self.cache, self.kept)
