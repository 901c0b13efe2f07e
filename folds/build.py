"""A store from shards of records: which parts are missing, decoding them, joining all.

What exists already is used: finished parts whose shards have the same content, and the joined
rows of the same parts. The manifest is written last, and only when it changes.
"""

import hashlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from folds.decoding import LOCKS, MIB, decode, estimate
from folds.join import read_rows, write_rows
from folds.parts import Finished, Part, Shard, arrange
from yt8m.base.cli import InputError, log, name_some
from yt8m.base.config import write_if_changed
from yt8m.base.files import read_json, remove, seal
from yt8m.base.paths import ABOUT, MANIFEST
from yt8m.data.store import DERIVED, VERSION, Store
from yt8m.records.content import by_folder, description_digests
from yt8m.records.description import LEVELS, Description
from yt8m.records.reader import dims_of
from yt8m.records.values import UNFIT
from yt8m.records.vocabulary import Vocabulary

DERIVED_NAME = r"[a-z]+-[0-9a-f]{16}"


@dataclass(frozen=True)
class Recipe:
    """What a store is made of: records of a description, and names of the classes.

    data: as the user named it; shards: by level of records, "video" and "frame"; held_out: the
    same of HOLDOUT, where that has records of its own; without: ids to leave out, bytes (n,);
    without_key: a text that changes when they do; skip_bad: as of Part.
    """

    data: Path
    shards: dict[str, list[Path]]
    description: Description
    vocabulary: Vocabulary
    held_out: Mapping[str, list[Path]] = field(default_factory=dict)
    without: np.ndarray | tuple = ()
    without_key: str = ""
    skip_bad: bool = False

    @property
    def all_shards(self) -> dict[str, list[Path]]:
        """By level, those of DATA, then those of the holdout."""
        return {k: [*paths, *self.held_out.get(k, ())] for k, paths in self.shards.items()}

    def levels(self, known: Mapping[str, int] | None = None) -> dict[str, Part]:
        """All shards of each level as one part. known: as for `dims_of`. InputError when the levels
        differ in sizes."""
        shards = self.all_shards
        dims = {k: dims_of(paths, self.description, known) for k, paths in shards.items()}
        if len(dims) == 2:
            video, frame = dims["video"], dims["frame"]
            if not frame.features.items() <= video.features.items():
                sizes = f"video/ has {video.sizes}; frame/ has {frame.sizes}"
                raise InputError(f"video/ and frame/ are of different data sets: {sizes}")
        means = "video" not in dims
        return {
            level: Part(
                level,
                tuple(map(Shard.of, paths)),
                self.description,
                dims[level],
                means,
                skip_bad=self.skip_bad,
            )
            for level, paths in shards.items()
        }


Parts = dict[str, list[Part]]  # by level, in order


def build(recipe: Recipe, levels: dict[str, Part], store: Path, jobs: int) -> None:
    """Makes what STORE lacks. levels: `recipe.levels`; jobs: processes."""
    started = time.perf_counter()
    parts = _arrange_levels(levels, store)
    missing = [part for members in parts.values() for part in members if not part.finished]
    if missing:
        total = sum(len(members) for members in parts.values())
        log(f"{recipe.data}: {estimate(missing, total, store, jobs)}")
        decode(missing, store, jobs)
        parts = _arrange_levels(levels, store, look=True)
    if _finish(recipe, parts, store) or missing:
        log(f"{store}: {summary(store)}; {time.perf_counter() - started:.1f} s")
        return
    videos = read_json(store / MANIFEST)["videos"]
    log(f"{store}: complete ({videos:,} videos); nothing to do")


def _arrange_levels(levels: dict[str, Part], store: Path, *, look: bool = False) -> Parts:
    finished = Finished(store, look=not look)  # what was decoded just now need not be compared
    return {level: arrange(whole, finished, look=look) for level, whole in levels.items()}


