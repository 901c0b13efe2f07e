"""A store from shards of records: which parts are missing, decoding them, joining all.

What is there already is used: finished parts whose shards have the same content, and the joined
rows of the same parts. The manifest is written last, and only when it changes.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
from joblib.externals.loky.process_executor import TerminatedWorkerError

from folds.join import read_rows, write_rows
from folds.part_writer import write_part
from folds.parts import LEVELS, Finished, Part, Shard, arrange
from yt8m.base.cli import InputError, log
from yt8m.base.config import write_if_changed
from yt8m.base.files import read_json, remove, working_in
from yt8m.base.paths import MANIFEST
from yt8m.data.store import DERIVED, VERSION, Store
from yt8m.records.content import by_folder, description_digest
from yt8m.records.description import Description
from yt8m.records.reader import dims_of
from yt8m.records.vocabulary import Vocabulary

SAMPLE_BYTES = 4 << 20  # of shards, decoded to estimate disk and time
SAMPLE_SHARDS = 64
LOCKS = "locks"
REPORT_SECONDS = 5
MIB = float(1 << 20)


@dataclass(frozen=True)
class StoreSource:
    """What a store is made of: records of a description, and names of the classes.

    data: as the user named it; shards: by level of records, "video" and "frame"; without: ids to
    leave out, bytes (n,); without_key: a text that changes when they do.
    """

    data: Path
    shards: dict[str, list[Path]]
    description: Description
    vocabulary: Vocabulary
    without: np.ndarray | tuple = ()
    without_key: str = ""

    def levels(self, known: Mapping[str, int] | None = None) -> dict[str, Part]:
        """All shards of each level as one part. known: as for `dims_of`. InputError when the levels
        differ in sizes."""
        dims = {k: dims_of(paths, self.description, known) for k, paths in self.shards.items()}
        if len(dims) == 2:
            video, frame = dims["video"], dims["frame"]
            if not frame.features.items() <= video.features.items():
                sizes = f"video/ has {video.sizes}; frame/ has {frame.sizes}"
                raise InputError(f"video/ and frame/ are of different data sets: {sizes}")
        means = "video" not in dims
        return {
            level: Part(level, tuple(map(Shard.of, paths)), self.description, dims[level], means)
            for level, paths in self.shards.items()
        }


Parts = dict[str, list[Part]]  # by level, in order


def build(source: StoreSource, levels: dict[str, Part], store: Path, jobs: int) -> None:
    """Makes what STORE lacks. levels: `source.levels`; jobs: processes."""
    started = time.perf_counter()
    parts = _arrange(levels, store)
    missing = [part for members in parts.values() for part in members if not part.finished]
    if missing:
        total = sum(len(members) for members in parts.values())
        log(f"{source.data}: {estimate(missing, total, store, jobs)}")
        decode(missing, store, jobs)
        parts = _arrange(levels, store, look=True)
    if _finish(source, parts, store) or missing:
        log(f"{store}: {summary(store)}; {time.perf_counter() - started:.1f} s")
        return
    videos = read_json(store / MANIFEST)["videos"]
    log(f"{store}: complete ({videos:,} videos); nothing to do")


def _arrange(levels: dict[str, Part], store: Path, *, look: bool = False) -> Parts:
    finished = Finished(store)
    return {level: arrange(whole, finished, look=look) for level, whole in levels.items()}


def estimate(missing: list[Part], total: int, store: Path, jobs: int) -> str:
    """What the missing parts will take, from a sample that is decoded and thrown away.

    InputError when the disk has less free.
    """
    expected = seconds = 0.0
    for level in sorted({part.kind for part in missing}):
        parts = [part for part in missing if part.kind == level]
        sample = replace(parts[0], shards=_sample(parts[0].shards))
        folder = store / "sample"
        started = time.perf_counter()
        write_part(sample, folder)
        took = time.perf_counter() - started
        written = sum(path.stat().st_size for path in folder.iterdir())
        remove(folder)
        scale = sum(part.size for part in parts) / sample.size
        expected += written * scale
        seconds += took * scale / min(jobs, len(parts))
    free = shutil.disk_usage(store).free
    size = sum(part.size for part in missing)
    shards = sum(len(part.shards) for part in missing)
    text = (
        f"{shards:,} shards, {size / MIB:,.1f} MiB to decode ({total - len(missing)} of {total} "
        f"parts kept): about {expected / MIB:,.1f} MiB of disk ({free / MIB:,.0f} MiB free) and "
        f"{max(seconds, 1):,.0f} s with {jobs} jobs"
    )
    if expected > free:
        raise InputError(f"{store}: not enough disk: {text}; free some or choose another ARTIFACTS")
    return text


def _sample(shards: tuple[Shard, ...]) -> tuple[Shard, ...]:
    """The first shards, as many as make 4 MiB, at least one."""
    size = count = 0
    while count < min(len(shards), SAMPLE_SHARDS) and size < SAMPLE_BYTES:
        size += shards[count].size
        count += 1
    return shards[:count]


def decode(missing: list[Part], store: Path, jobs: int) -> None:
    """Writes parts in `jobs` processes; a failure leaves those that are complete."""
    started = reported = time.perf_counter()
    done = videos = size = 0
    total = sum(part.size for part in missing)
    backend = joblib.Parallel(
        min(jobs, len(missing)), batch_size=1, return_as="generator_unordered"
    )
    tasks = (joblib.delayed(_decode_one)(part, store) for part in missing)
    try:
        for part_videos, part_size in backend(tasks):
            done, videos, size = done + 1, videos + part_videos, size + part_size
            now = time.perf_counter()
            if now - reported > REPORT_SECONDS:
                reported = now
                left = (now - started) * (total - size) / size
                parts = f"{done} of {len(missing)} parts"
                log(f"[decode] {parts}, {videos:,} videos; {left:,.0f} s left")
    except TerminatedWorkerError as error:
        raise InputError(
            "a decoding process was killed (out of memory?); run the command again, complete parts "
            "are kept; fewer --jobs take less memory"
        ) from error


def _decode_one(part: Part, store: Path) -> tuple[int, int]:
    """(videos, bytes of shards). Waits for a worker of a killed run that still writes this part."""
    with working_in(store / LOCKS / part.pending):
        folder = store / part.kind / part.pending
        about = write_part(part, folder)
        name = part.name(about["digests"])
    with working_in(store / LOCKS / name):  # another part may be of the same content
        finished = store / part.kind / name
        remove(finished)
        os.replace(folder, finished)
    return about["videos"], part.size


def _finish(source: StoreSource, parts: Parts, store: Path) -> bool:
    """Joins the parts unless that is done, writes the manifest, then removes what it does not name;
    whether anything was to do."""
    changed = [part for members in parts.values() for part in members if not part.finished]
    if changed:
        raise InputError(f"{changed[0].shards[0].path}: changed while it was read; run it again")
    digests = by_folder(source.shards, Finished(store).digests)
    needs = [members[0].needs for members in parts.values()]
    text = json.dumps([digests, needs, source.without_key], sort_keys=True)
    rows = store / f"rows-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"
    about = read_rows(rows)
    joined = about is None
    if joined:
        about = write_rows(parts, store, rows, source.without)
    content = description_digest(source.description, source.vocabulary)
    manifest = {
        "version": VERSION,
        "rows": rows.name,
        "videos": about["videos"],
        "dims": _dims(parts) | {"max_frames": about["max_frames"]},
        "description": source.description.model_dump(mode="json"),
        "class_names": source.vocabulary.names,
        "verticals": source.vocabulary.verticals,
        "parts": _describe_parts(parts, about["parts"]),
        "content": {"shards": digests, "description": content},
        "shard_bytes": sum(part.size for members in parts.values() for part in members),
    }
    written = write_if_changed(store / MANIFEST, json.dumps(manifest, indent=1) + "\n")
    _remove_stale(parts, store, rows.name)
    return joined or written


def _dims(parts: Parts) -> dict:
    """The sizes of a store; "frameless": kinds without frames, where others have some."""
    dims = {level: members[0].dims for level, members in parts.items()}
    first = dims.get("video") or dims["frame"]
    frames = dims["frame"].features.keys() - dims["frame"].frameless if "frame" in dims else None
    frameless = [] if frames is None else [kind for kind in first.features if kind not in frames]
    return {"features": dict(first.features), "classes": first.classes, "frameless": frameless}


def _describe_parts(parts: Parts, videos: dict[str, list[int]]) -> dict[str, list[dict]]:
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
            ours = re.fullmatch(r"[0-9a-f]{16}(\.tmp)?", folder.name) and folder.is_dir()
            if ours and folder.name not in wanted:
                remove(folder)
    stale = [folder for folder in store.glob("rows-*") if folder.name != rows]
    for folder in stale:
        remove(folder)
    for folder in (store / DERIVED).glob("*") if stale else ():  # computed from rows that are gone
        if re.fullmatch(r"[a-z]+-[0-9a-f]{16}", folder.name):
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
