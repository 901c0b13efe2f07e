"""Forgets what the jobs of one model wrote, so that make trains it again.

make retrain MODEL=name PLAN=small
"""

import os

from jobs.planner import plan
from jobs.settings import Settings
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import remove
from yt8m.base.paths import CHECKPOINT


def main() -> None:
    """Removes the results of the model that YT8M_MODEL names, in all folds."""
    settings, name = Settings.read(), os.environ.get("YT8M_MODEL", "")
    graph = plan(settings).graph
    jobs = [job for job in graph.jobs if job.trains and f"first_level/{name}" in job.kin]
    if not name or not jobs:
        models = dict.fromkeys(j.name.split("/")[1] for j in graph.jobs if j.stage == "first_level")
        raise InputError(
            f"MODEL {name or 'is not given'}: say the name of a model; those of plan "
            f"{settings.plan}: {', '.join(models)}"
        )
    settings.claim()
    for job in jobs:
        for path in (
            settings.artifacts.receipt(job.name),
            *job.outputs,
            job.target.with_name(CHECKPOINT),
        ):
            remove(path)
    log(f"{name}: forgot {len(jobs)} trained folds; `make all` then makes what depends on them")


if __name__ == "__main__":
    cli.run(main)
