"""The jobs of the stage folds: records, the store and the folds."""

from collections.abc import Iterator
from pathlib import Path

from folds.false_labels import SHARE
from jobs.job import Job
from jobs.stages.context import Context, job
from yt8m.base import paths
from yt8m.base.paths import Artifacts

DEMO = ["--frames", "--videos", "4000", "--classes", "80", "--rgb", "128", "--audio", "32"]
REHEARSAL = ["--frames", "--videos", "4000", "--classes", "200", "--max-frames", "10"]
STORE_FOLDERS = ("video", "frame", "rows-*")


def folds_jobs(context: Context) -> Iterator[Job]:
    """All of them; records are generated where the plan has none of its own."""
    files, settings = context.files, context.settings
    if settings.original is not None:
        yield shuffle_job(context, settings.original)
        yield assign_job(context)
        yield fit_job(context)
        return
    if settings.generated:
        yield job(
            "folds/records",
            "yt8m.records.synthetic",
            [files.records, *(REHEARSAL if settings.rehearses else DEMO)],
            [],
            [files.records_description],
            folders=(files.records,),
        )
    described = ["--description", settings.description] if settings.description else []
    generated = [files.records_description] if settings.generated else []
    held_out = ["--holdout", settings.holdout_records] if settings.holdout_records else []
    options = [*described, *held_out]
    yield store_job(context, "decode", settings.data, files.store, generated, options)
    if settings.unlabelled:
        store = files.unlabelled_store
        yield store_job(context, "unlabelled", settings.unlabelled, store, [files.manifest])
    yield assign_job(context)
    yield fit_job(context)


def shuffle_job(context: Context, original: Artifacts) -> Job:
    """A store of another run's videos with permuted labels, or with some false ones."""
    files, flips = context.files, context.settings.plan.endswith(paths.FLIPS)
    more = [files.unlabelled_manifest] if context.settings.unlabelled else []
    return job(
        "folds/shuffle",
        "folds.shuffle",
        [original.store, original.folds, files.store, *(["--share", SHARE] if flips else [])],
        [original.manifest, original.folds],
        [files.manifest, files.about, *more],
        folders=(files.store / STORE_FOLDERS[-1],),
    )


def assign_job(context: Context) -> Job:
    """The holdout and the folds. Records of a holdout are known to the store."""
    files, settings = context.files, context.settings
    options, ids, decisive = ["--holdout", settings.holdout], settings.holdout_file, "ids"
    if ids is None:
        decisive = settings.holdout
    elif settings.holdout_records:
        options, ids, decisive = [], None, "records"
    if settings.groups:
        options += ["--groups", settings.groups]
    return job(
        "folds/assign",
        "folds.assign",
        [files.store, files.folds, *options],
        [files.manifest, *filter(None, (ids, settings.groups))],
        [files.folds, paths.for_numpy(files.folds)],
        settings={"HOLDOUT": decisive},
    )


def fit_job(context: Context) -> Job:
    """Whether all models of the plan fit the data: before anything trains."""
    files, settings = context.files, context.settings
    dtype = ["--dtype", settings.dtype] if settings.dtype else []
    segments = ["--segments"] * ("segments" in settings.goals)
    configs = [files.model(name) / paths.CONFIG for name in context.plan.models]
    return job(
        "folds/fit",
        "jobs.fit.check",
        [settings.plan, files.store, files.folds, files.fit, "--budget-mb", settings.budget_mb]
        + dtype
        + segments,
        [files.manifest, files.folds, files.stacking / paths.CONFIG, files.distill / paths.CONFIG]
        + configs,
        [files.fit],
        settings={"BUDGET_MB": settings.budget_mb, "DTYPE": settings.dtype},
    )


def store_job(
    context: Context, verb: str, records: Path, store: Path, inputs: list, options: list = ()
) -> Job:
    """Decodes records into a store; both verbs are given the store of DATA."""
    processes, skip_bad = ["--jobs", str(context.settings.jobs)], context.settings.skip_bad
    return job(
        f"folds/{verb}",
        f"folds.{verb}",
        [records, context.files.store, *options, *skip_bad, *processes],
        inputs,
        [store / paths.MANIFEST, store / paths.ABOUT],
        folders=tuple(store / folder for folder in STORE_FOLDERS),
        settings={"SKIP_BAD": "1"} if skip_bad else {},
        records=records,
    )
