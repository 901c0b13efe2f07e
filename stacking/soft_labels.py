"""Soft labels of every training video, each from the booster that never saw its fold.

    python -m stacking.soft_labels STACKING_FOLDER STORE FOLDS.npz OUT.npz

OUT holds Predictions in the order of the store's training videos: the M candidates' logits.
"""

from pathlib import Path

import numpy as np

from yt8m import cli
from yt8m.cli import log
from yt8m.predictions import Predictions
from yt8m.splits import NUM_FOLDS, Splits
from yt8m.store import Store


def main(stacking: Path, store: Path, folds: Path, out: Path) -> None:
    """Gathers the five folds' predictions."""
    ids = Store(store).ids
    splits = Splits.read(folds, ids)
    gathered = out_of_fold(stacking, ids, splits)
    gathered.write(out)
    mean = gathered.scores.sum() / max(len(gathered.ids), 1)
    log(f"[stack] soft labels of {len(gathered.ids):,} videos, {mean:.2f} labels each on average")


def fold_predictions(stacking: Path, fold: int) -> Predictions:
    """The stack's predictions of one fold and the holdout."""
    return Predictions.read(stacking / f"fold{fold}" / "predictions.npz")


def out_of_fold(stacking: Path, ids: np.ndarray, splits: Splits) -> Predictions:
    """Predictions of all training videos in the store's order, each by its own fold's booster.

    InputError when a video is absent from, or twice in, its fold's predictions.
    """
    parts = []
    for fold in range(NUM_FOLDS):
        parts.append(fold_predictions(stacking, fold).align(ids[splits.rows(fold)]))
    keep = min(part.classes.shape[1] for part in parts)
    cut = [Predictions(p.ids, p.classes[:, :keep], p.logits[:, :keep], p.where) for p in parts]
    return Predictions.concatenate(cut).align(ids[splits.training])


if __name__ == "__main__":
    cli.run(main)
