"""Soft labels of every training video, each from the booster that never saw its fold.

    python -m stacking.soft_labels STACKING_FOLDER STORE FOLDS.npz OUT.npz [--unlabelled]

OUT holds Predictions in the order of the store's training videos: the M candidates' logits. With
--unlabelled, of the videos of UNLABELLED instead: the five boosters' mean probability, as logits.
"""

from pathlib import Path

import numpy as np

from stacking.candidates import averaged
from yt8m import cli
from yt8m.cli import log
from yt8m.predictions import Predictions, sigmoid
from yt8m.splits import NUM_FOLDS, Splits
from yt8m.store import Store
from yt8m.unlabelled import joined

BLOCK = 1 << 16  # videos whose scores are added at a time


def main(stacking: Path, store: Path, folds: Path, out: Path, *, unlabelled: bool = False) -> None:
    """Gathers the five folds' predictions of the training videos, or the unlabelled ones."""
    data = Store(store)
    splits = Splits.read(folds, data.ids)
    if unlabelled:
        data, splits = joined(data, splits)
        gathered = of_unlabelled(stacking, data.ids[splits.unlabelled], data.dims.classes)
    else:
        gathered = out_of_fold(stacking, data.ids, splits)
    gathered.write(out)
    blocks = range(0, len(gathered.ids), BLOCK)
    total = sum(float(sigmoid(gathered.logits[at : at + BLOCK]).sum()) for at in blocks)
    mean = total / max(len(gathered.ids), 1)
    what = "unlabelled videos" if unlabelled else "videos"
    log(f"[stack] soft labels of {len(gathered.ids):,} {what}, {mean:.2f} labels each on average")


def fold_predictions(stacking: Path, fold: int) -> Predictions:
    """The stack's predictions of one fold and the holdout."""
    return Predictions.read(stacking / f"fold{fold}" / "predictions.npz")


def out_of_fold(stacking: Path, ids: np.ndarray, splits: Splits) -> Predictions:
    """Predictions of all training videos in the store's order, each by its own fold's booster.

    InputError when a video is absent from, or twice in, its fold's predictions.
    """
    rows, whole = splits.training, None
    for fold in range(NUM_FOLDS):  # one in memory at a time
        own = splits.rows(fold)
        part = fold_predictions(stacking, fold).align(ids[own])
        if whole is None:
            shape = (len(rows), part.classes.shape[1])
            whole = np.empty(shape, np.uint16), np.empty(shape, np.float16)
        width = min(whole[0].shape[1], part.classes.shape[1])
        whole = [array[:, :width] for array in whole]
        for array, given in zip(whole, (part.classes, part.logits), strict=True):
            array[np.searchsorted(rows, own)] = given[:, :width]
    return Predictions(ids[rows], *whole)


def of_unlabelled(stacking: Path, ids: np.ndarray, num_classes: int) -> Predictions:
    """The mean of the five boosters, none of which has seen these videos."""
    paths = [stacking / f"fold{fold}" / "unlabelled.npz" for fold in range(NUM_FOLDS)]
    parts = [Predictions.read(path).align(ids) for path in paths]
    return averaged(parts, num_classes)


if __name__ == "__main__":
    cli.run(main)
