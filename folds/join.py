"""The rows of a store: all parts' ids and labels in one table, video and frame records joined.

What is known of every video stays in files (base/arrays.py), a block of them in memory; only where
videos are left out, or two kinds of records joined, are all ids compared in memory.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from folds.parts import MANIFEST, Part, is_complete, sizes_of
from yt8m.base.arrays import create, let_go, scratch
from yt8m.base.checksums import open_checked, write_sums
from yt8m.base.cli import InputError, log
from yt8m.base.digests import read_cache
from yt8m.base.files import read_json, seal, write_json, writing
from yt8m.records.description import RATED
from yt8m.records.labels import Labels

ROWS = "rows.json"
BLOCK = 1 << 15  # rows at a time
SORTED = 1 << 18  # hashes of ids at a time


def write_rows(parts: dict[str, list[Part]], store: Path, folder: Path, without=()) -> dict:
    """Writes the arrays that Store opens into `folder`; returns what the manifest says of them.

    parts: by level, all finished; without: ids to leave out. InputError on an id that appears
    twice, or when video and frame records have no video in common.
    """
    tables = {level: _Table.of(level, members, store, without) for level, members in parts.items()}
    located = _common(tables)
    first = next(iter(tables))  # "video" before "frame"
    table, rows = tables[first], located[first]
    with writing(folder) as temporary:
        temporary.mkdir()
        _write(temporary, "ids", table.ids, rows)
        _write(temporary, "labelled", table.labelled, rows)
        labels = table.labels.take(rows, store)
        _write(temporary, "indptr", labels.indptr)
        _write(temporary, "indices", labels.indices)
        for level, places in located.items():
            _write(temporary, f"{level}_rows", places)
        if "frame" in tables:
            lengths = _write(temporary, "num_frames", tables["frame"].lengths, located["frame"])
        else:
            lengths = create(temporary / "num_frames.npy", np.int32, (len(rows),))
        longest = max(int(lengths[block].max()) for block in _blocks(len(rows)))
        videos = {level: table.videos for level, table in tables.items()}
        about = {"videos": len(rows), "max_frames": longest, "parts": videos}
        write_sums(temporary)
        write_json(temporary / ROWS, seal(about | {"files": sizes_of(temporary)}))
    return about


def read_rows(folder: Path) -> dict | None:
    """What `write_rows` returned for a folder; None if a file of it is missing or damaged."""
    about = read_cache(folder / ROWS)
    return about if about and is_complete(folder, about["files"], look=True) else None


def _write(folder: Path, name: str, values: np.ndarray, rows: np.ndarray | None = None):
    """A .npy of the values, or of those of some rows."""
    count = len(values) if rows is None else len(rows)
    out = create(folder / f"{name}.npy", values.dtype, (count,))
    for block in _blocks(count):
        out[block] = values[block if rows is None else rows[block]]
        let_go()
    return out


@dataclass(frozen=True)
class _Table:
    """The rows of all parts of one kind, in order; N of them.

    ids bytes (N,), labelled bool (N,), lengths int32 (N,) or None, labels: N rows; rows: those to
    take, int64, so that each id appears once: a record of segment/ takes the place of the same
    video's in frame/; videos: of each part.
    """

    ids: np.ndarray
    labelled: np.ndarray
    lengths: np.ndarray | None
    labels: Labels
    rows: np.ndarray
    videos: list[int]

    @classmethod
    def of(cls, kind: str, parts: list[Part], store: Path, without) -> "_Table":
        """InputError on an id that is to be taken twice."""
        manifests = [read_json(part.folder(store) / MANIFEST) for part in parts]
        counts = np.concatenate([about["counts"] for about in manifests]).astype(np.int64)
        shards = [shard.path for part in parts for shard in part.shards]
        ids = _concatenate(parts, store, "ids")
        rated = np.repeat([path.parent.name == RATED for path in shards], counts)
        kept = rated | ~np.isin(ids, ids[rated]) if rated.any() else ~rated
        kept &= ~_among(ids, without, kind)
        rows = scratch(store, np.int64, (int(kept.sum()),))
        start = 0
        for block in _blocks(len(kept)):
            taken = np.flatnonzero(kept[block]) + block.start
            rows[start : (start := start + len(taken))] = taken
        _reject_doubled(ids, rows, np.cumsum(counts), shards)
        return cls(
            ids,
            _concatenate(parts, store, "labelled"),
            _concatenate(parts, store, "lengths") if kind == "frame" else None,
            Labels(_concatenate(parts, store, "indptr"), _concatenate(parts, store, "indices")),
            rows,
            [about["videos"] for about in manifests],
        )


def _blocks(count: int):
    """Slices of so many rows."""
    for start in range(0, count, BLOCK):
        yield slice(start, min(start + BLOCK, count))


def _concatenate(parts: list[Part], store: Path, name: str) -> np.ndarray:
    """A small array of all parts, one after the other; "indptr" goes on from part to part."""
    arrays = [open_checked(part.folder(store) / f"{name}.npy") for part in parts]
    ongoing = name == "indptr"
    size = sum(len(array) - ongoing for array in arrays) + ongoing
    out = scratch(store, np.result_type(*arrays), (size,))
    start = last = 0
    for array in arrays:
        place = slice(start, start + len(array))
        out[place] = array + out.dtype.type(last) if ongoing else array
        start = place.stop - ongoing
        last = out[start] if ongoing else 0
        let_go()
    return out


def _among(ids: np.ndarray, without, kind: str) -> np.ndarray:
    """Which of the ids are to be left out: bool (N,). InputError when all are."""
    found = np.isin(ids, without) if len(without) else np.zeros(len(ids), bool)
    if found.any():
        log(f"[decode] {found.sum():,} {kind} records are of videos of DATA and are left out")
    if found.all():
        raise InputError(
            f"UNLABELLED: all {len(ids):,} {kind} records are of videos that DATA has; give others"
        )
    return found


def _reject_doubled(ids: np.ndarray, rows: np.ndarray, ends: np.ndarray, shards) -> None:
    """InputError on an id that two of the rows have; ends: where each shard's rows end."""
    alike = rows[_alike(ids, rows)]
    order = np.argsort(ids[alike], kind="stable")
    known = ids[alike][order]
    same = np.flatnonzero(known[1:] == known[:-1])
    if not len(same):
        return
    pair = alike[order[same[0] : same[0] + 2]]
    first, second = (shards[i] for i in np.searchsorted(ends, pair, side="right"))
    also = f" ({len(same):,} ids are doubled)" if len(same) > 1 else ""
    raise InputError(
        f"{first}: id {ids[pair[0]].decode(errors='replace')} appears twice, again in "
        f"{second}{also}; leave one shard out"
    )


