"""The videos of UNLABELLED as the booster of one fold predicts them: as stacking.rows and .predict
do the holdout, but chunk by chunk, with no rows on disk; there may be more of them than of others.

    python -m stacking.unlabelled CONFIG.json ROWS MODEL.txt RUN_FOLDER STORE FOLDS OUT \
        --fold 3 --threads 1

ROWS: the rows of that fold, which say what the booster's columns are.
"""

import time
from pathlib import Path

import numpy as np

from stacking.config import Stacking
from stacking.label_features import label_features
from stacking.predict import booster_of, scored
from stacking.rows import described, find_lists, known_labels
from yt8m.base import cli
from yt8m.base.arrays import let_go
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json, working_in
from yt8m.data.predictions import Predictions, to_fill
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.data.unlabelled import joined


def main(
    config: Path,
    rows: Path,
    model: Path,
    run: Path,
    store: Path,
    folds: Path,
    out: Path,
    *,
    fold: int = 0,
    threads: int = 1,
) -> None:
    """Predicts the unlabelled videos by the models and the booster that never saw fold FOLD."""
    started = time.monotonic()
    settings, about = read_snapshot(config, Stacking), read_json(rows / "rows.json")
    booster, data = booster_of(model, rows), Store(store)
    videos, splits = joined(data, Splits.read(folds, data.ids))
    paths = [
        run / "first_level" / m / f"fold{fold}" / "unlabelled.safetensors" for m in about["models"]
    ]
    known = known_labels(videos, splits, settings, fold)
    with working_in(out.parent):
        lists = find_lists(paths, videos.ids, {"": splits.unlabelled})[""]
        own = splits.unlabelled
        found = to_fill(videos.ids[own], about["candidates"], out.parent)
        fill(found, booster, lists, videos, own, settings, about, known, threads)
        found.write(out)
    log(
        f"[stack fold{fold}] {len(found.ids):,} unlabelled videos predicted in "
        f"{time.monotonic() - started:.1f} s, {cli.peak_memory_mb():,.0f} MB"
    )


def fill(
    found: Predictions, booster, lists, store, rows, settings, about: dict, known, threads
) -> None:
    """Fills in the predictions of store rows. about: of the booster's columns, from rows.json;
    known: Statistics of labels that the booster may know."""
    keep, column = about["candidates"], about["features"].index("probability_mean")
    frames = "frames" in about["features"]
    for chunk, candidates, values in described(lists, store, rows, settings, keep, frames):
        mean = values[:, :, column]
        from_labels = label_features(known, candidates, mean, settings.neighbours)
        matrix = np.concatenate([values, from_labels], axis=2)
        matrix = matrix.reshape(-1, matrix.shape[2])
        found.classes[chunk], found.logits[chunk] = scored(booster, candidates, matrix, threads)
        let_go()


if __name__ == "__main__":
    cli.run(main)
