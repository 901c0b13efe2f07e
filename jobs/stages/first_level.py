"""The jobs of the stage first_level: a model on a fold each; and the segment task."""

from collections.abc import Iterator
from pathlib import Path

from first_level.config import PlannedModel
from jobs.job import Job
from jobs.stages.context import FOLDS, Context, in_folder, job
from yt8m.base import paths

TRAINED = (paths.PREDICTIONS, paths.WEIGHTS, paths.TRAINING, paths.REPORT, paths.RUN_LOG)


def first_level_jobs(context: Context) -> Iterator[Job]:
    """Each model on each fold, and its predictions of unlabelled videos."""
    for name, model in context.plan.models.items():
        for fold in FOLDS:
            yield from fold_jobs(context, name, model, fold)


def fold_jobs(context: Context, name: str, model: PlannedModel, fold: int) -> Iterator[Job]:
    """A model without one fold."""
    files = context.files
    config, out = files.model(name) / paths.CONFIG, files.model_fold(name, fold)
    arguments = [config, files.store, files.folds, out, "--fold", fold, *context.threads]
    teachers = model.teachers.models if model.teachers else ()
    yield job(
        f"first_level/{name}/fold{fold}",
        "first_level.train",
        arguments,
        [config, files.manifest, files.folds]
        + [files.model_fold(teacher, fold) / paths.WEIGHTS for teacher in teachers]
        + first_weights(model),
        in_folder(out, *TRAINED),
        kin=(f"first_level/{name}", f"arch {model.arch}"),
        trains=True,
        after=(files.fit,),
    )
    if context.settings.unlabelled:
        yield job(
            f"first_level/{name}/fold{fold}/unlabelled",
            "first_level.predict",
            arguments,
            [out / paths.WEIGHTS, files.unlabelled_manifest],
            [out / paths.UNLABELLED_PREDICTIONS],
            kin=(f"first_level/{name}/unlabelled",),
        )


def segment_jobs(context: Context) -> Iterator[Job]:
    """Models with a table [segments], fine-tuned: a branch that `all` does without."""
    files = context.files
    for name in context.plan.segmented:
        folder = files.segments(name)
        config, found = folder / paths.CONFIG, []
        for fold in FOLDS:
            parent, out = files.model_fold(name, fold), folder / f"fold{fold}"
            found.append(out / paths.PREDICTIONS)
            yield job(
                f"first_level/{name}/segments/fold{fold}",
                "first_level.segments.train",
                [config, files.store, files.folds, parent, out, "--fold", fold, *context.threads],
                [config, files.manifest, files.folds, parent / paths.WEIGHTS],
                in_folder(out, *TRAINED),
                kin=(f"first_level/{name}/segments",),
                trains=True,
            )
        submission = folder / paths.SUBMISSION
        yield job(
            f"first_level/{name}/segments/submission",
            "first_level.segments.submission",
            [*found, submission],
            found,
            [submission],
        )


def first_weights(model: PlannedModel) -> list[Path]:
    """The file of the weights that a model begins with; of an export its manifest and weights."""
    if model.start is None:
        return []
    path = Path(model.start.weights)
    if path.is_dir():
        return in_folder(path, paths.EXPORT_MANIFEST, paths.EXPORT_WEIGHTS)
    return [path]
