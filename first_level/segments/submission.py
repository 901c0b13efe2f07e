"""Predicted segments -> the 2019 challenge's file: for each class, its segments, best first.

    python -m first_level.segments.submission PREDICTIONS [PREDICTIONS ...] OUT.csv

PREDICTIONS: of segments/train.py. A segment that several of them predict (the holdout's, by the
models of five folds) has the mean of their scores, 0 from one that did not keep the class. OUT.csv
has the header `Class,Segments` and lines `class,video:start video:start ...`.
"""

from pathlib import Path

import numpy as np

from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import writing
from yt8m.data.predictions import Predictions

HEADER = "Class,Segments"


def main(predictions: list[Path], out: Path, *, most: int = 100_000) -> None:
    """Writes the --most best segments of every class to OUT.csv."""
    if out.suffix != ".csv":
        raise InputError(f"{out}: the last argument is the file to write and must end in .csv")
    parts = [Predictions.read(path) for path in predictions]
    ids = np.unique(np.concatenate([part.ids for part in parts]))
    segments = [np.searchsorted(ids, part.ids) for part in parts]
    times = np.bincount(np.concatenate(segments), minlength=len(ids))
    classes = np.unique(np.concatenate([np.unique(part.classes) for part in parts]))
    with writing(out) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(HEADER + "\n")
        for wanted in classes.tolist():  # one by one: all pairs together would not fit in memory
            best = ids[best_of(wanted, parts, segments, times)[:most]]
            file.write(f"{wanted},{b' '.join(best.tolist()).decode()}\n")
    log(f"{out}: {len(classes):,} classes, {len(ids):,} segments")


def best_of(
    wanted: int, parts: list[Predictions], segments: list[np.ndarray], times: np.ndarray
) -> np.ndarray:
    """The numbers of the segments that have a class, best first, ties by number.

    segments: of each part's rows, their numbers; times: how many parts predict a segment.
    """
    found = [np.nonzero(part.classes == wanted) for part in parts]
    numbers = [of[rows] for of, (rows, _) in zip(segments, found, strict=True)]
    logits = [part.logits[at] for part, at in zip(parts, found, strict=True)]
    # In float64 scores near 1 stay apart.
    scores = 1 / (1 + np.exp(-np.concatenate(logits).astype(np.float64)))
    known, place = np.unique(np.concatenate(numbers), return_inverse=True)
    means = np.bincount(place, weights=scores) / times[known]
    return known[np.argsort(-means, kind="stable")]


if __name__ == "__main__":
    cli.run(main)
