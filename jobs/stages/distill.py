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
    for letter, fold in extractors_of(context):
        yield part_job(context, letter, "student", files.extractor(letter, fold), fold)
    yield part_job(context, "last", "student", files.distill / "student")


def extractors_of(context: Context) -> list[tuple[str, int | None]]:
    """Letter of each extractor and of its copies; the fold that a copy leaves out."""
    copies = FOLDS if context.plan.distill.extractor_videos == "folds" else ()
    return [(letter, fold) for letter in LETTERS for fold in (None, *copies)]


def part_job(context: Context, part: str, settings: str, out: Path, fold: int | None = None) -> Job:
    """A part of the students. The last layers run alone, over the extractors and their copies."""
    files, alone = context.files, part == "last"
    below = extractors_of(context) if alone else []
    extractors = [files.extractor(*one) / paths.WEIGHTS for one in below]
    of_fold = [] if fold is None else ["--fold", fold]
    fine_tuned = alone and context.plan.distill.fine_tune.epochs
    return job(
        str(out.relative_to(files.run)),
        "distill.train",
        [files.distill / paths.CONFIG, files.store, files.folds, files.soft_labels, out]
        + ["--part", part, *(context.all_threads if alone else context.threads), *context.also]
        + of_fold,
        [files.part_settings(settings), files.folds, files.soft_labels, *extractors]
        + context.also[1:],
        in_folder(out, *STUDENT) + ([out / paths.FINE_TUNE / paths.RUN_LOG] if fine_tuned else []),
        kin=(f"distill/extractor_{part}", "distill/extractor") if part in LETTERS else (),
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
