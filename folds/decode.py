"""TFRecords to a store of memory-mapped arrays, decoded once, in parallel and resumable.

    python -m folds.decode DATA STORE [--description FILE] [--jobs 2]

A killed run goes on with the parts (groups of shards) that are missing; a complete one is left
alone. Only the parts of changed shards are decoded again.
"""

import hashlib
import json
import re
import shutil
import time
from dataclasses import asdict, replace
from pathlib import Path

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from folds.join import write_rows
from folds.parts import MANIFEST as PART_MANIFEST
from folds.parts import Part, Shard, group, write_part
from yt8m.base import cli
from yt8m.base.arrays import let_go
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, remove, working_in, write_json
from yt8m.data.store import DERIVED, MANIFEST, VERSION, Store
from yt8m.records.description import Description, Dims, describe, find_shards
from yt8m.records.reader import stream, widths
from yt8m.records.vocabulary import Vocabulary

SAMPLE_BYTES = 4 << 20  # of shards, decoded to tell disk and time
SAMPLE_SHARDS = 64
LOCKS = "locks"
REPORT_SECONDS = 5
MIB = float(1 << 20)


def main(data: Path, store: Path, *, description: Path | None = None, jobs: int = 2) -> None:
    """Decodes the TFRecords of DATA into the folder STORE.

    DATA: a folder with video/, frame/ and/or segment/ (frame-level too, with rated segments; its
    records take the place of the same videos' in frame/), a folder of shards, or one shard.
    --description: a TOML that names the features (else DATA/dataset.toml, else a built-in one).
    --jobs: processes.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1 is needed")
    let_go()  # says at once what is wrong with MEMORY_MB
    shards = find_shards(data)
    described, vocabulary = describe(data, shards, description)
    parts = plan(shards, described)
    with working_in(store):
        build(data, parts, described, vocabulary, store, jobs, signature(parts, vocabulary))


def build(
    data: Path, parts, described, vocabulary, store: Path, jobs: int, key: str, without=()
) -> None:
    """Decodes what is missing of the parts and joins them; without: ids to leave out."""
    if is_complete(store, parts, key):
        videos = read_json(store / MANIFEST)["videos"]
        log(f"{store}: complete ({videos:,} videos); nothing to do")
        return
    missing = [p for members in parts.values() for p in members if not p.is_done(store)]
    if missing:
        total = sum(len(members) for members in parts.values())
        log(f"{data}: {estimate(missing, total, store, jobs)}")
    started = time.perf_counter()
    decode(missing, store, jobs)
    finish(parts, described, vocabulary, store, key, without)
    log(f"{store}: {summary(store)}; {time.perf_counter() - started:.1f} s")


def plan(shards: dict[str, list[Path]], description: Description) -> dict[str, list[Part]]:
    """The parts of each kind. InputError when the kinds differ in sizes."""
    dims = {kind: dims_of(paths[0], description) for kind, paths in shards.items()}
    if any(one != next(iter(dims.values())) for one in dims.values()):
        sizes = "; ".join(f"{kind}/ has rgb {d.rgb}, audio {d.audio}" for kind, d in dims.items())
        raise InputError(f"video/ and frame/ are of different data sets: {sizes}")
    means = "video" not in shards
    return {
        kind: [
            Part(kind, members, description, dims[kind], means)
            for members in group([Shard.of(path) for path in paths])
        ]
        for kind, paths in shards.items()
    }


def dims_of(shard: Path, description: Description) -> Dims:
    """The widths that all records must have: those of the first."""
    video = next(stream([shard], description))
    sizes = zip(("rgb", "audio"), widths(video, f"{shard}: record 0"), strict=True)
    return Dims({name: width for name, width in sizes if width}, description.classes, 0)


def signature(parts: dict[str, list[Part]], vocabulary: Vocabulary) -> str:
    """A hash of all that a store depends on."""
    names = {kind: [part.name for part in members] for kind, members in parts.items()}
    text = json.dumps([VERSION, names, asdict(vocabulary)], sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def is_complete(store: Path, parts: dict[str, list[Part]], key: str) -> bool:
    """Whether STORE is what these parts give, and nothing of it was deleted."""
    if not (store / MANIFEST).is_file() or not (store / rows_name(key)).is_dir():
        return False
    done = all(part.is_done(store) for members in parts.values() for part in members)
    return done and read_json(store / MANIFEST).get("rows") == rows_name(key)


def rows_name(key: str) -> str:
    return f"rows-{key}"


def estimate(missing: list[Part], total: int, store: Path, jobs: int) -> str:
    """What the missing parts will take, from a sample that is decoded and thrown away.

    InputError when the disk has less free.
    """
    expected = seconds = 0.0
    for kind in sorted({part.kind for part in missing}):
        parts = [part for part in missing if part.kind == kind]
        sample = replace(parts[0], shards=_sample(parts[0].shards))
        folder = store / "sample"
        started = time.perf_counter()
        write_part(sample, folder)
        took = time.perf_counter() - started
        written = _size(folder)
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


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def decode(missing: list[Part], store: Path, jobs: int) -> None:
    """Writes parts in `jobs` processes; a failure leaves those that are complete."""
    if not missing:
        return
    started = reported = time.perf_counter()
    done = videos = size = 0
    total = sum(part.size for part in missing)
    jobs = min(jobs, len(missing))
    backend = joblib.Parallel(jobs, batch_size=1, return_as="generator_unordered")
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
    with working_in(store / LOCKS / part.name):
        if not part.is_done(store):
            write_part(part, part.folder(store))
    return read_json(part.folder(store) / PART_MANIFEST)["videos"], part.size


def finish(parts, description, vocabulary, store: Path, key: str, without=()) -> None:
    """Joins the parts, writes the manifest, then removes what no manifest names any more."""
    rows = write_rows(parts, store, store / rows_name(key), without)
    dims = next(iter(parts.values()))[0].dims
    described = {
        kind: [
            {"name": part.name, "videos": videos}
            for part, videos in zip(members, rows["parts"][kind], strict=True)
        ]
        for kind, members in parts.items()
    }
    manifest = {
        "version": VERSION,
        "rows": rows_name(key),
        "videos": rows["videos"],
        "dims": {
            "features": dict(dims.features),
            "classes": dims.classes,
            "max_frames": rows["max_frames"],
        },
        "description": description.model_dump(mode="json"),
        "class_names": vocabulary.names,
        "verticals": vocabulary.verticals,
        "parts": described,
        "shards": {k: [s.key for p in members for s in p.shards] for k, members in parts.items()},
    }
    write_json(store / MANIFEST, manifest)
    _remove_stale(parts, store, key)


def _remove_stale(parts: dict[str, list[Part]], store: Path, key: str) -> None:
    """Only folders that are named as we name them: STORE may be a mistake."""
    remove(store / LOCKS)
    for kind in ("video", "frame"):
        wanted = {part.name for part in parts.get(kind, [])}
        for folder in (store / kind).glob("*"):
            ours = re.fullmatch(r"[0-9a-f]{16}(\.tmp)?", folder.name) and folder.is_dir()
            if ours and folder.name not in wanted:
                remove(folder)
    for folder in store.glob("rows-*"):
        if folder.name != rows_name(key):
            remove(folder)
    for folder in (store / DERIVED).glob("*"):  # computed from rows that are no more
        if re.fullmatch(r"[a-z]+-[0-9a-f]{16}", folder.name):
            remove(folder)


def summary(store: Path) -> str:
    """One line on a complete store."""
    manifest = read_json(store / MANIFEST)
    dims = Store(store).dims
    frames = f", up to {dims.max_frames} frames" if dims.max_frames else ""
    size = sum(path.stat().st_size for path in store.rglob("*.npy"))
    return (
        f"{manifest['videos']:,} videos, {dims.sizes}, "
        f"{dims.classes:,} classes{frames}, {size / MIB:,.1f} MiB"
    )


if __name__ == "__main__":
    cli.run(main)
