"""Decodes parts of a store in several processes, and says beforehand what they will take."""

import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError

from folds.part_writer import write_part
from folds.parts import Part, Shard
from yt8m.base.cli import InputError, log
from yt8m.base.files import remove, working_in

SAMPLE_BYTES = 4 << 20  # of shards, decoded to estimate disk and time
SAMPLE_SHARDS = 64
LOCKS = "locks"
REPORT_SECONDS = 5
MIB = float(1 << 20)


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
    kept = f"{total - len(missing)} of {total} parts kept"
    text = (
        f"{shards:,} shards, {size / MIB:,.1f} MiB to decode ({kept}): "
        f"about {expected / MIB:,.1f} MiB of disk ({free / MIB:,.0f} MiB free) and "
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
    outside: list[dict] = []  # segments, of each part that has some
    total = sum(part.size for part in missing)
    backend = joblib.Parallel(
        min(jobs, len(missing)), batch_size=1, return_as="generator_unordered"
    )
    tasks = (joblib.delayed(_decode_one)(part, store) for part in missing)
    try:
        for about, part_size in backend(tasks):
            done, videos, size = done + 1, videos + about["videos"], size + part_size
            outside += [about["outside"]] if "outside" in about else []
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
    if outside:
        count, first = sum(one["segments"] for one in outside), min(one["first"] for one in outside)
        text = "segments begin when their video has ended, and are left out"
        log(f"[decode] {count:,} rated {text} ({first})")


def _decode_one(part: Part, store: Path) -> tuple[dict, int]:
    """(its manifest, bytes of shards). Waits for a worker of a killed run that writes it still."""
    with working_in(store / LOCKS / part.pending):
        folder = store / part.kind / part.pending
        about = write_part(part, folder)
        name = part.name(about["digests"])
    with working_in(store / LOCKS / name):  # another part may be of the same content
        finished = store / part.kind / name
        remove(finished)
        os.replace(folder, finished)
    return about, part.size
