"""The rows of a store: all parts' ids and labels in one table, video and frame records joined.

What is known of every video stays in files (base/arrays.py), a block of them in memory; only where
videos are left out, or two kinds of records joined, are all ids compared in memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from folds.hashes import rows_alike
from folds.parts import MANIFEST, Part, is_complete, sizes_of
from yt8m.base.arrays import create, let_go, scratch
from yt8m.base.checksums import open_checked, write_sums
from yt8m.base.cli import InputError, log
from yt8m.base.digests import read_cache
from yt8m.base.files import read_json, seal, write_json, writing
from yt8m.data.origins import hash_ids
from yt8m.records.description import RATED
from yt8m.records.labels import Labels

ROWS = "rows.json"
BLOCK = 1 << 15  # rows at a time


def write_rows(
    parts: dict[str, list[Part]], store: Path, folder: Path, without=(), own: Mapping | None = None
) -> dict:
    """Writes the arrays that Store opens into `folder`; returns what the manifest says of them.

    parts: by level, all finished; without: ids to leave out; own: by level, how many of the shards
    are of DATA, where those behind them are the holdout. InputError on an id that appears twice, or
    when video and frame records have no video in common.
    """
    own = own or {}
    tables = {
        level: _Table.of(level, members, store, without, own.get(level))
        for level, members in parts.items()
    }
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
        for name in ("held_out", "groups"):  # of the first level that has them
            _write_first(temporary, name, tables, located)
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


def _write_first(folder: Path, name: str, tables: dict, located: dict) -> None:
    """Writes an array that some tables have, if one of these has it."""
    for level, rows in located.items():
        values = getattr(tables[level], name)
        if values is not None:
            _write(folder, name, values, rows)
            return


@dataclass(frozen=True)
class _Table:
    """The rows of all parts of one kind, in order; N of them.

    ids bytes (N,), labelled bool (N,), lengths int32 (N,) or None, labels: N rows; groups: bytes
    (N,), b"" where there is none, or None; held_out: bool (N,), or None; rows: those to take,
    int64, so that each id appears once: a record of segment/ takes the place of the same video's in
    frame/, and one of the holdout of one of DATA; videos: of each part.
    """

    ids: np.ndarray
    labelled: np.ndarray
    lengths: np.ndarray | None
    labels: Labels
    groups: np.ndarray | None
    held_out: np.ndarray | None
    rows: np.ndarray
    videos: list[int]

    @classmethod
    def of(cls, kind: str, parts: list[Part], store: Path, without, own: int | None) -> "_Table":
        """InputError on an id that is to be taken twice."""
        manifests = [read_json(part.folder(store) / MANIFEST) for part in parts]
        counts = np.concatenate([about["counts"] for about in manifests]).astype(np.int64)
        shards = [shard.path for part in parts for shard in part.shards]
        ids = _concatenate(parts, store, "ids")
        rated = np.repeat([path.parent.name == RATED for path in shards], counts)
        kept = rated | ~np.isin(ids, ids[rated]) if rated.any() else ~rated
        kept &= ~_among(ids, without, kind)
        held_out = None if own is None else np.repeat(np.arange(len(counts)) >= own, counts)
        if held_out is not None:
            kept &= held_out | ~_of_holdout(ids, ids[held_out], kind)
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
            _groups(parts, store),
            held_out,
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


def _groups(parts: list[Part], store: Path) -> np.ndarray | None:
    """The groups of all parts, b"" in those that have none; None when no part has any."""
    paths = [part.folder(store) / "groups.npy" for part in parts]
    arrays = [open_checked(path) if path.is_file() else None for path in paths]
    types = [array.dtype for array in arrays if array is not None]
    if not types:
        return None
    counts = [len(open_checked(path.with_name("ids.npy"))) for path in paths]
    out, start = scratch(store, max(types), (sum(counts),)), 0
    for array, count in zip(arrays, counts, strict=True):
        out[start : start + count] = b"" if array is None else array
        start += count
        let_go()
    return out


def _of_holdout(ids: np.ndarray, held_out: np.ndarray, kind: str) -> np.ndarray:
    """Which of the ids are those of HOLDOUT: bool (N,). Says how many DATA has too."""
    found = np.isin(ids, held_out)
    doubled = int(found.sum()) - len(held_out)
    if doubled:
        log(f"[decode] {doubled:,} {kind} records of DATA are of videos of HOLDOUT: only held out")
    return found


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
    alike = rows[rows_alike(lambda block: hash_ids(ids[rows[block]]), len(rows))]
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
