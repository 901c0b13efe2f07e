"""The planner: settings and TOMLs -> the jobs of a plan, and which of them are to be run."""

from dataclasses import dataclass
from pathlib import Path

from folds.related.id_files import check_groups
from jobs.freshness import Freshness, look
from jobs.graph import graph_of
from jobs.job import Graph, Job
from jobs.plans import Plan
from jobs.settings import Settings
from yt8m.base.digests import Digests
from yt8m.base.files import read_json
from yt8m.base.paths import ABOUT
from yt8m.records.content import content_of
from yt8m.records.description import find_shards


@dataclass(frozen=True)
class Planned:
    """A plan, its jobs, and which of them are to be run."""

    settings: Settings
    graph: Graph
    snapshots: dict[Path, str]
    state: Freshness


def plan(settings: Settings) -> Planned:
    """Reads what the settings name. InputError on the first thing that cannot be used."""
    settings.check()
    for name, path in (
        ("DATA", settings.data),
        ("UNLABELLED", settings.unlabelled),
        ("HOLDOUT", settings.holdout_records),
    ):
        if name in settings.given and path is not None and settings.original is None:
            find_shards(path)  # InputError where it holds no records
    if settings.given.get("GROUPS"):
        check_groups(settings.groups)
    read = Plan.read(settings.plan)
    files = settings.artifacts
    read.check_models(files.run / "checked.json")
    graph, snapshots = graph_of(read, settings), read.snapshots(files)
    digests = Digests(files.looked)
    state = look(
        graph, files, snapshots, digests, lambda job: made_otherwise(job, settings, digests)
    )
    digests.save()
    return Planned(settings, graph, snapshots, state)


def made_otherwise(job: Job, settings: Settings, digests: Digests) -> tuple[Path, ...]:
    """Which outputs of a job would differ, made of its records as they are now.

    Records that are no longer there (on a disk that is not mounted) count as the same.
    """
    if not job.records.exists():
        return ()
    about = job.target.with_name(ABOUT)
    before, unlabelled = read_json(about)["content"], job.records == settings.unlabelled
    of_data = (None, None) if unlabelled else (settings.description, settings.holdout_records)
    now = content_of(job.records, digests.shards, *of_data)
    if now["shards"] != before["shards"]:
        return job.outputs
    if unlabelled or now["description"] == before["description"]:
        return ()
    return (about,) if now["arrays"] == before.get("arrays") else job.outputs
