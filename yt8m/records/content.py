"""What a data set holds, whatever its files are called: how anything made from it tells a change.

Two folders have the same content when their shards hold the same records in the same order, under
the same names of features and classes. Touching, copying or renaming shards (in an order that
stays) changes nothing; a comment in dataset.toml changes nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from yt8m.base.cli import InputError
from yt8m.records.description import RATED, Description, describe, find_shards, first_record
from yt8m.records.framing import content_digest
from yt8m.records.vocabulary import (
    CLASS_NAMES,
    STATEMENT,
    Vocabulary,
    find_difference,
    state_vocabulary,
)

Shards = Mapping[str, list[Path]]  # by level of records
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


def by_folder(shards: Shards, cache: Cache, held_out: Shards | None = None) -> dict[str, list[str]]:
    """The digests of shards, in order, by "video", "frame" and "segment", and "holdout video", ...:
    see `content_digest`."""
    found: dict[str, list[str]] = {}
    for prefix, part in (("", shards), ("holdout ", held_out or {})):
        for kind, paths in part.items():
            for path in paths:
                folder = RATED if path.parent.name == RATED else kind
                found.setdefault(prefix + folder, []).append(digest_of(path, cache))
    return found


def content_of(
    data: Path, cache: Cache, description: Path | None = None, holdout: Path | None = None
) -> dict:
    """What a store of `data` is made of, and what its about.json keeps as "content":
    {"shards": as `by_folder`, and what `description_digests` says of the description and the
    vocabulary that apply}. description: an explicit TOML file, as for folds.decode; holdout:
    records of the holdout, if it has its own.

    InputError as `find_shards`, `describe` and `content_digest`.
    """
    shards = find_shards(data)
    described = describe(data, shards, description)
    held_out = {} if holdout is None else find_held_out(holdout, shards)
    return {"shards": by_folder(shards, cache, held_out)} | description_digests(*described)


def find_held_out(holdout: Path, shards: Shards) -> dict[str, list[Path]]:
    """The shards of a folder of records that are the holdout: of the levels that DATA has, whose
    shards are given. InputError when it lacks one."""
    found = find_shards(holdout)
    lacking = [level for level in shards if level not in found]
    if lacking:
        raise InputError(
            f"HOLDOUT {holdout}: has no {lacking[0]}-level records, but DATA has "
            f"{' and '.join(shards)}; give HOLDOUT the same kinds of records"
        )
    return {level: found[level] for level in shards}


def description_digests(description: Description, vocabulary: Vocabulary) -> dict[str, str]:
    """Hashes of the names of features and classes, and of the sizes that a description allows:
    {"description": of all, "arrays": of what decides a store's arrays and manifest, which do not
    know what the data set and its classes are called}."""
    every = description.model_dump(mode="json", exclude={"renamed", "scale"})
    deciding = {key: value for key, value in every.items() if key not in ("name", "vocabulary")}
    return {
        "description": _digest([every, asdict(vocabulary)]),
        "arrays": _digest([deciding, vocabulary.verticals]),
    }


def check_vocabularies(
    shards: dict[str, list[Path]], description: Description, vocabulary: Vocabulary
) -> None:
    """InputError for a shard whose first record states (see `state_vocabulary`) that its labels are
    numbers of another vocabulary. Records that state none, as YouTube-8M's, may be of any.

    vocabulary: of the data set; one that was extended at its end has all older ones in it.
    """
    known: list[list[int]] = []
    for path in (path for paths in shards.values() for path in paths):
        record = first_record(path)
        stated = record.integers(STATEMENT) if description.labels else None
        if stated is None or stated in known:
            continue
        if stated != state_vocabulary(vocabulary.names[: stated[0]]):
            names = [name.decode() for name in record.strings(CLASS_NAMES) or ()]
            _compare(names, stated, description, vocabulary, path)
        known.append(stated)


def _compare(names: list[str], stated: list[int], description, vocabulary, path: Path) -> None:
    """InputError unless names that dataset.toml says were corrected are all that differs."""
    names = [description.renamed.get(name, name) for name in names]
    at = find_difference(names, vocabulary.names) if names else 0
    if at is None:
        return
    own = repr(vocabulary.names[at]) if at < len(vocabulary) else "unknown"
    other = repr(names[at]) if names else f"another one of {stated[0]:,} classes"
    remedy = "convert it again with --add; or, if a name was corrected, see `renamed` in docs/data"
    raise InputError(f"{path}: class {at} is {other} there and {own} in this data set; {remedy}")


def _digest(value) -> str:
    text = json.dumps(value, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
