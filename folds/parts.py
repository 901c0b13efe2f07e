"""Parts of a store: groups of shards, each decoded into one folder of .npy files.

A part that is finished says in its part.json what it was made from: the content of its shards
(yt8m/records/content.py) and the names and sizes that decoding depends on. Shards with the same
content find it again, whatever they are called and wherever they lie.
"""

import contextlib
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path

from yt8m.base.checksums import open_checked
from yt8m.base.cli import InputError, log
from yt8m.base.digests import read_cache
from yt8m.data.store import VERSION
from yt8m.records.content import Cache, digest_of, stamp
from yt8m.records.description import LEVELS, Description, Dims

SMALLEST = 16 << 20  # bytes of shards in a part; AudioSet has 4,070 shards of 10 KB
MOST_PARTS = 512  # memory maps must stay few; the full set has 3,844 shards of 500 MB
MANIFEST = "part.json"
# Fields of a description.
NOT_DECODED = {"name", "classes", "vocabulary", "max_frames", "renamed", "scale"}


@dataclass(frozen=True)
class Shard:
    """A file of records. stamp: what changes when it changes, see content.stamp."""

    path: Path
    size: int
    stamp: str

    @classmethod
    def of(cls, path: Path) -> "Shard":
        return cls(path, path.stat().st_size, stamp(path))


@dataclass(frozen=True)
class Part:
    """A group of shards of one level ("video" or "frame") of records.

    dims: what every record must have; means: store video-level means of the frames; finished: the
    name of its folder, None until it is decoded; skip_bad: leave out videos with values that no
    stage takes, which are an error otherwise.
    """

    kind: str
    shards: tuple[Shard, ...]
    description: Description
    dims: Dims
    means: bool
    finished: str | None = None
    skip_bad: bool = False

    @property
    def needs(self) -> str:
        """A hash of what decoding depends on beside the shards and two limits."""
        names = self.description.model_dump(exclude=NOT_DECODED)
        sizes = [list(self.dims.features.items()), self.dims.frameless]
        return _hash(VERSION, self.kind, names, sizes, self.means)

    @property
    def pending(self) -> str:
        """The name of its folder while it is decoded."""
        return _hash(self.needs, [shard.stamp for shard in self.shards])

    def name(self, digests: list[str]) -> str:
        """The name of its folder; digests: of its shards."""
        return _hash(self.needs, digests)

    @property
    def size(self) -> int:
        """Bytes of its shards."""
        return sum(shard.size for shard in self.shards)

    def folder(self, store: Path) -> Path:
        """Where it is, finished."""
        return store / self.kind / self.finished


def _hash(*values) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


class Finished:
    """The parts that a store has, by level and folder: what their part.json says."""

    def __init__(self, store: Path, look: bool = False):
        """look: compares all that they hold with its checksums; parts that differ are none."""
        self.parts = {level: _finished_in(store / level, look) for level in LEVELS}

    @property
    def digests(self) -> Cache:
        """Content digests of the shards that they were made from, by stamp."""
        every = [about for parts in self.parts.values() for about in parts.values()]
        return {
            stamp: digest
            for about in every
            for stamp, digest in zip(about["stamps"], about["digests"], strict=True)
        }

    def alike(self, wanted: Part) -> dict[tuple[str, ...], str]:
        """Folders of the parts that were made as `wanted` would be, by their shards' digests."""
        return {
            tuple(about["digests"]): name
            for name, about in self.parts[wanted.kind].items()
            if about["needs"] == wanted.needs
            and about["classes"] <= wanted.dims.classes
            and about["longest"] <= wanted.description.max_frames
            and (wanted.skip_bad or not about.get("skipped"))
        }


def _finished_in(folder: Path, look: bool) -> dict[str, dict]:
    manifests = {path.parent.name: read_cache(path) for path in folder.glob(f"*/{MANIFEST}")}
    return {
        name: about
        for name, about in sorted(manifests.items())
        if not name.endswith(".tmp")
        and about.get("version") == VERSION
        and is_complete(folder / name, about["files"], look)
    }


def sizes_of(folder: Path) -> dict[str, int]:
    """The files in a folder, in bytes."""
    return {path.name: path.stat().st_size for path in sorted(folder.iterdir())}


def is_complete(folder: Path, files: dict[str, int], look: bool = False) -> bool:
    """Whether a folder has these files, each of that size. look: and as they were written."""
    with contextlib.suppress(FileNotFoundError):
        if any((folder / name).stat().st_size != size for name, size in files.items()):
            return False
        try:
            for name in files if look else ():
                if name.endswith(".npy"):
                    open_checked(folder / name)
            return True
        except InputError as error:
            log(f"warning: {error.args[0].partition(';')[0]}; making it again")
    return False


def arrange(whole: Part, finished: Finished, *, look: bool = False) -> list[Part]:
    """The shards of one part as parts, in order: finished ones where the content is that of one,
    and groups of those between. look: into all shards that no finished part is known to be of."""
    known, parts, others, at = finished.alike(whole), [], [], 0
    digests = _digests(whole, finished, look)
    total = whole.size
    while at < len(digests):
        found = [key for key in known if key[0] == digests[at]]
        found = [key for key in found if key == tuple(digests[at : at + len(key)])]
        if not found:
            others.append(whole.shards[at])
            at += 1
            continue
        key = max(found, key=len)
        parts += [replace(whole, shards=members) for members in group(others, total)]
        parts.append(replace(whole, shards=whole.shards[at : at + len(key)], finished=known[key]))
        others, at = [], at + len(key)
    return parts + [replace(whole, shards=members) for members in group(others, total)]


def _digests(whole: Part, finished: Finished, look: bool) -> list[str | None]:
    """The content digest of each shard; None where no finished part can be of it."""
    cache, here = finished.digests, {shard.stamp for shard in whole.shards}
    made_from = [about["stamps"] for about in finished.parts[whole.kind].values()]
    # Files of a part that are not here any more may have been touched or moved.
    if look or not all(here.issuperset(stamps) for stamps in made_from):
        return [digest_of(shard.path, cache) for shard in whole.shards]
    return [cache.get(shard.stamp) for shard in whole.shards]


def group(shards: list[Shard], total: int) -> list[tuple[Shard, ...]]:
    """Consecutive shards in groups of at least 16 MiB, such that `total` bytes make at most 512."""
    least = max(SMALLEST, total / MOST_PARTS)
    groups, current, size = [], [], 0
    for shard in shards:
        current.append(shard)
        size += shard.size
        if size >= least:
            groups.append(tuple(current))
            current, size = [], 0
    return [*groups, tuple(current)] if current else groups
