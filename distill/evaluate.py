"""Scores a file of predictions against labelled records.

    python -m distill.evaluate OUT.csv RECORDS [RECORDS ...]

The last line printed is one JSON object: gap20, map, classes (that counted in map), hit1, hit5,
perr, videos. A video's 20 best count. The file must name every labelled video once. Ties keep the
order of its lines.
"""

import json
from pathlib import Path

import numpy as np

from distill.challenge import read_labels, read_predictions
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.training import metrics


def main(
    predictions: Path, records: list[Path], *, description: str = "", skip_bad: bool = False
) -> None:
    """Prints GAP@20, mAP, Hit@1, Hit@5 and PERR of PREDICTIONS (VideoId,LabelConfidencePairs).

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
    log(json.dumps(figures))


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
