"""Probabilities of the stack for one fold and the holdout, by the booster that saw neither.

    python -m stacking.predict CONFIG.json ROWS MODEL.txt OUT --fold 3 --threads 1

OUT holds Predictions of the candidates: ids (N,), classes (N, M), logits (N, M) descending.
"""

import time
from pathlib import Path

import lightgbm
import numpy as np

from stacking.candidates import ranked
from stacking.config import Stacking
from stacking.rows import HOLDOUT, OWN, Rows, column_names
from yt8m.base import cli
from yt8m.base.arrays import let_go
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json
from yt8m.data.predictions import Predictions, to_fill


def main(
    config: Path, rows: Path, model: Path, out: Path, *, fold: int = 0, threads: int = 1
) -> None:
    """Predicts the rows of one fold, and its rows of the holdout, in chunks of videos."""
    started = time.monotonic()
    settings = read_snapshot(config, Stacking)
    booster = booster_of(model, rows)
    parts = [(Rows.open(rows, OWN), fold), (Rows.open(rows, HOLDOUT), 0)]
    both = predicted(booster, parts, settings.chunk_videos, threads, out.parent)
    both.write(out)
    log(
        f"[stack fold{fold}] {len(both.ids):,} videos predicted in "
        f"{time.monotonic() - started:.1f} s, {cli.peak_memory_mb():,.0f} MB"
    )


def booster_of(model: Path, rows: Path) -> lightgbm.Booster:
    """The booster MODEL. InputError when its columns are not those of the folder ROWS."""
    booster = read_booster(model)
    if booster.feature_name() != column_names(read_json(rows / "rows.json")):
        raise InputError(f"{model}: was trained on other columns than {rows} has; run `make`")
    return booster


def read_booster(path: Path) -> lightgbm.Booster:
    """LightGBM's text. InputError when absent or damaged."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; run `make` to build it")
    try:
        return lightgbm.Booster(model_file=path)
    except lightgbm.basic.LightGBMError as error:
        raise InputError(
            f"{path}: not a LightGBM model ({error}); delete it, run `make`"
        ) from error


def predicted(
    booster, parts: list[tuple[Rows, int]], chunk_videos: int, threads: int, folder: Path
) -> Predictions:
    """Predictions of all videos of some (rows, variant), kept in `folder`. Raw scores are logits of
    both objectives."""
    ids = np.concatenate([rows.ids for rows, _ in parts])
    found, start = to_fill(ids, parts[0][0].classes.shape[1], folder), 0
    for rows, variant in parts:
        for first in range(0, len(rows.ids), chunk_videos):
            chunk = slice(first, first + chunk_videos)
            scores = scored(booster, rows.classes[chunk], rows.matrix(chunk, variant), threads)
            place = slice(start, start := start + len(scores[0]))
            found.classes[place], found.logits[place] = scores
            let_go()
    return found


def scored(booster, classes: np.ndarray, matrix: np.ndarray, threads: int):
    """Candidates (n, M) and their raw scores, best first; matrix: their columns (n * M, F + L)."""
    raw = booster.predict(matrix, raw_score=True, num_threads=threads)
    return ranked(classes, raw.reshape(classes.shape))


if __name__ == "__main__":
    cli.run(main)
