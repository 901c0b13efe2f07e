"""The jobs for make (jobs.mk), and their twin for everyone else (jobs.json).

Prerequisites in jobs.mk only order the jobs. What is stale was found by content
(jobs/freshness.py) and depends on FORCE there; a file that is absent is made anyway.
"""

import json
import shlex
from pathlib import Path

from jobs.freshness import Freshness
from jobs.job import Graph, Job
from jobs.settings import Settings

HEAD = """\
# Written by jobs/plan.py whenever the plan, the settings or what is stale changes. Do not edit it.
"""


def rules_of(graph: Graph, state: Freshness, settings: Settings, rules: Path) -> str:
    """The text of jobs.mk; `rules`: the file. Each job needs it, so that none runs by rules of an
    earlier call when planning has failed (make -k goes on then)."""
    parts = [HEAD]
    for job in graph.jobs:
        needs = " ".join(str(graph.by_name[name].target) for name in graph.needs[job.name])
        parts.append(f"{job.target}: | {rules} {needs}\n\t{recipe_of(job, settings)}\n")
    for goal, names in graph.goals.items():
        targets = " ".join(str(graph.by_name[name].target) for name in names)
        parts.append(f"{goal}: {targets}\n".replace(": \n", ":\n"))
    stale = [str(job.target) for job in state.to_run(graph.jobs) if job.target.exists()]
    if stale:
        parts.append(f"{' '.join(stale)}: FORCE\n")
    parts.append(submission_rule(settings))
    return "\n".join(parts)


def recipe_of(job: Job, settings: Settings) -> str:
    """The command of a job, as make hands it to the shell."""
    python = "$(TRAINER)" if job.trains and job.verb == "first_level.train" else "$(PYTHON)"
    text = f"$(RUN) {python} -m {quote(job.command)}"
    if job.alone:
        text = f"OMP_NUM_THREADS={settings.jobs * settings.threads} {text}"
    if (
        job.verb == "report.stage"
    ):  # unless its stage is asked for by name, which shows it in the end
        stage = job.name.split("/")[1]
        text = f"@{text}$(if $(filter {stage},$(MAKECMDGOALS)),, && cat $@)"
    return text


def submission_rule(settings: Settings) -> str:
    """The rule that predicts RECORDS by the export."""
    records = settings.given.get("RECORDS") or settings.data
    command = ["distill.predict", settings.export, records, settings.out, *settings.skip_bad]
    threads = settings.jobs * settings.threads
    recipe = f"OMP_NUM_THREADS={threads} $(RUN) $(PYTHON) -m {quote(map(str, command))}"
    return f"submission:\n\t{recipe}\n"


def quote(words) -> str:
    """For the shell, inside a recipe of make."""
    return shlex.join(words).replace("$", "$$")


def jobs_text(graph: Graph, settings: Settings) -> str:
    """The text of jobs.json."""
    jobs = [
        {
            "name": job.name,
            "stage": job.stage,
            "command": job.command,
            "inputs": [str(path) for path in job.inputs],
            "outputs": [str(path) for path in job.outputs],
            "folders": [str(path) for path in job.folders],
            "settings": dict(job.settings),
            "records": str(job.records) if job.records else None,
            "needs": graph.needs[job.name],
            "cores": settings.threads * (settings.jobs if job.alone else 1),
            "gpu": job.trains,
            "kin": [job.name, *job.kin],
        }
        for job in graph.jobs
    ]
    about = {"plan": settings.plan, "run": str(settings.run), "store": str(settings.store)}
    return json.dumps(about | {"goals": graph.goals, "jobs": jobs}, indent=1) + "\n"
