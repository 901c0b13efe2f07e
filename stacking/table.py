"""Rows of one fold on disk, and the predictions that learners made of them.

A folder of rows has two groups of arrays: those of the fold, and those of the holdout, whose files
begin with HOLDOUT_PREFIX. rows.json names the columns. stacking.rows writes it.

N videos, M candidates, F columns without labels, L columns from labels.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from yt8m.base.checksums import CheckedRows, open_checked, open_rows
from yt8m.base.cli import InputError
from yt8m.base.digests import digest_of
from yt8m.base.files import read_json
from yt8m.base.paths import (
    CONFIG,
    FIRST_LEVEL,
    PREDICTIONS,
    ROWS,
    ROWS_ABOUT,
    STACKING,
    Artifacts,
    fold_folder,
)
from yt8m.data.origins import (
    ANY,
    MADE_FROM,
    Origin,
    check_origin,
    digest_of_videos,
    origin_of,
    without,
)
from yt8m.data.predictions import Predictions, to_fill
from yt8m.data.splits import NUM_FOLDS, Splits, find_rows
from yt8m.data.store import Videos

FOLD_PREFIX, HOLDOUT_PREFIX = "", "holdout_"
ALL = -1  # as a fold: learn from every one
LEARNER = "learner"  # of rows, as who made something


@dataclass(frozen=True)
class Rows:
    """The arrays of one group, memory-mapped. Column order: features, then label_features.

    keys: what a split of these videos is to hash, as Splits.keys.
    """

    ids: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    features: CheckedRows
    label_features: CheckedRows
    keys: np.ndarray

    @classmethod
    def open(cls, folder: Path, prefix: str) -> "Rows":
        """InputError when the folder is absent or damaged."""
        if not (folder / ROWS_ABOUT).is_file():
            raise InputError(f"{folder}: has no rows; run `make` to build them")
        whole, by_rows = ("ids", "classes", "labels"), ("features", "label_features")
        arrays = [
            *(open_checked(folder / f"{prefix}{name}.npy") for name in whole),
            *(open_rows(folder / f"{prefix}{name}.npy") for name in by_rows),
        ]
        if prefix == FOLD_PREFIX and "keys" in read_json(folder / ROWS_ABOUT):
            return cls(*arrays, open_checked(folder / f"{prefix}keys.npy"))
        return cls(*arrays, keys=arrays[0])

    def matrix(self, videos, variant: int) -> np.ndarray:
        """The columns of `videos` (a slice or indices): float32 (n * M, F + L).

        variant: the learner's fold, or 0 for the holdout, which has one variant.
        """
        own, known = self.features[videos], self.label_features[variant][videos]
        both = np.concatenate([own, known], axis=2)
        return both.reshape(-1, both.shape[2])


@dataclass(frozen=True)
class FoldRows:
    """The rows of one fold as a learner sees them. variant: of the columns from labels."""

    rows: Rows
    variant: int


def groups_of(stacking: Path, fold: int) -> tuple[list[FoldRows], list[str]]:
    """The rows of every fold but `fold` (ALL: of all), and their columns.

    InputError when folds have different columns.
    """
    groups, names = [], None
    for other in range(NUM_FOLDS):
        if other == fold:
            continue
        folder = fold_folder(stacking, other) / ROWS
        groups.append(FoldRows(Rows.open(folder, FOLD_PREFIX), other if fold == ALL else fold))
        own = column_names(read_json(folder / ROWS_ABOUT))
        if names not in (None, own):
            raise InputError(
                f"{folder}: its columns differ from those of other folds; delete it, run `make`"
            )
        names = own
    return groups, names


def origin_of_models(
    files: Artifacts, models: list[str], fold: int, data: Videos, splits: Splits, name: str
) -> Origin:
    """What rows over the files `name` of these models' folds are made from.

    InputError when one is of another fold, of other folds, or of a model of other settings.
    """
    learnt, inputs = without(fold, splits, data.ids), {"folds": splits.digest}
    for model in models:
        path, config = files.model_fold(model, fold) / name, digest_of(files.model(model) / CONFIG)
        by = f"{FIRST_LEVEL}/{model}"
        check_origin(origin_of(path), path, by, fold, learnt, folds=splits.digest, config=config)
        inputs[by] = digest_of(path)
    return Origin(ROWS, fold, learnt, inputs)


def origin_of_rows(folder: Path, fold: int) -> Origin:
    """What the rows of a fold were made from. InputError when they are of another one."""
    found = Origin.parse(read_json(folder / ROWS_ABOUT).get(MADE_FROM))
    return check_origin(found, folder / ROWS_ABOUT, ROWS, fold, ANY)


def check_read(files: Artifacts, name: str) -> None:
    """InputError when the stack has read other predictions of a model than those that are there."""
    for fold in range(NUM_FOLDS):
        origin, path = origin_of_rows(files.stack_rows(fold), fold), files.model_fold(name, fold)
        if origin.inputs.get(f"{FIRST_LEVEL}/{name}") != digest_of(path / PREDICTIONS):
            raise InputError(
                f"{files.stack_rows(fold)}: was made from other predictions than those in {path}; "
                "delete it and run `make`"
            )


def origin_of_learner(stacking: Path, groups: list[FoldRows], fold: int) -> Origin:
    """What a learner of these rows is made from; fold: which it leaves out, or ALL.

    InputError when one is of another fold, or when they were not made from the same folds.
    """
    folds = {}
    for other in (k for k in range(NUM_FOLDS) if k != fold):
        folder = fold_folder(stacking, other) / ROWS
        folds[origin_of_rows(folder, other).inputs["folds"]] = folder
    if len(folds) > 1:
        names = " and ".join(map(str, folds.values()))
        raise InputError(f"{names}: were made from different folds; delete them and run `make`")
    learnt = digest_of_videos(np.concatenate([group.rows.ids for group in groups]))
    return Origin(LEARNER, None if fold == ALL else fold, learnt, {"folds": next(iter(folds))})


def title_of(fold: int) -> str:
    """The learner that will predict this fold; ALL: the one that learns from every fold."""
    return "all folds" if fold == ALL else f"fold{fold}"


def read_models(path: Path) -> list[str]:
    """Model names, one a line, in column order. InputError when none or a name appears twice."""
    models = path.read_text().split()
    if not models or len(set(models)) != len(models):
        raise InputError(
            f"{path}: {len(models)} names, {len(set(models))} different; list each model once"
        )
    return models


def column_names(about: dict) -> list[str]:
    """Names of the columns of `Rows.matrix`, from rows.json."""
    return about["features"] + about["label_features"]


def fold_predictions(folder: Path, fold: int, training: str = ANY, **inputs) -> Predictions:
    """Predictions of one fold and the holdout, of the stack or of one model.

    training, inputs: as of `check_origin`. InputError when they are not what they are read as.
    """
    path = fold_folder(folder, fold) / PREDICTIONS
    found = Predictions.read(path)
    by = f"{FIRST_LEVEL}/{folder.name}" if folder.parent.name == FIRST_LEVEL else STACKING
    check_origin(found.origin, path, by, fold, training, **inputs)
    return found


def out_of_fold(source: Path, ids: np.ndarray, splits: Splits, folder: Path) -> Predictions:
    """Predictions of all training videos in the store's order, each by the version of its fold.

    source: of the stack or of a model; kept in `folder`. InputError on an absent or doubled video.
    """
    parts = [fold_predictions(source, k, without(k, splits, ids)) for k in range(NUM_FOLDS)]
    width = min(part.classes.shape[1] for part in parts)
    rows = splits.training
    whole = to_fill(ids[rows], width, folder)
    for fold, part in enumerate(parts):
        own = splits.rows(fold)
        whole.put(np.searchsorted(rows, own), part, find_rows(ids[own], part.ids, part.where))
    return whole