def _finish(recipe: Recipe, parts: Parts, store: Path) -> bool:
    """Joins the parts unless that is done, writes the manifest, then removes what it does not name;
    whether anything was to do."""
    whole = [part for members in parts.values() for part in members]
    changed = [part for part in whole if not part.finished]
    if changed:
        raise InputError(f"{changed[0].shards[0].path}: changed while it was read; run it again")
    finished = Finished(store)
    report_skipped([finished.parts[part.kind][part.finished] for part in whole], recipe)
    digests = by_folder(recipe.shards, finished.digests, recipe.held_out)
    needs = [members[0].needs for members in parts.values()]
    text = json.dumps([digests, needs, recipe.without_key], sort_keys=True)
    rows = store / f"rows-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
    about = read_rows(rows)
    joined = about is None
    if joined:
        own = {k: len(recipe.shards[k]) for k in recipe.held_out}
        about = write_rows(parts, store, rows, recipe.without, own)
    described = description_digests(recipe.description, recipe.vocabulary)
    names = {  # apart, so that other names of classes make no result stale that knows none
        "description": recipe.description.model_dump(mode="json"),
        "class_names": recipe.vocabulary.names,
        "content": {"shards": digests} | described,
        "shard_bytes": sum(part.size for part in whole),
    }
    manifest = {
        "version": VERSION,
        "rows": rows.name,
        "videos": about["videos"],
        "dims": _dims(parts) | {"max_frames": about["max_frames"]},
        "verticals": recipe.vocabulary.verticals,
        "parts": _names_of(parts, about["parts"]),
    }
    files = {ABOUT: names, MANIFEST: manifest}
    written = [
        write_if_changed(store / name, json.dumps(seal(values), indent=1) + "\n")
        for name, values in files.items()
    ]
    _remove_stale(parts, store, rows.name)
    return joined or any(written)


def report_skipped(abouts: list[dict], recipe: Recipe) -> None:
    """Says which videos were left out. abouts: of all parts. InputError when none is left."""
    skipped = [name for about in abouts for name in about.get("skipped", ())]
    if not any(about["videos"] for about in abouts):
        raise InputError(f"{recipe.data}: each of the {len(skipped):,} videos {UNFIT}; give others")
    if skipped:
        names = name_some(skipped)
        log(f"[decode] {len(skipped):,} videos are left out, each {UNFIT}: {names}")


def _dims(parts: Parts) -> dict:
    """The sizes of a store; "frameless": kinds without frames, where others have some."""
    dims = {level: members[0].dims for level, members in parts.items()}
    first = dims.get("video") or dims["frame"]
    frames = dims["frame"].features.keys() - dims["frame"].frameless if "frame" in dims else None
    frameless = [] if frames is None else [kind for kind in first.features if kind not in frames]
    return {"features": dict(first.features), "classes": first.classes, "frameless": frameless}


def _names_of(parts: Parts, videos: dict[str, list[int]]) -> dict[str, list[dict]]:
    """By level, the name and the number of videos of each part."""
    return {
        level: [
            {"name": part.finished, "videos": count}
            for part, count in zip(members, videos[level], strict=True)
        ]
        for level, members in parts.items()
    }


def _remove_stale(parts: Parts, store: Path, rows: str) -> None:
    """Only folders that are named as we name them: STORE may be a mistake."""
    remove(store / LOCKS)
    for level in LEVELS:
        wanted = {part.finished for part in parts.get(level, [])}
        for folder in (store / level).glob("*"):
            ours = re.fullmatch(r"[0-9a-f]{16}(\..*tmp)?", folder.name) and folder.is_dir()
            if ours and folder.name not in wanted:
                remove(folder)
    stale = [folder for folder in store.glob("rows-*") if folder.name != rows]
    if stale:  # what was computed from them is gone too
        derived = (store / DERIVED).glob("*")
        stale += [folder for folder in derived if re.fullmatch(DERIVED_NAME, folder.name)]
    for folder in stale:
        remove(folder)


def summary(store: Path) -> str:
    """One line on a complete store."""
    data = Store(store)
    frames = f", up to {data.dims.max_frames} frames" if data.dims.max_frames else ""
    size = sum(path.stat().st_size for path in store.rglob("*.npy"))
    return (
        f"{len(data):,} videos, {data.dims.sizes}, "
        f"{data.dims.classes:,} classes{frames}, {size / MIB:,.1f} MiB"
    )
