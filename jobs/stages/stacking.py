"""The jobs of the stage stacking: rows, learners and predictions of each fold; soft labels."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from jobs.job import Job
from jobs.stages.context import FOLDS, Context, in_folder, job
from yt8m.base import paths
from yt8m.base.checksums import SUMS

LEARNED = {  # the files that a learner of rows writes
    "trees": (paths.BOOSTER, paths.BOOSTER_TRAINING),
    "network": (paths.HEAD, paths.HEAD_TRAINING),
}
GROUPS = ("", "holdout_")  # files of rows: of the fold's videos, and of the holdout's
ROW_ARRAYS = ("ids", "classes", "labels", "features", "label_features")


def stacking_jobs(context: Context) -> Iterator[Job]:
    """All of them."""
    files = context.files
    rows = [files.stack_fold(fold) / paths.ROWS for fold in FOLDS]
    for fold in FOLDS:
        yield rows_job(context, files.models, context.plan.models, rows[fold], fold)
    for learner in learners(context):
        for fold in FOLDS:
            yield learner_job(context, learner, rows, files.stack_fold(fold), fold)
    for fold in FOLDS:
        yield prediction_job(context, fold)
        if context.settings.unlabelled:
            yield unlabelled_job(context, fold)
    yield soft_labels_job(context, paths.PREDICTIONS, files.soft_labels)
    if context.settings.unlabelled:
        source, out = paths.UNLABELLED_PREDICTIONS, files.unlabelled_soft_labels
        yield soft_labels_job(context, source, out, "--unlabelled")
    yield report_job(context)


def rows_job(
    context: Context, listed: Path, models: Iterable[str], out: Path, fold: int, *options: str
) -> Job:
    """The rows of one fold over these models' predictions; `listed`: the file of their names."""
    files = context.files
    config = files.stacking / paths.CONFIG
    arrays = [f"{group}{name}.npy" for group in GROUPS for name in ROW_ARRAYS]
    return job(
        f"{folder_name(context, out.parent)}/rows",
        "stacking.rows",
        [config, listed, files.run, files.store, files.folds, out, "--fold", fold, *options],
        [config, listed, files.manifest, files.folds]
        + [files.model_fold(name, fold) / paths.PREDICTIONS for name in models],
        in_folder(out, paths.ROWS_ABOUT, SUMS, *arrays),
        kin=(f"{out.relative_to(files.run).parts[0]}/rows",),
    )


def learners(context: Context) -> list[str]:
    """Those that the stack's settings name."""
    stack = context.plan.stack
    return ["trees"] * stack.trees + ["network"] * stack.networks


def learner_job(context: Context, learner: str, rows: list[Path], out: Path, fold: int) -> Job:
    """One learner of rows. fold: which it leaves out; -1: none. out: a folder."""
    config, folder = context.files.stacking / paths.CONFIG, rows[0].parents[1]
    names = in_folder(out, *LEARNED[learner])
    return job(
        f"{folder_name(context, out)}/{learner}",
        "stacking.train",
        [config, folder, names[0], "--fold", fold, "--learner", learner, *context.threads],
        [config, *(part / paths.ROWS_ABOUT for part in rows)],
        names,
        kin=(f"{out.relative_to(context.files.run).parts[0]}/{learner}",),
    )


def learnt_files(context: Context, fold: int) -> list[Path]:
    """What the learners of a fold left to be read."""
    return [context.files.stack_fold(fold) / LEARNED[name][0] for name in learners(context)]


def prediction_job(context: Context, fold: int) -> Job:
    """What the learners that never saw a fold say of it, and of the holdout."""
    files, out = context.files, context.files.stack_fold(fold)
    found, rows = out / paths.PREDICTIONS, out / paths.ROWS
    return job(
        f"stacking/fold{fold}/predict",
        "stacking.predict",
        [files.stacking / paths.CONFIG, rows, out, found, "--fold", fold, *context.threads],
        [*learnt_files(context, fold), rows / paths.ROWS_ABOUT],
        [found],
        kin=("stacking/predict",),
    )


def unlabelled_job(context: Context, fold: int) -> Job:
    """What it says of the unlabelled videos."""
    files, out = context.files, context.files.stack_fold(fold)
    config, rows = files.stacking / paths.CONFIG, out / paths.ROWS
    name = paths.UNLABELLED_PREDICTIONS
    return job(
        f"stacking/fold{fold}/unlabelled",
        "stacking.unlabelled",
        [config, rows, out, files.run, files.store, files.folds, out / name]
        + ["--fold", fold, *context.threads],
        [*learnt_files(context, fold), rows / paths.ROWS_ABOUT, files.unlabelled_manifest]
        + [files.model_fold(model, fold) / name for model in context.plan.models],
        [out / name],
        kin=("stacking/unlabelled",),
    )


def soft_labels_job(context: Context, source: str, out: Path, *options: str) -> Job:
    """All folds' predictions in one file."""
    files = context.files
    return job(
        f"stacking/{out.stem}",
        "stacking.soft_labels",
        [files.stacking, files.store, files.folds, out, *options],
        [files.folds, *(files.stack_fold(fold) / source for fold in FOLDS)],
        [out],
    )


def report_job(context: Context) -> Job:
    """The figures of the stack beside what it must beat."""
    files, out = context.files, context.files.stacking / paths.REPORT
    config, holdout = files.stacking / paths.CONFIG, files.stacking / paths.HOLDOUT_FOLDER
    systems = ["stack", *context.plan.models] if context.settings.holdout != "0" else []
    return job(
        "stacking/report",
        "stacking.report",
        [config, files.models, files.run, files.store, files.folds, out],
        [config, files.models, files.folds]
        + [files.stack_fold(fold) / paths.PREDICTIONS for fold in FOLDS],
        [out, *(holdout / f"{name}.safetensors" for name in systems)],
    )


def folder_name(context: Context, folder: Path) -> str:
    """A folder of the run, as the names of jobs have it."""
    return folder.relative_to(context.files.run).as_posix()
