"""Whether one system is better than another: figures of two files on the same videos.

    python -m report.compare A.csv B.csv RECORDS|STORE [--folds FOLDS --part holdout]

A and B are submissions (VideoId,LabelConfidencePairs), a stage's predictions (.safetensors) or .npz
files by numpy of the same arrays: ids, classes, logits. They are joined by id; videos that only one
of them has are left out, and counted. The interval is a paired bootstrap over videos (Efron, 1979):
both systems are scored on the same resampled videos, so that what makes a video hard for both
cancels out. Where FOLDS has groups of videos, groups are resampled. The last line printed is one
JSON object.
"""

import json
from pathlib import Path

import numpy as np

from distill.challenge import read_labels, read_predictions
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.paths import MANIFEST
from yt8m.base.tables import FIGURES, MAP_COUNTS, figure_cells, table
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.records.labels import Labels
from yt8m.training.bootstrap import paired_bootstrap
from yt8m.training.metrics import evaluate, ranked_hits

CLASSES = 1 << 16  # more than any system has


def main(
    first: Path,
    second: Path,
    labels: list[Path],
    *,
    folds: str = "",
    part: str = "holdout",
    samples: int = 1000,
    seed: int = 0,
) -> None:
    """Prints figures of FIRST and SECOND, and the 95 % interval of their difference in GAP@20.

    --folds: of folds.assign (LABELS is its store); --part: only holdout, or fold0 to fold4, counts.
    """
    if samples < 1:
        raise InputError(f"--samples {samples}: must be 1 or more")
    if part != "holdout" and not folds:
        raise InputError(f"--part {part}: needs --folds")
    (ids, truth), groups = labels_of(labels), None
    if folds:
        splits = Splits.read(Path(folds), ids)
        chosen = rows_of(splits, part)
        groups = None if splits.groups is None else splits.groups[chosen]
        ids, truth = ids[chosen], truth.take(chosen)
    both = [read(path) for path in (first, second)]
    common = np.isin(ids, both[0].ids) & np.isin(ids, both[1].ids)
    if not common.any():
        raise InputError(
            f"{first} and {second}: no labelled video is in both; compare the same videos"
        )
    left_out = [int(np.isin(ids, file.ids).sum() - common.sum()) for file in both]
    rows = np.flatnonzero(common)
    aligned, truth = [file.align(ids[rows]) for file in both], truth.take(rows)
    hits = [ranked_hits(file.classes, file.logits, truth) for file in aligned]
    groups = None if groups is None else groups[rows]
    found = paired_bootstrap(*hits, truth.counts(), samples, seed, groups)
    found |= {"videos": len(rows), "left_out": left_out}
    log(f"{len(rows):,} videos in both; in only one, and left out: {left_out}; {MAP_COUNTS}")
    found["figures"] = print_figures((first, second), aligned, truth)
    low, high = found["interval"]
    log(
        f"GAP@20, second - first: {found['difference']:+.5f}, "
        f"95 % interval {low:+.5f} to {high:+.5f}"
    )
    log(json.dumps(found))


def print_figures(paths, systems: list[Predictions], truth: Labels) -> list[dict]:
    """Prints a table with a line for each system; returns their figures."""
    found = [evaluate(system.classes, system.logits, truth, CLASSES) for system in systems]
    lines = [[str(path), *figure_cells(one)] for path, one in zip(paths, found, strict=True)]
    log("\n".join(table(["file", *FIGURES.values()], lines)))
    return found


def labels_of(paths: list[Path]) -> tuple[np.ndarray, Labels]:
    """(ids, labels) of the videos of a store, or of records, that have a labels field."""
    if len(paths) == 1 and (paths[0] / MANIFEST).is_file():
        store = Store(paths[0])
        known = np.flatnonzero(store.labelled)
        return store.ids[known], store.labels.take(known)
    rows, labels, _ = read_labels(paths, None)
    return np.array([video.encode() for video in rows]), labels


def rows_of(splits: Splits, part: str) -> np.ndarray:
    """Store rows of "holdout" or "fold<k>"; InputError for another name."""
    if part == "holdout":
        return splits.holdout
    if part not in (names := [f"fold{k}" for k in range(5)]):
        raise InputError(f"--part {part}: holdout, {', '.join(names)} are allowed")
    return splits.rows(int(part[-1]))


def read(path: Path) -> Predictions:
    """Predictions from a .safetensors, a .npz or a submission."""
    if path.suffix in (".safetensors", ".npz"):
        return Predictions.read(path)
    ids, classes, scores = read_predictions(path)
    if len(set(ids)) < len(ids):
        raise InputError(f"{path}: an id appears twice")
    classes = np.where(classes < 0, 65535, classes).astype(np.uint16)  # no class has this number
    return Predictions(np.array([video.encode() for video in ids]), classes, scores, str(path))


if __name__ == "__main__":
    cli.run(main)
