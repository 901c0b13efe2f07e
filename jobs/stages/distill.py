"""The jobs of the stage distill: the students."""

from collections.abc import Iterator
from pathlib import Path

from jobs.job import Job
from jobs.stages.context import FOLDS, Context, in_folder, job
from jobs.stages.stacking import learner_job, rows_job
from yt8m.base import paths

LETTERS = "efabcd"  # extractors, the longest first
STUDENT = (paths.WEIGHTS, paths.REPORT, paths.RUN_LOG)


def distill_jobs(context: Context) -> Iterator[Job]:
    """The ResNetLike, which takes longest; then the re-ranked student, or the paper's."""
    files = context.files
    yield part_job(context, "resnet", "resnet", files.distill / "resnet")
    if context.plan.distill.refit.models:
        yield from refit_jobs(context)
        yield from reranker_jobs(context)
        return
    for letter in LETTERS:
        yield part_job(context, letter, "student", files.extractor(letter))
    yield part_job(context, "last", "student", files.distill / "student")


def part_job(context: Context, part: str, settings: str, out: Path) -> Job:
    """A part of the students. The last layers run alone, over the extractors."""
    files, alone = context.files, part == "last"
    extractors = [files.extractor(x) / paths.WEIGHTS for x in LETTERS] if alone else []
    fine_tuned = alone and context.plan.distill.fine_tune.epochs
    return job(
        f"distill/{out.name}",
        "distill.train",
        [files.distill / paths.CONFIG, files.store, files.folds, files.soft_labels, out]
        + ["--part", part, *(context.all_threads if alone else context.threads), *context.also],
        [files.part_settings(settings), files.folds, files.soft_labels, *extractors]
        + context.also[1:],
        in_folder(out, *STUDENT) + ([out / paths.FINE_TUNE / paths.RUN_LOG] if fine_tuned else []),
        kin=("distill/extractor",) if part in LETTERS else (),
        alone=alone,
        trains=True,
    )


def refit_jobs(context: Context) -> Iterator[Job]:
    """First-level models trained again, on all folds."""
    files, refit = context.files, context.plan.distill.refit
    also = context.also if refit.unlabelled else []
    for name in refit.models:
        config = files.model(name) / paths.CONFIG
        for copy in range(refit.copies if name not in refit.folds else 0):
            out = files.refit(name, copy)
            yield job(
                f"distill/refit/{name}/copy{copy}",
                "distill.refit",
                [files.distill / paths.CONFIG, config, files.store, files.folds]
                + [files.soft_labels, out, "--copy", copy, *context.threads, *also],
                [files.part_settings("refit"), config, files.folds, files.soft_labels, *also[1:]],
                in_folder(out, *STUDENT),
                kin=(f"distill/refit/{name}",),
                trains=True,
            )


def reranker_jobs(context: Context) -> Iterator[Job]:
    """A network over the predictions of the models of [refit]: the last layer of the export."""
    files, out = context.files, context.files.reranker
    models = context.plan.distill.refit.models
    rows = [out / f"fold{fold}" / paths.ROWS for fold in FOLDS]
    for fold in FOLDS:
        yield rows_job(context, files.members, models, rows[fold], fold, "--no-frames")
    yield learner_job(context, "network", rows, out, -1)
