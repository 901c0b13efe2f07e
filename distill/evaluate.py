"""Scores a file of predictions against labelled records.

    python -m distill.evaluate OUT.csv RECORDS [RECORDS ...]

The last line printed is one JSON object: gap20, map, classes (that counted in map), hit1, hit5,
perr, videos. Joined by id: every labelled video must be there once. Ties are broken by the order of
the file's lines. N videos, K pairs of the longest line.
"""

import json
from array import array
from pathlib import Path

import numpy as np

from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.records.labels import Labels
from yt8m.records.reader import describe, find_shards, stream
from yt8m.training import metrics

HEADER = "VideoId,LabelConfidencePairs"
MOST_PAIRS = 20
MOST_CLASS = 65534  # 65535 is left for padding


def main(predictions: Path, records: list[Path], *, description: str = "") -> None:
    """Prints GAP@20, mAP, Hit@1, Hit@5 and PERR of PREDICTIONS (VideoId,LabelConfidencePairs)."""
    ids, classes, scores = read_predictions(predictions)
    known, labels, unlabelled = read_labels(records, Path(description) if description else None)
    rows = joined(ids, known, unlabelled, predictions)
    kept = rows >= 0
    classes, scores, labels = classes[kept], scores[kept], labels.take(rows[kept])
    padding = int(max(classes.max(initial=0), labels.indices.max(initial=0))) + 1
    classes[classes < 0] = padding  # a class without positives: counts nowhere
    figures = metrics.evaluate(classes, scores, labels, padding + 1)
    log(f"{predictions}: {figures['videos']:,} videos with {len(labels.indices):,} labels")
    for name, text in (
        ("gap20", "GAP@20"),
        ("map", f"mAP over {figures['classes']:,} classes that have a positive"),
        ("hit1", "Hit@1"),
        ("hit5", "Hit@5"),
        ("perr", "PERR"),
    ):
        value = "-" if figures[name] is None else f"{figures[name]:.5f}"
        log(f"  {value:>8}  {text}")
    log(json.dumps(figures))


def read_predictions(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """ids (N), classes int32 (N, K), -1 where a line has fewer, and scores float64 (N, K)."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; distill.predict writes it")
    ids: list[str] = []
    counts, classes, scores = array("B"), array("i"), array("d")
    try:
        with open(path, encoding="utf-8") as file:
            header = file.readline().strip()
            if header != HEADER:
                raise InputError(f"{path}: line 1 is {header[:60]!r}; it must be {HEADER!r}")
            for number, line in enumerate(file, 2):
                video, pairs = _parse_line(line, f"{path}: line {number}")
                ids.append(video)
                counts.append(len(pairs) // 2)
                classes.extend(pairs[::2])
                scores.extend(pairs[1::2])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text ({error}); distill.predict writes it") from error
    if not ids:
        raise InputError(f"{path}: no predictions after the header; run distill.predict")
    lengths = np.frombuffer(counts, np.uint8).astype(np.int64)
    there = np.arange(lengths.max()) < lengths[:, None]  # (N, K)
    table, values = np.full(there.shape, -1, np.int32), np.full(there.shape, -np.inf)
    table[there], values[there] = classes, scores
    return ids, table, values


def _parse_line(line: str, where: str) -> tuple[str, list]:
    """(id, [class, score, class, score, ...]) of a line."""
    video, comma, rest = line.rstrip("\r\n").partition(",")
    words = rest.split()
    if not comma or not video or not words or len(words) % 2:
        raise InputError(f"{where}: not `VideoId,class confidence class confidence ...`")
    if len(words) > 2 * MOST_PAIRS:
        raise InputError(f"{where}: {len(words) // 2} pairs; at most {MOST_PAIRS} are allowed")
    try:
        classes, scores = [int(word) for word in words[::2]], [float(word) for word in words[1::2]]
    except ValueError as error:
        raise InputError(f"{where}: not `class confidence` pairs ({error})") from error
    if min(classes) < 0 or max(classes) > MOST_CLASS:
        raise InputError(f"{where}: a class is out of range; 0 to {MOST_CLASS} are allowed")
    if len(set(classes)) < len(classes):
        raise InputError(f"{where}: a class is there twice")
    if not all(0 <= score <= 1 for score in scores):
        raise InputError(f"{where}: a confidence is not between 0 and 1")
    pairs: list = [0] * len(words)
    pairs[::2], pairs[1::2] = classes, scores
    return video, pairs


def read_labels(
    records: list[Path], description: Path | None
) -> tuple[dict[str, int], Labels, set[str]]:
    """(row of each labelled video, their labels, ids of videos without a labels field)."""
    rows: dict[str, int] = {}
    unlabelled: set[str] = set()
    counts, indices = array("q", [0]), array("H")
    for data in records:
        found = find_shards(data)
        shards = found.get("video") or found["frame"]
        names, _ = describe(data, {"video": shards}, description)
        for video in stream(shards, names):
            name = video.id.decode(errors="replace")
            if name in rows or name in unlabelled:
                raise InputError(f"{data}: id {name} is there twice; give each video once")
            if video.labels is None:
                unlabelled.add(name)
                continue
            rows[name] = len(rows)
            indices.extend(video.labels.tolist())
            counts.append(len(indices))
    if not rows:
        raise InputError(f"{records[0]}: no record has labels, so nothing can be scored")
    if unlabelled:
        log(f"{len(unlabelled):,} videos without labels are left out")
    return rows, Labels(np.array(counts), np.array(indices, np.uint16)), unlabelled


def joined(ids: list[str], known: dict[str, int], unlabelled: set[str], where: Path) -> np.ndarray:
    """The row of each prediction's labels, in the order of the file's lines; -1: unlabelled."""
    seen: set[str] = set()
    for number, video in enumerate(ids, 2):
        if video in seen:
            raise InputError(f"{where}: line {number}: id {video} is there twice")
        seen.add(video)
        if video not in known and video not in unlabelled:
            raise InputError(f"{where}: line {number}: id {video} is in none of the records")
    missing = [video for video in known if video not in seen]
    if missing:
        raise InputError(
            f"{where}: {len(missing):,} of {len(known):,} videos of the records are absent "
            f"(first: {missing[0]}); predict the same records"
        )
    return np.array([known.get(video, -1) for video in ids], np.int64)


if __name__ == "__main__":
    cli.run(main)
