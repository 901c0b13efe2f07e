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
    yield store_job(context, "decode", settings.data, files.store, generated, described)
    if settings.unlabelled:
        store = files.unlabelled_store
        yield store_job(context, "unlabelled", settings.unlabelled, store, [files.manifest])
    yield assign_job(context)


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
    """The holdout and the folds."""
    files, settings = context.files, context.settings
    return job(
        "folds/assign",
        "folds.assign",
        [files.store, files.folds, "--holdout", settings.holdout],
        [files.manifest],
        [files.folds],
        settings={"HOLDOUT": settings.holdout},
    )


def store_job(
    context: Context, verb: str, records: Path, store: Path, inputs: list, options: list = ()
) -> Job:
    """Decodes records into a store; both verbs are given the store of DATA."""
    processes = ["--jobs", str(context.settings.jobs)]
    return job(
        f"folds/{verb}",
        f"folds.{verb}",
        [records, context.files.store, *options, *processes],
        inputs,
        [store / paths.MANIFEST, store / paths.ABOUT],
        folders=tuple(store / folder for folder in STORE_FOLDERS),
        records=records,
    )
