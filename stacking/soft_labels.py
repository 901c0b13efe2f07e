"""Soft labels of every training video, each from the learners that never saw its fold.

    python -m stacking.soft_labels STACKING_FOLDER STORE FOLDS OUT [--unlabelled]

OUT holds Predictions in the order of the store's training videos: the M candidates' logits. With
--unlabelled, of the videos of UNLABELLED instead: the five folds' mean probability, as logits.
"""

from dataclasses import replace
from pathlib import Path

from stacking.candidates import average
from stacking.table import out_of_fold
from yt8m.base import cli
from yt8m.base.arrays import blocks
from yt8m.base.cli import log
from yt8m.base.digests import digest_of
from yt8m.base.paths import PREDICTIONS, STACKING, UNLABELLED_PREDICTIONS, fold_folder
from yt8m.data.origins import SOFT_LABELS, Origin, check_origin, without
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.data.unlabelled import open_both

BLOCK = 1 << 14  # videos at a time


def main(stacking: Path, store: Path, folds: Path, out: Path, *, unlabelled: bool = False) -> None:
    """Gathers the five folds' predictions of the training videos, or of the unlabelled ones."""
    data = Store(store)
    splits = Splits.read(folds, data.ids)
    name = UNLABELLED_PREDICTIONS if unlabelled else PREDICTIONS
    files = [fold_folder(stacking, k) / name for k in range(NUM_FOLDS)]
    if unlabelled:
        data, splits = open_both(data, splits)
        ids = data.ids[splits.unlabelled]
        parts = [Predictions.read(path) for path in files]
        for fold, part in enumerate(parts):
            learnt = without(fold, splits, data.ids)
            check_origin(part.origin, part.where, STACKING, fold, learnt)
        parts = [part.align(ids, out.parent) for part in parts]
        soft = average(parts, data.dims.classes, folder=out.parent)  # none has seen these videos
    else:
        soft = out_of_fold(stacking, data.ids, splits, out.parent)
    inputs = {f"fold{k}": digest_of(path) for k, path in enumerate(files)}
    learnt = without(None, splits, data.ids)
    origin = Origin(SOFT_LABELS, None, learnt, inputs | {"folds": splits.digest})
    replace(soft, origin=origin).write(out)
    what = "unlabelled videos" if unlabelled else "videos"
    log(f"[stack] soft labels of {len(soft.ids):,} {what}, {labels_a_video(soft):.2f} labels each")


def labels_a_video(soft: Predictions) -> float:
    """The mean over the videos of the sum of their probabilities."""
    total = 0.0
    for block in blocks(len(soft.ids), BLOCK):
        total += float(sigmoid(soft.logits[block]).sum())
    return total / max(len(soft.ids), 1)


if __name__ == "__main__":
    cli.run(main)
