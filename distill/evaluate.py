"""Scores a file of predictions against labelled records.

    python -m distill.evaluate OUT.csv RECORDS [RECORDS ...] [--export EXPORT]

The last line printed is one JSON object: gap20, map, classes (that counted in map), hit1, hit5,
perr, videos. A warning above it says how many of the videos trained the export, where some did. A
video's 20 best count. The file must name every labelled video once. Ties keep the order of its
lines.
"""

import json
from pathlib import Path

import numpy as np

from distill.challenge import read_labels, read_predictions
from first_level.bundle.manifest import read_trained_on
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.paths import trained_on
from yt8m.data.origins import count_known, read_hashes
from yt8m.training import metrics


def main(
    predictions: Path,
    records: list[Path],
    *,
    description: str = "",
    export: str = "",
    skip_bad: bool = False,
) -> None:
    """Prints GAP@20, mAP, Hit@1, Hit@5 and PERR of PREDICTIONS (VideoId,LabelConfidencePairs).

    --export: the folder of the export that made them, to count the videos that trained it, where
    the file that distill.predict writes beside them was left behind.
    --skip-bad: as for distill.predict; such videos do not count.
    """
    ids, classes, scores = read_predictions(predictions)
    described = Path(description) if description else None
    known, labels, unlabelled = read_labels(records, described, skip_bad)
    rows = label_rows(ids, known, unlabelled, predictions)
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
    judged = [video.encode() for video, row in zip(ids, rows, strict=True) if row >= 0]
    known = count_trained(predictions, export, np.array(judged))
    if known:
        log(
            f"warning: {predictions}: {known:,} of these {len(judged):,} videos trained what "
            "predicted them: these figures say nothing of other videos"
        )
    log(json.dumps(figures))


def count_trained(predictions: Path, export: str, judged: np.ndarray) -> int:
    """How many of the judged ids trained what predicted them, as far as is known."""
    found = [np.zeros(0, np.uint64)]
    if export:
        found.append(read_trained_on(Path(export)))
    if trained_on(predictions).is_file():
        found.append(read_hashes(trained_on(predictions)))
    return count_known(np.concatenate(found), judged)


def label_rows(
    ids: list[str], known: dict[str, int], unlabelled: set[str], where: Path
) -> np.ndarray:
    """The row of each prediction's labels, in the order of the file's lines; -1: unlabelled."""
    seen: set[str] = set()
    for number, video in enumerate(ids, 2):
        if video in seen:
            raise InputError(f"{where}: line {number}: id {video} appears twice")
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
