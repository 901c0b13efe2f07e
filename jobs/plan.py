"""Plans what make is to do: reads settings and TOMLs once, writes jobs.mk and jobs.json.

The Makefile includes artifacts/<plan>/jobs.mk; make's own rule for included files calls this verb
before anything else. All settings come from the environment (jobs/settings.py). Both files are
written only when they change. A dry run has a file of rules of its own, dry.mk, and writes nothing
else but what it found of files (looked.json, checked.json).
"""

import json
import os
import sys
from pathlib import Path

from jobs.freshness import DAMAGED
from jobs.planner import Planned, plan
from jobs.rules import jobs_text, rules_of, submission_rule
from jobs.settings import Settings
from yt8m.base import cli
from yt8m.base.config import write_if_changed
from yt8m.records.description import describe, find_shards
from yt8m.records.unread import name_unread


def main() -> None:
    """Writes jobs.mk and jobs.json of the run, its snapshots of settings, and what it was given."""
    settings = Settings.read()
    files, rules = settings.artifacts, Path(os.environ["YT8M_RULES"])
    if settings.needs_no_plan:
        write_if_changed(rules, submission_rule(settings))
        return
    if not os.environ.get("YT8M_DRY"):
        settings.claim()
    planned = plan(settings)
    if not os.environ.get("YT8M_RESTARTED"):  # make plans again when jobs.mk has changed
        announce(planned)
    if not os.environ.get("YT8M_DRY"):
        for path, text in planned.snapshots.items():
            write_if_changed(path, text)
        write_if_changed(files.given, json.dumps(settings.to_remember(), indent=1) + "\n")
        write_if_changed(files.jobs, jobs_text(planned.graph, settings))
    write_if_changed(rules, rules_of(planned.graph, planned.state, settings, rules))


def announce(planned: Planned) -> None:
    """Says which files were exchanged or damaged; what another DATA, HOLDOUT, STORE or description
    makes again, and how to keep both; and what finished records hold that is not read."""
    for job in planned.state.to_run(planned.graph.jobs):
        for reason in planned.state.reasons[job.name]:
            if reason.startswith(DAMAGED):
                path = reason.removeprefix(DAMAGED)
                sys.stderr.write(f"make: {path} is not what its job wrote; {job.name} runs again\n")
    changes = [] if planned.settings.original else planned.settings.changes()
    again = [job for job in planned.state.to_run(planned.graph.jobs) if job.target.exists()]
    if changes and again:
        sys.stderr.write(
            f"make: {'; '.join(changes)}: {len(again)} jobs of {planned.settings.run} are made "
            "again where their inputs differ; to keep both, say ARTIFACTS=<another folder>\n"
        )
    for job in planned.graph.jobs:  # one that runs says itself what it does not read
        if job.records and job.records.exists() and job.name not in planned.state.reasons:
            unlabelled = job.records == planned.settings.unlabelled
            file, shards = planned.settings.description, find_shards(job.records)
            names, _ = describe(job.records, shards, None if unlabelled else file)
            name_unread(
                job.records, shards, names, lambda text: sys.stderr.write(f"make: {text}\n")
            )


if __name__ == "__main__":
    cli.run(main)
