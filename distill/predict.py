"""An export and any records -> the challenge's file, 20 classes a video.

    python -m distill.predict EXPORT RECORDS [RECORDS ...] OUT.csv [--names] [--skip-bad]

RECORDS: shards, folders of shards, folders with video/ or frame/ (with both, video/ is read); plain
or gzip, with or without labels. An export that takes frames reads only frame-level records; any
other takes their mean. OUT.csv has the header `VideoId,LabelConfidencePairs` and lines
`id,class confidence class confidence ...`, best first; with --names a line for each class,
`VideoId,Class,Name,Confidence`, for people. It appears when complete; an error leaves an older file
as it was. Needs no torch if the export has a graph.
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

import numpy as np

from distill.challenge import HEADER, MOST_PAIRS, lines, quote
from distill.export import batches
from distill.export.run import Exported
from first_level.bundle.manifest import read_trained_on
from yt8m.base import cli
from yt8m.base.cli import InputError, log, name_some
from yt8m.base.files import check_output, remove, writing
from yt8m.base.paths import trained_on
from yt8m.data.origins import hashes_of, write_hashes
from yt8m.data.store import Dims, Features
from yt8m.records.description import describe, find_shards
from yt8m.records.reader import dims_of, stream
from yt8m.records.unread import name_unread
from yt8m.records.video import Video, video_level

NAMED = "VideoId,Class,Name,Confidence"


def main(
    export: Path,
    records: list[Path],
    out: Path,
    *,
    batch: int = 512,
    threads: int = 0,
    description: str = "",
    names: bool = False,
    skip_bad: bool = False,
) -> None:
    """Writes the 20 best classes of every video of RECORDS to OUT.csv, in bounded memory.

    --threads: 0 for one a core. --skip-bad: leaves out videos that training would not take either,
    and names them; otherwise they are an error.
    """
    if batch < 1:
        raise InputError(f"--batch {batch}: must be 1 or more")
    _check_output(out)
    exported = Exported(export, threads=threads)
    started, known = time.monotonic(), Known(read_trained_on(export))
    videos = features(records, exported, Path(description) if description else None)
    if exported.manifest.dims.max_frames:
        batch = min(batch, batches.VIDEOS)
    with writing(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        found = chunks(videos, batch)
        count, skipped = write_lines(file, exported, found, names, skip_bad, known)
        if not count:
            raise InputError(f"{records[0]}: none of the videos can be predicted; give others")
    seconds = time.monotonic() - started
    if skipped:
        few = name_some(skipped)
        log(f"{out}: {len(skipped):,} videos cannot be predicted and are left out: {few}")
    known.note(out)
    log(
        f"{out}: {count:,} videos, {count / seconds:,.0f} videos/s, "
        f"peak memory {cli.peak_memory_mb():,.0f} MB"
    )


class Known:
    """Which of the videos that were predicted have trained the export.

    hashes: of those that trained it, uint64, sorted.
    """

    def __init__(self, hashes: np.ndarray):
        self.hashes, self.parts = hashes, []

    def look(self, ids: list[str]) -> None:
        own = hashes_of(np.array([video.encode() for video in ids]))
        self.parts.append(own[np.isin(own, self.hashes)])

    def note(self, out: Path) -> None:
        """Says so beside OUT.csv, for distill.evaluate; no such file where there are none."""
        remove(trained_on(out))
        count = sum(map(len, self.parts))
        if count:
            write_hashes(trained_on(out), np.sort(np.concatenate(self.parts)))
            text = "of its videos trained this export: they do not judge it"
            log(f"warning: {out}: {count:,} {text}")


def write_lines(
    file, exported: Exported, chunks: Iterator[list], names: bool, skip_bad: bool, known: Known
):
    """Writes the header and the lines of all videos; returns (how many, ids of the others)."""
    count, skipped = 0, []
    file.write((NAMED if names else HEADER) + "\n")
    for chunk in chunks:
        ids, classes, scores, faults = best_of(exported, chunk)
        if faults and not skip_bad:
            where, video, fault = faults[0]
            raise InputError(f"{where}: id {video}: {fault}; leave it out, or say --skip-bad")
        skipped += [video for _, video, _ in faults]
        if names:
            file.writelines(named_lines(ids, classes, scores, exported.manifest.class_names))
        else:
            file.writelines(lines(ids, classes, scores))
        count += len(ids)
        known.look(ids)
    return count, skipped


def best_of(exported: Exported, chunk: list[tuple[str, str, Features]]):
    """(ids, classes (n, 20), scores (n, 20), faults) of (where, id, features) each; faults: (where,
    id, what is wrong) of the videos that cannot be predicted, which are not among the others."""
    dims, parts, faults, start = exported.manifest.dims, [], {}, 0
    columns = {kind: [found[kind] for _, _, found in chunk] for kind in dims.features}
    for one in batches.of_videos(columns, dims):
        classes, scores, wrong = exported.judge(one.features, MOST_PAIRS, one.lengths)
        faults |= {start + row: fault for row, fault in wrong.items()}
        parts.append((classes, scores))
        start += len(classes)
    classes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    fine = [row for row in range(start) if row not in faults]
    named = [(*chunk[row][:2], faults[row]) for row in sorted(faults)]
    return [chunk[row][1] for row in fine], classes[fine], scores[fine], named


def chunks(videos: Iterator, size: int) -> Iterator[list]:
    """The videos, `size` at a time; the next ones are read while the last ones are predicted."""
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(lambda: list(islice(videos, size)))
        while chunk := waiting.result():
            waiting = reader.submit(lambda: list(islice(videos, size)))
            yield chunk


def features(
    records: list[Path], exported: Exported, description: Path | None
) -> Iterator[tuple[str, str, Features]]:
    """(where, id, features) of every video: (W,) by kind or, of the kinds of which the export takes
    frames, bytes (T, W). InputError names the record that does not fit."""
    frames = exported.manifest.frames
    for data in records:
        found = find_shards(data)
        if frames and "frame" not in found:
            raise InputError(
                f"{data}: has only video-level records, but the export takes frames "
                f"({exported.folder}); give frame-level records"
            )
        shards = found["frame"] if frames else found.get("video") or found["frame"]
        names, _ = describe(data, {"video": shards}, description)
        name_unread(data, {"video": shards}, names)
        names = names.model_copy(update={"classes": None})  # labels are not read
        for shard in shards:
            sizes = dims_of([shard], names, exported.manifest.dims.features)
            for number, video in enumerate(stream([shard], names, sizes)):
                where = f"{shard}: record {number}"
                if frames and not video.num_frames:
                    raise InputError(f"{where}: has no frames, but the export takes them")
                found = _features(video, exported.manifest.dims)
                if not number:  # the shard's other records agree with its first
                    _check_widths(found, exported, where)
                yield where, video.id.decode(), found


def named_lines(ids, classes: np.ndarray, scores: np.ndarray, names: list[str]) -> Iterator[str]:
    """A line for each class, with its name; ids and names may have commas and quotes."""
    for video, row, confidences in zip(ids, classes.tolist(), scores.tolist(), strict=True):
        for label, score in zip(row, confidences, strict=True):
            yield f"{quote(video)},{label},{quote(names[label])},{score:.4g}\n"


def _features(video: Video, dims: Dims) -> Features:
    """What the export takes of a record; a kind that it lacks is absent."""
    found = video_level(video)
    if dims.max_frames:
        found |= {name: part for name, part in video.frames.items() if name not in dims.frameless}
    return {name: found[name] for name in dims.features if name in found}


def _check_widths(found: Features, exported: Exported, where: str) -> None:
    for name, expected in exported.manifest.dims.features.items():
        width = found[name].shape[-1] if name in found else 0
        if width != expected:
            raise InputError(
                f"{where}: {name} has {width} values; the export takes {expected} "
                f"({exported.folder}); give records of the data set that it was trained on, or "
                "name their features with --description"
            )


def _check_output(out: Path) -> None:
    """Replaces nothing but an older result: without OUT.csv the last argument names a shard."""
    check_output(out)
    if out.is_file() and out.stat().st_size:
        with open(out, "rb") as file:
            if file.readline(64).rstrip() not in (HEADER.encode(), NAMED.encode()):
                raise InputError(
                    f"{out}: already exists and is not an older result; choose another name"
                )


if __name__ == "__main__":
    cli.run(main)
