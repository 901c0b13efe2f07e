"""The challenge's file of predictions, and the labels of records that it is scored against.

Line 1 is HEADER, each other line `VideoId,class confidence ...`, with up to 20 pairs or none. It is
a CSV: an id with a comma, a quote or a line end stands in quotes. N videos, K pairs at most.
"""

import csv
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from yt8m.base.cli import InputError, log
from yt8m.base.files import require
from yt8m.data.predictions import TOP_K
from yt8m.records.content import check_vocabularies
from yt8m.records.description import describe, find_shards
from yt8m.records.labels import Labels
from yt8m.records.reader import stream
from yt8m.records.unread import name_unread
from yt8m.records.video import is_unfit

HEADER = "VideoId,LabelConfidencePairs"
MOST_PAIRS = TOP_K  # of a line
MOST_CLASS = 65534  # 65535 is left for padding


def lines(ids, classes: np.ndarray, scores: np.ndarray) -> Iterator[str]:
    """Lines of the file. Ten digits keep scores near 1 apart."""
    for video, row, confidences in zip(ids, classes.tolist(), scores.tolist(), strict=True):
        pairs = zip(row, confidences, strict=True)
        yield f"{quote(video)},{' '.join(f'{label} {score:.10g}' for label, score in pairs)}\n"


def quote(text: str) -> str:
    """A field of a CSV: in quotes where it needs them."""
    needs = not {",", '"', "\n", "\r"}.isdisjoint(text)
    return '"' + text.replace('"', '""') + '"' if needs else text


def read_predictions(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """ids (N), classes int32 (N, K), -1 where a line has fewer, and scores float64 (N, K)."""
    ids: list[str] = []
    counts, classes, scores = array("B"), array("i"), array("d")
    try:
        require(path, "distill.predict writes it")
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = ",".join(next(rows, [])).strip()
            if header != HEADER:
                raise InputError(f"{path}: line 1 is {header[:60]!r}; it must be {HEADER!r}")
            for row in (row for row in rows if "".join(row).strip()):
                video, pairs = _parse_row(row, f"{path}: line {rows.line_num}")
                ids.append(video)
                counts.append(len(pairs) // 2)
                classes.extend(pairs[::2])
                scores.extend(pairs[1::2])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV ({error}); distill.predict writes it") from error
    if not ids:
        raise InputError(f"{path}: no predictions after the header; run distill.predict")
    lengths = np.frombuffer(counts, np.uint8).astype(np.int64)
    filled = np.arange(max(lengths.max(), 1)) < lengths[:, None]  # (N, K)
    table, values = np.full(filled.shape, -1, np.int32), np.full(filled.shape, -np.inf)
    table[filled], values[filled] = classes, scores
    return ids, table, values


def _parse_row(row: list[str], where: str) -> tuple[str, list]:
    """(id, [class, score, class, score, ...]) of a row."""
    video, words = (row[0], row[1].split()) if len(row) == 2 else ("", [])
    if not video or len(words) % 2:
        raise InputError(f"{where}: not `VideoId,class confidence class confidence ...`")
    if len(words) > 2 * MOST_PAIRS:
        raise InputError(f"{where}: {len(words) // 2} pairs; at most {MOST_PAIRS} are allowed")
    try:
        classes, scores = [int(word) for word in words[::2]], [float(word) for word in words[1::2]]
    except ValueError as error:
        raise InputError(f"{where}: not `class confidence` pairs ({error})") from error
    if min(classes, default=0) < 0 or max(classes, default=0) > MOST_CLASS:
        raise InputError(f"{where}: a class is out of range; 0 to {MOST_CLASS} are allowed")
    if len(set(classes)) < len(classes):
        raise InputError(f"{where}: a class appears twice; give each class once")
    if not all(0 <= score <= 1 for score in scores):
        raise InputError(f"{where}: a confidence is not between 0 and 1")
    pairs: list = [0] * len(words)
    pairs[::2], pairs[1::2] = classes, scores
    return video, pairs


def read_labels(
    records: list[Path], description: Path | None, skip_bad: bool = False
) -> tuple[dict[str, int], Labels, set[str]]:
    """(row of each labelled video, their labels, ids of videos that do not count: those without a
    labels field and, with skip_bad, those with features that no stage takes)."""
    rows: dict[str, int] = {}
    unlabelled: set[str] = set()
    counts, indices = array("q", [0]), array("H")
    for data in records:
        found = find_shards(data)
        shards = found.get("video") or found["frame"]
        names, vocabulary = describe(data, {"video": shards}, description)
        name_unread(data, {"video": shards}, names)
        check_vocabularies({"video": shards}, names, vocabulary)
        for video in stream(shards, names):
            name = video.id.decode()
            if name in rows or name in unlabelled:
                raise InputError(f"{data}: id {name} appears twice; give each video once")
            if video.labels is None or (skip_bad and is_unfit(video)):
                unlabelled.add(name)
                continue
            rows[name] = len(rows)
            indices.extend(video.labels.tolist())
            counts.append(len(indices))
    if not rows:
        raise InputError(f"{records[0]}: no record has labels; give labelled records")
    if unlabelled:
        what = "have no labels, or features that no stage takes," if skip_bad else "have no labels"
        log(f"{len(unlabelled):,} videos {what} and are left out")
    return rows, Labels(np.array(counts), np.array(indices, np.uint16)), unlabelled
