"""Soft labels of every training video, each from the booster that never saw its fold.

    python -m stacking.soft_labels STACKING_FOLDER STORE FOLDS OUT [--unlabelled]

OUT holds Predictions in the order of the store's training videos: the M candidates' logits. With
--unlabelled, of the videos of UNLABELLED instead: the five boosters' mean probability, as logits.
"""

from pathlib import Path

import numpy as np

from stacking.candidates import averaged
from yt8m.base import cli
from yt8m.base.arrays import let_go
from yt8m.base.cli import log
from yt8m.data.predictions import Predictions, sigmoid, to_fill
from yt8m.data.splits import NUM_FOLDS, Splits, find_rows
from yt8m.data.store import Store
from yt8m.data.unlabelled import joined

BLOCK = 1 << 14  # videos at a time


def main(stacking: Path, store: Path, folds: Path, out: Path, *, unlabelled: bool = False) -> None:
    """Gathers the five folds' predictions of the training videos, or the unlabelled ones."""
    data = Store(store)
    splits = Splits.read(folds, data.ids)
    if unlabelled:
        data, splits = joined(data, splits)
        ids = data.ids[splits.unlabelled]
        gathered = of_unlabelled(stacking, ids, data.dims.classes, out.parent)
    else:
        gathered = out_of_fold(stacking, data.ids, splits, out.parent)
    gathered.write(out)
    blocks = range(0, len(gathered.ids), BLOCK)
    total = 0.0
    for at in blocks:
        total += float(sigmoid(gathered.logits[at : at + BLOCK]).sum())
        let_go()
    mean = total / max(len(gathered.ids), 1)
    what = "unlabelled videos" if unlabelled else "videos"
    log(f"[stack] soft labels of {len(gathered.ids):,} {what}, {mean:.2f} labels each on average")


def fold_predictions(stacking: Path, fold: int) -> Predictions:
    """The stack's predictions of one fold and the holdout."""
    return Predictions.read(stacking / f"fold{fold}" / "predictions.safetensors")


def out_of_fold(stacking: Path, ids: np.ndarray, splits: Splits, folder: Path) -> Predictions:
    """Predictions of all training videos in the store's order, each by its own fold's booster.

    Kept in `folder`. InputError when a video is absent from, or twice in, its fold's predictions.
    """
    parts = [fold_predictions(stacking, fold) for fold in range(NUM_FOLDS)]
    width = min(part.classes.shape[1] for part in parts)
    rows = splits.training
    whole = to_fill(ids[rows], width, folder)
    for fold, part in enumerate(parts):
        own = splits.rows(fold)
        whole.put(np.searchsorted(rows, own), part, find_rows(ids[own], part.ids, part.where))
    return whole


def of_unlabelled(stacking: Path, ids: np.ndarray, num_classes: int, folder: Path) -> Predictions:
    """The mean of the five boosters, none of which has seen these videos; kept in `folder`."""
    paths = [stacking / f"fold{fold}" / "unlabelled.safetensors" for fold in range(NUM_FOLDS)]
    parts = [Predictions.read(path).align(ids, folder) for path in paths]
    return averaged(parts, num_classes, folder=folder)


if __name__ == "__main__":
    cli.run(main)