def _alike(ids: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Places of all rows whose id has the hash of another's: those that have the same id, and
    seldom another one. Of as many parts of the hashes as there are SORTED rows, one at a time."""
    found, parts = [np.zeros(0, np.int64)], -(-len(rows) // SORTED)
    for part in range(parts):
        own = []
        for block in _blocks(len(rows)):
            hashes = _hashes(ids[rows[block]])
            own.append(hashes[hashes % np.uint64(parts) == part])
            let_go()
        own = np.sort(np.concatenate(own))
        twice = np.unique(own[:-1][own[1:] == own[:-1]])
        if len(twice):
            where = (np.isin(_hashes(ids[rows[b]]), twice) for b in _blocks(len(rows)))
            found.append(np.flatnonzero(np.concatenate(list(where))))
    return np.sort(np.concatenate(found))


def _hashes(ids: np.ndarray) -> np.ndarray:
    """A number of each id: uint64 (n,)."""
    words = ids.astype(f"S{-(-ids.itemsize // 8) * 8}").view("<u8").reshape(len(ids), -1)
    found = np.zeros(len(ids), np.uint64)
    for column in words.T:
        found = (found ^ column) * np.uint64(0x9E3779B97F4A7C15)
        found ^= found >> np.uint64(29)
    return found


def _common(tables: dict[str, _Table]) -> dict[str, np.ndarray]:
    """By kind, the rows of the videos that all kinds have, in the first kind's order."""
    taken = {kind: table.rows for kind, table in tables.items()}
    if len(tables) == 1:
        return taken
    ids = {kind: tables[kind].ids[rows] for kind, rows in taken.items()}
    _, video, frame = np.intersect1d(
        ids["video"], ids["frame"], assume_unique=True, return_indices=True
    )
    if not len(video):
        raise InputError(
            "video/ and frame/ have no video in common; give shards of the same videos, or only "
            "one of the folders as DATA"
        )
    dropped = {"video": len(ids["video"]) - len(video), "frame": len(ids["frame"]) - len(frame)}
    for kind, count in dropped.items():
        if count:
            log(f"[decode] {count:,} videos are only in {kind}/ and are left out")
    order = np.argsort(video)
    return {"video": taken["video"][video[order]], "frame": taken["frame"][frame[order]]}
