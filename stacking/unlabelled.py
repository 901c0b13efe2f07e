"""Predicts the videos of UNLABELLED by the learners of one fold.

    python -m stacking.unlabelled CONFIG.json ROWS LEARNED RUN_FOLDER STORE FOLDS OUT \
        --fold 3 --threads 1

It does what stacking.rows and stacking.predict do for the holdout, without rows on disk: there may
be many such videos. ROWS: the rows of that fold, which name the columns;
LEARNED: the folder of its learners.
"""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from stacking.config import Stacking
from stacking.label_features import label_features
from stacking.learners.learned import Learned
from stacking.table import origin_of_models, origin_of_rows
from stacking.writer import Lists, RowWriter, find_lists
from yt8m.base import cli
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json, working_in
from yt8m.base.paths import ROWS_ABOUT, UNLABELLED_PREDICTIONS, Artifacts
from yt8m.data.predictions import Predictions, to_fill
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.data.unlabelled import open_both


def main(
    config: Path,
    rows: Path,
    learned: Path,
    run: Path,
    store: Path,
    folds: Path,
    out: Path,
    *,
    fold: int = 0,
    threads: int = 1,
) -> None:
    """Predicts the unlabelled videos by the models and learners that never saw fold FOLD."""
    started = time.monotonic()
    settings, about = read_snapshot(config, Stacking), read_json(rows / ROWS_ABOUT)
    learners, data = Learned.read(learned, settings, about, threads), Store(store)
    videos, splits = open_both(data, Splits.read(folds, data.ids))
    files = Artifacts(run, store)
    models = origin_of_models(files, about["models"], fold, data, splits, UNLABELLED_PREDICTIONS)
    origin_of_rows(rows, fold)  # InputError when they are of another fold
    origin = Learned.origin(learned, settings, models)
    paths = [files.model_fold(m, fold) / UNLABELLED_PREDICTIONS for m in about["models"]]
    writer = RowWriter(videos, splits, settings, "frames" in about["features"])
    known = writer.known_labels(fold)
    with working_in(out.parent):
        lists = find_lists(paths, videos.ids, {"": splits.unlabelled})[""]
        found = to_fill(videos.ids[splits.unlabelled], about["candidates"], out.parent)
        fill(found, writer, lists, learners, about, known)
        replace(found, origin=origin).write(out)
    log(
        f"[stack fold{fold}] {len(found.ids):,} unlabelled videos predicted in "
        f"{time.monotonic() - started:.1f} s, {cli.peak_memory_mb():,.0f} MB"
    )


def fill(
    found: Predictions, writer: RowWriter, lists: Lists, learners: Learned, about: dict, known
) -> None:
    """Fills in the predictions of the unlabelled videos.

    about: rows.json; known: Statistics of the labels that the learners may know.
    """
    column, rows = about["features"].index("probability_mean"), writer.splits.unlabelled
    for chunk, classes, values in writer.chunks(lists, rows, about["candidates"]):
        mean = values[:, :, column]
        from_labels = label_features(known, classes, mean, writer.settings.neighbours)
        matrix = np.concatenate([values, from_labels], axis=2)
        matrix = matrix.reshape(-1, matrix.shape[2])
        best = learners.candidates(classes, matrix)
        found.classes[chunk], found.logits[chunk] = best


if __name__ == "__main__":
    cli.run(main)
