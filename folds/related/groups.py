"""Groups of videos: clips of one source, videos of one channel, copies of one upload.

A group goes into one fold, or into the holdout, as a whole. N videos.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from folds.related.id_files import IdFile, check_groups, read_groups
from folds.related.near_copies import Alike
from yt8m.base.arrays import blocks, scratch
from yt8m.base.cli import InputError
from yt8m.base.files import writing
from yt8m.data.origins import hash_ids
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.records.description import GROUP

BLOCK = 1 << 15  # videos at a time
SHOWN = 5  # pairs of near-copies that are named


def groups_of(data: Store, file: Path | None, folder: Path) -> np.ndarray | None:
    """The group of each video, its id where it has none: bytes (N,), in a nameless file of
    `folder`; None when no video has one. What a file says of an id goes before what a record says.

    InputError as `read_groups`, or when the file has none of the ids.
    """
    if file:
        check_groups(file)
    known = read_groups(file) if file else None
    if known and absent_from(data, known) == len(known.ids):
        text = f"the data has none of its {len(known.ids):,} ids; spell them alike"
        raise InputError(f"{file}: {text}")
    of_records = data.groups
    if known is None and of_records is None:
        return None
    arrays = [data.ids, *(a for a in (of_records, known and known.groups) if a is not None)]
    found = scratch(folder, max(array.dtype for array in arrays), (len(data),))
    for block in blocks(len(data), BLOCK):
        found[block] = data.ids[block]
        if of_records is not None:
            found[block] = np.where(of_records[block] == b"", found[block], of_records[block])
        if known is not None:
            rows = known.rows(data.ids[block])
            named = (rows >= 0) & (known.groups[rows] != b"")
            found[block] = np.where(named, known.groups[rows], found[block])
    return found


def numbers_of(groups: np.ndarray) -> np.ndarray:
    """A number of each group: uint64 (N,)."""
    return np.concatenate([hash_ids(groups[block]) for block in blocks(len(groups), BLOCK)])


def with_groups_of(chosen: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """The chosen videos, bool (N,), and all others of their groups."""
    numbers = numbers_of(groups)
    return np.isin(numbers, numbers[chosen])


def describe_groups(data: Store, splits: Splits, file: Path | None) -> Iterator[str]:
    """Lines on how many groups there are, and on one that makes folds uneven."""
    groups, known = splits.groups, file and read_groups(file)
    _, first, counts = np.unique(numbers_of(groups), return_index=True, return_counts=True)
    alone = sum(int((data.ids[b] == groups[b]).sum()) for b in blocks(len(data), BLOCK))
    largest = int(np.argmax(counts))
    name = groups[first[largest]].decode(errors="replace")
    yield (
        f"groups: {len(data):,} videos in {len(counts):,} groups, the largest ({name}) has "
        f"{counts[largest]:,}; {alone:,} videos have none and are their own"
    )
    if known:
        absent = absent_from(data, known)
        yield f"{file}: {absent:,} of its {len(known.ids):,} ids are not in the data"
    fold = (splits.fold >= 0).sum() // NUM_FOLDS
    if counts[largest] > fold:
        yield (
            f"group {name} has {counts[largest]:,} videos, more than a fold ({fold:,}): folds are "
            "uneven; give smaller groups"
        )


def absent_from(data: Store, known: IdFile) -> int:
    """How many ids of a file no video has."""
    found = sum(int((known.rows(data.ids[b]) >= 0).sum()) for b in blocks(len(data), BLOCK))
    return len(known.ids) - found


def report_alike(data: Store, splits: Splits, alike: Alike, out: Path) -> Iterator[str]:
    """Lines on copies and near-copies in different groups; writes OUT, which as GROUPS joins them,
    where there are some."""
    keys = splits.keys(data.ids)
    apart = keys[alike.pairs[:, 0]] != keys[alike.pairs[:, 1]]
    pairs, copies = alike.pairs[apart], alike.copies[apart]
    if not len(pairs):
        return
    between = splits.fold[pairs[:, 0]] != splits.fold[pairs[:, 1]]
    order = np.argsort(~between, kind="stable")[:SHOWN]  # those that leak come first
    names = [
        " = ".join(video.decode(errors="replace") for video in data.ids[pairs[at]]) for at in order
    ]
    more = ", ..." if len(pairs) > SHOWN else ""
    yield (
        f"near-copies: {len(pairs):,} pairs of videos have almost the same features "
        f"({copies.sum():,} exactly), {between.sum():,} of them are in different folds or the "
        f"holdout: {', '.join(names)}{more}; to keep them together say GROUPS={out}"
    )
    _write(out, data, keys, pairs)


def _write(out: Path, data: Store, keys: np.ndarray, pairs: np.ndarray) -> None:
    """Writes id and group of all videos that have one, with the groups of pairs made one."""
    parent: dict[bytes, bytes] = {}

    def root(key: bytes) -> bytes:
        while key in parent:
            key = parent[key]
        return key

    for first, second in keys[pairs].tolist():
        one, two = sorted((root(first), root(second)))
        if one != two:
            parent[two] = one
    joined = {key for pair in keys[pairs].tolist() for key in pair}
    with (
        writing(out) as temporary,
        open(temporary, "w", newline="", errors="surrogateescape") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", GROUP])
        for block in blocks(len(keys), BLOCK):
            for video, key in zip(data.ids[block].tolist(), keys[block].tolist(), strict=True):
                if key != video or key in joined:
                    texts = (text.decode(errors="surrogateescape") for text in (video, root(key)))
                    writer.writerow(texts)
