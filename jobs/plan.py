"""Plans what make is to do: reads settings and TOMLs once, writes jobs.mk and jobs.json.

The Makefile includes artifacts/<plan>/jobs.mk; make's own rule for included files calls this verb
before anything else. All settings come from the environment (jobs/settings.py). Both files are
written only when they change. In a dry run nothing else is written: no snapshot of settings, and
nothing is remembered.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from jobs.freshness import Freshness, look
from jobs.graph import graph_of
from jobs.job import Graph, Job
from jobs.plans import Plan
from jobs.rules import jobs_text, rules_of
from jobs.settings import Settings
from yt8m.base import cli, paths
from yt8m.base.config import write_if_changed
from yt8m.base.digests import Digests
from yt8m.base.files import read_json
from yt8m.base.receipts import Places
from yt8m.records.content import content_of


@dataclass(frozen=True)
class Planned:
    """A plan, its jobs, and which of them are to be run."""

    settings: Settings
    graph: Graph
    snapshots: dict[Path, str]
    state: Freshness


def main() -> None:
    """Writes jobs.mk and jobs.json of the run, its snapshots of settings, and what it was given."""
    planned = plan(Settings.read())
    settings, files = planned.settings, planned.settings.artifacts
    announce(planned)
    if not os.environ.get("YT8M_DRY"):
        for path, text in planned.snapshots.items():
            write_if_changed(path, text)
        write_if_changed(files.given, json.dumps(settings.to_remember(), indent=1) + "\n")
    write_if_changed(files.jobs, jobs_text(planned.graph, settings))
    write_if_changed(files.rules, rules_of(planned.graph, planned.state, settings))


def plan(settings: Settings) -> Planned:
    """Reads what the settings name. InputError on the first thing that cannot be used."""
    settings.check()
    read = Plan.read(settings.plan)
    files = settings.artifacts
    read.check_models(files.run / "checked.json")
    graph, snapshots = graph_of(read, settings), read.snapshots(files)
    digests, places = Digests(files.looked), Places(settings.run, settings.store)
    state = look(
        graph, places, snapshots, digests, lambda job: same_records(job, settings, digests)
    )
    digests.save()
    return Planned(settings, graph, snapshots, state)


def same_records(job: Job, settings: Settings, digests: Digests) -> bool:
    """Whether the records of a job are those that its store was decoded from.

    Records that are no longer there (on a disk that is not mounted) count as the same.
    """
    if not job.records.exists():
        return True
    decoded = read_json(job.target.with_name(paths.ABOUT)).get("content")
    unlabelled = job.records == settings.unlabelled
    described = None if unlabelled else settings.description
    found = content_of(job.records, digests.shards, described)
    return found["shards"] == decoded["shards"] if unlabelled else found == decoded


def announce(planned: Planned) -> None:
    """Says what another DATA, HOLDOUT or description makes again, and how to keep both."""
    changes = planned.settings.changes()
    again = [job for job in planned.state.wanted(planned.graph.jobs) if job.target.exists()]
    if changes and again:
        sys.stderr.write(
            f"make: {'; '.join(changes)}: {len(again)} jobs of {planned.settings.run} are made "
            "again; to keep both, say ARTIFACTS=<another folder>\n"
        )


if __name__ == "__main__":
    cli.run(main)
