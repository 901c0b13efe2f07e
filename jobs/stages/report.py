"""The jobs of the export, its figures, the tables and the report."""

from collections.abc import Iterator

from jobs.job import Job
from jobs.stages.context import FOLDS, Context, in_folder, job
from jobs.stages.distill import distill_jobs
from yt8m.base import paths
from yt8m.base.paths import fold_folder

TABLES = (paths.FIRST_LEVEL, paths.STACKING, paths.DISTILL)


def export_jobs(context: Context) -> Iterator[Job]:
    """The folder to hand over, and its figures on the holdout."""
    files, settings, refit = context.files, context.settings, context.plan.distill.refit
    out = files.export
    last = reranker_files(context) if refit.models else []
    handed = [files.model_fold(name, k) / paths.WEIGHTS for name in refit.folds for k in FOLDS]
    dtype = ["--dtype", settings.dtype] if settings.dtype else []
    yield job(
        "export/write",
        "distill.export.write",
        [
            files.distill,
            files.distill / paths.CONFIG,
            files.store,
            files.folds,
            files.soft_labels,
            out,
        ]
        + ["--budget-mb", settings.budget_mb, *dtype, "--plan", settings.plan],
        [files.distill / paths.CONFIG, files.manifest, files.about, files.folds, files.soft_labels]
        + student_weights(context)
        + handed
        + last,
        in_folder(out, paths.EXPORT_MANIFEST, paths.EXPORT_WEIGHTS, paths.EXPORT_GRAPH)
        + in_folder(out, paths.EXPORT_README, paths.EXPORT_STEPS, paths.EXPORT_PREDICT)
        + in_folder(out, paths.EXPORT_TRAINED_ON, paths.EXPORT_SUMS),
        settings={"BUDGET_MB": settings.budget_mb, "DTYPE": settings.dtype},
        alone=True,
    )
    yield job(
        "export/score",
        "distill.export.evaluate",
        [out, files.store, files.folds, files.evaluation, "--stack", files.stacking / paths.REPORT],
        in_folder(out, paths.EXPORT_MANIFEST, paths.EXPORT_WEIGHTS)
        + [files.folds, files.stacking / paths.REPORT],
        [files.evaluation, files.evaluation_predictions],
        alone=True,
    )


def reranker_files(context: Context) -> list:
    """What the last layer of a re-ranked student is put together from."""
    files = context.files
    about = fold_folder(files.reranker, 0) / paths.ROWS / paths.ROWS_ABOUT
    return [files.stacking / paths.CONFIG, about, files.reranker / paths.HEAD]


def report_jobs(context: Context) -> Iterator[Job]:
    """A table for each stage, the table of all systems, and the page."""
    files, videos = context.files, context.settings.videos
    yield job(
        "report/summary",
        "report.summary",
        [files.run, files.summary],
        [files.stacking / paths.REPORT, files.evaluation],
        [files.summary],
    )
    yield job(
        "report/page",
        "report.page",
        [files.run, files.store, files.page, "--videos", videos],
        [files.summary, files.soft_labels, files.about],
        [files.page],
        settings={"VIDEOS": str(videos)},
    )
    for stage, inputs in table_inputs(context).items():
        out = files.run / stage / paths.TABLE
        yield job(f"report/{stage}", "report.stage", [stage, files.run, out], inputs, [out])


def table_inputs(context: Context) -> dict[str, list]:
    """What the table of each stage is made of."""
    files = context.files
    models = [files.model_fold(m, k) / paths.REPORT for m in context.plan.models for k in FOLDS]
    students = [path.with_name(paths.REPORT) for path in student_weights(context)]
    if context.plan.distill.refit.models:
        students.append(files.reranker / paths.HEAD_TRAINING)
    return {
        paths.FIRST_LEVEL: [files.models, *models],
        paths.STACKING: [files.stacking / paths.REPORT],
        paths.DISTILL: students,
    }


def student_weights(context: Context) -> list:
    """The weights of all students."""
    written = [path for part in distill_jobs(context) if part.trains for path in part.outputs]
    return [path for path in written if path.name == paths.WEIGHTS]
