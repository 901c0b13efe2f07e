"""The rows of a store: all parts' ids and labels in one table, video and frame records joined."""

from pathlib import Path

import numpy as np

from folds.parts import Part, load_rows
from yt8m.cli import InputError, log
from yt8m.description import RATED
from yt8m.files import writing
from yt8m.labels import Labels


def write_rows(parts: dict[str, list[Part]], store: Path, folder: Path, without=()) -> dict:
    """Writes the arrays that Store opens into `folder`; returns what the manifest says of them.

    parts: by kind, all decoded; without: ids to leave out. InputError on an id that is there
    twice, or when video and frame records have no video in common.
    """
    tables = {kind: _table(members, store, without) for kind, members in parts.items()}
    located = _common(tables)
    first = next(iter(tables))  # "video" before "frame"
    rows = located[first]
    labels = tables[first]["labels"].take(rows)
    arrays = {
        "ids": tables[first]["ids"][rows],
        "labelled": tables[first]["labelled"][rows],
        "indptr": labels.indptr,
        "indices": labels.indices,
        "num_frames": np.zeros(len(rows), np.int32),
    }
    if "frame" in tables:
        arrays["num_frames"] = tables["frame"]["lengths"][located["frame"]]
    for kind, places in located.items():
        arrays[f"{kind}_rows"] = places.astype(np.int64)
    with writing(folder) as temporary:
        temporary.mkdir()
        for name, values in arrays.items():
            np.save(temporary / f"{name}.npy", values, allow_pickle=False)
    videos = {kind: table["videos"] for kind, table in tables.items()}
    return {"videos": len(rows), "max_frames": int(arrays["num_frames"].max()), "parts": videos}


def _table(parts: list[Part], store: Path, without) -> dict:
    """The rows of all parts of one kind, in order; `kept`: those to take, so that each id is there
    once: a record of segment/ takes the place of the same video's in frame/."""
    loaded = [load_rows(part, store) for part in parts]
    names = [name for name in ("ids", "labelled", "lengths") if name in loaded[0]]
    table = {name: np.concatenate([rows[name] for rows in loaded]) for name in names}
    table["labels"] = Labels.concatenate([rows["labels"] for rows in loaded])
    table["videos"] = [rows["videos"] for rows in loaded]
    counts = np.concatenate([rows["counts"] for rows in loaded])
    shards = [shard.path for part in parts for shard in part.shards]
    rated = np.repeat([path.parent.name == RATED for path in shards], counts)
    replaced = ~rated & np.isin(table["ids"], table["ids"][rated])
    table["kept"] = np.flatnonzero(~replaced & ~_among(table["ids"], without, parts[0].kind))
    shard_of = np.repeat(np.arange(len(shards)), counts)[table["kept"]]
    _reject_doubled(table["ids"][table["kept"]], shard_of, shards)
    return table


def _among(ids: np.ndarray, without, kind: str) -> np.ndarray:
    """Which of the ids are to be left out: bool (N,). InputError when all are."""
    found = np.isin(ids, without)
    if found.any():
        log(f"[decode] {found.sum():,} {kind} records are of videos of DATA and are left out")
    if found.all():
        raise InputError(
            f"UNLABELLED: all {len(ids):,} {kind} records are of videos that DATA has; give others"
        )
    return found


def _reject_doubled(ids: np.ndarray, shard_of: np.ndarray, shards: list[Path]) -> None:
    order = np.argsort(ids, kind="stable")
    same = np.flatnonzero(ids[order][1:] == ids[order][:-1])
    if not len(same):
        return
    pair = order[same[0] : same[0] + 2]
    first, second = (shards[i] for i in shard_of[pair])
    also = f" ({len(same):,} ids are doubled)" if len(same) > 1 else ""
    raise InputError(
        f"{first}: id {ids[pair[0]].decode(errors='replace')} is there twice, again in "
        f"{second}{also}; each video may be there once; leave one shard out"
    )


def _common(tables: dict) -> dict[str, np.ndarray]:
    """By kind, the places of the videos that all kinds have, in the first kind's order."""
    kept = {kind: table["kept"] for kind, table in tables.items()}
    if len(tables) == 1:
        return kept
    ids = {kind: tables[kind]["ids"][rows] for kind, rows in kept.items()}
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
    return {"video": kept["video"][video[order]], "frame": kept["frame"][frame[order]]}
