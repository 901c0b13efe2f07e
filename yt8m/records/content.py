"""What a data set holds, whatever its files are called: how anything made from it tells a change.

Two folders have the same content when their shards hold the same records in the same order, under
the same names of features and classes. Touching, copying or renaming shards (in an order that
stays) changes nothing; a comment in dataset.toml changes nothing.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

from yt8m.records.description import RATED, Description, describe, find_shards
from yt8m.records.framing import content_digest
from yt8m.records.vocabulary import Vocabulary

Cache = dict[str, str]  # what `stamp` says of a shard -> its content digest; JSON can hold it


def stamp(path: Path) -> str:
    """What changes when a file changes, at a glance: its path, size, time and inode."""
    status = path.stat()
    return json.dumps([str(path.resolve()), status.st_size, status.st_mtime_ns, status.st_ino])


def digest_of(shard: Path, cache: Cache) -> str:
    """`content_digest` of a shard, computed once for each `stamp`; the cache grows."""
    key = stamp(shard)
    if key not in cache:
        cache[key] = content_digest(shard)
    return cache[key]


def by_folder(shards: dict[str, list[Path]], cache: Cache) -> dict[str, list[str]]:
    """The digests of shards, in order, by "video", "frame" and "segment": see `content_digest`."""
    found: dict[str, list[str]] = {}
    for kind, paths in shards.items():
        for path in paths:
            folder = RATED if path.parent.name == RATED else kind
            found.setdefault(folder, []).append(digest_of(path, cache))
    return found


def content_of(data: Path, cache: Cache, description: Path | None = None) -> dict:
    """What a store of `data` is made of, and what its about.json keeps as "content":
    {"shards": as `by_folder`, and what `description_digests` says of the description and the
    vocabulary that apply}. description: an explicit TOML file, as for folds.decode.

    InputError as `find_shards`, `describe` and `content_digest`.
    """
    shards = find_shards(data)
    described = describe(data, shards, description)
    return {"shards": by_folder(shards, cache)} | description_digests(*described)


def description_digests(description: Description, vocabulary: Vocabulary) -> dict[str, str]:
    """Hashes of the names of features and classes, and of the sizes that a description allows:
    {"description": of all, "arrays": of what decides a store's arrays and manifest, which do not
    know what the data set and its classes are called}."""
    every = description.model_dump(mode="json")
    deciding = {key: value for key, value in every.items() if key not in ("name", "vocabulary")}
    return {
        "description": _digest([every, asdict(vocabulary)]),
        "arrays": _digest([deciding, vocabulary.verticals]),
    }


def _digest(value) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
