"""A stack over some models of a run, for the measurements: the rows and boosters of stacking."""

from dataclasses import asdict
from pathlib import Path

from stacking.config import Stacking, parameters
from stacking.learners.booster import Trees, fit, sequences
from stacking.learners.learned import Learned
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, Rows, origin_of_models
from stacking.writer import RowWriter
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json
from yt8m.base.paths import PREDICTIONS, REPORT, ROWS, ROWS_ABOUT, Artifacts
from yt8m.data.origins import MADE_FROM
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS


def write_rows(out: Path, files: Artifacts, models: list[str], writer: RowWriter) -> None:
    """Writes the rows of every fold as OUT/fold<k>/rows."""
    for fold in range(NUM_FOLDS):
        folder = out / f"fold{fold}" / ROWS
        folder.mkdir(parents=True, exist_ok=True)
        paths = [files.model_fold(name, fold) / PREDICTIONS for name in models]
        data, splits = writer.store, writer.splits
        origin = origin_of_models(files, models, fold, data, splits, PREDICTIONS)
        about = writer.write_fold(folder, fold, paths, models)
        write_json(folder / ROWS_ABOUT, about | {MADE_FROM: asdict(origin)})


def boost(out: Path, fold: int, settings: Stacking, threads: int = 1) -> Predictions:
    """Trains the booster of a fold on the rows in OUT; predicts the fold and the holdout."""
    train, inner, names = sequences(out, fold, settings)
    booster, _ = fit(train, inner, names, parameters(settings, threads), f"[fold{fold}]")
    own = out / f"fold{fold}" / ROWS
    parts = [(Rows.open(own, FOLD_PREFIX), fold), (Rows.open(own, HOLDOUT_PREFIX), 0)]
    return Learned([Trees(booster, threads)]).predict(parts, settings.chunk_videos, out)


def read_sets(run: Path, sets: str) -> dict[str, list[str]]:
    """The sets that "a+b c" names. InputError when one is no member of the run."""
    known = read_json(Artifacts.of_run(run).stacking / REPORT)["members"]
    found = {text: text.split("+") for text in sets.split()}
    for name in (name for members in found.values() for name in members):
        if name not in known:
            raise InputError(
                f"sets: {name!r} is not a member of {run}; members: {', '.join(known)}"
            )
    return found
