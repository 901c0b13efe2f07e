"""What a file holds, in a few characters: files with equal digests have the same content.

A file of arrays states its own digest in its header (arrays.py); others are hashed. Sizes and times
only save the look: `Digests` remembers what a file of that size, time and place was found to hold.
"""

import contextlib
import hashlib
import os
from pathlib import Path

from yt8m.base.arrays import content_digest_of
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json

ARRAYS = ".safetensors"  # suffix of files of arrays


def digest_of(path: Path) -> str | None:
    """Of a file's content; None when there is no such file."""
    if not path.is_file():
        return None
    if path.suffix == ARRAYS:
        with contextlib.suppress(InputError):  # weights have no digest of their own
            return content_digest_of(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


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
