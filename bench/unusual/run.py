"""Runs a tiny plan on unusual data sets, each in this process, and says what became of them.

    python -m bench.unusual.run OUT [--only "one class"]

A line each: what was tried, whether all ran or which job refused it, and with which words. Exit
status 1 when one of them did something else than bench/unusual/cases.py says.
"""

import importlib
import sys
import time
from pathlib import Path
from unittest import mock

from bench.unusual.cases import CASES
from bench.unusual.data import HOLDOUT, Case
from distill.config import DistillConfig
from first_level.config import PlannedModel
from jobs.graph import graph_of
from jobs.job import Job
from jobs.plans import Plan
from jobs.settings import Settings
from stacking.config import Stacking
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.config import write_if_changed
from yt8m.base.files import remove

QUICK = {"epochs": 1, "lr": 0.01, "batch_size": 32, "precision": "float32"}
SMALL = {"candidates": 10, "learner": "both", "booster": {"max_rounds": 3, "min_data_in_leaf": 5}}
NETWORK = {"network": {"width": 4, "layers": 1, "training": {"epochs": 1}}}
LSTM = {"width": 4, "layers": 1, "hidden": [8]}
DONE = ("", "")


def main(out: Path, *, only: str = "", onnx: bool = True) -> None:
    """Writes records and runs into OUT, case by case. --no-onnx: exports have no graph."""
    names = [only] if only else list(CASES)
    if only and only not in CASES:
        raise InputError(f"--only {only}: no such case; cases: {', '.join(CASES)}")
    wrong = 0
    for name in names:
        folder, started = out / name.replace(" ", "_"), time.monotonic()
        remove(folder)
        job, text = run_case(CASES[name], folder, onnx)
        as_said = matches(CASES[name], job, text)
        wrong += not as_said
        what = f"{job or 'records'}: {text}" if text else "everything ran"
        log(f"{'ok ' if as_said else 'NOT'} {name} ({time.monotonic() - started:.1f} s): {what}")
    if wrong:
        sys.exit(1)


def matches(case: Case, job: str, text: str) -> bool:
    """Whether what `run_case` returned is what the case says."""
    wanted = case.refused or DONE
    return wanted[0] in job and wanted[1] in text and bool(text) == bool(wanted[1])


def run_case(case: Case, folder: Path, onnx: bool = False) -> tuple[str, str]:
    """(the job that refused it, its words), or DONE when all jobs of its goal ran; then the export
    has predicted the records and was scored by its file, as other people would do."""
    job = ""
    try:
        records = case.write(folder / "records")
        for one in jobs_of(case, records, folder / "run"):
            job = one.name
            with mock.patch.object(Plan, "read", return_value=plan_of(case)):  # no TOMLs
                run_job(one, onnx)
        if case.goal == "all":
            job = "predict"
            found = str(folder / "out.csv")
            run_verb("distill.predict", str(folder / "run" / "export"), str(records), found)
            run_verb("distill.evaluate", found, str(records))
    except InputError as error:
        return job, str(error)
    return DONE


def plan_of(case: Case) -> Plan:
    """A linear model, and a frame-level one where there are frames; the first is refitted."""
    training = QUICK | case.training
    models = {"linear": {"arch": "linear", "training": training}}
    if "frame" in case.levels:
        segments = {"epochs": 1, "batch_size": 16} if case.goal == "segments" else None
        models["lstm"] = {"arch": "lstm", "model": LSTM, "training": training}
        models["lstm"] |= {"inputs": case.inputs, "segments": segments}
    stack = Stacking.model_validate(SMALL | NETWORK)
    students = {"refit": {"models": ["linear"]}, "resnet": {"model": {"width": 8}}}
    students["resnet"]["training"] = QUICK
    found = {name: PlannedModel.model_validate(models[name]) for name in sorted(models)}
    return Plan("unusual", found, stack, DistillConfig.model_validate(students))


def jobs_of(case: Case, records: Path, run: Path) -> list[Job]:
    """The jobs that make would run, in order; their snapshots of settings are written."""
    given = {"DATA": str(records), "HOLDOUT": str(HOLDOUT)} | case.settings
    settings, plan = Settings("unusual", run, given, {}, (case.goal,)), plan_of(case)
    settings.check()
    for path, text in plan.snapshots(settings.artifacts).items():
        write_if_changed(path, text)
    return graph_of(plan, settings).of_goal(case.goal)


def run_job(job: Job, onnx: bool) -> None:
    """Its verb, with the arguments that make would give it. AssertionError when a file that it is
    to write is missing."""
    graph = [] if onnx or job.verb != "distill.export.write" else ["--no-onnx"]
    run_verb(job.verb, *job.arguments, *graph)
    absent = [path for path in job.outputs if not path.exists() and not graph]
    assert not absent, f"{job.name}: did not write {absent[0]}"


def run_verb(verb: str, *arguments: str) -> None:
    main = importlib.import_module(verb).main
    main(**vars(cli.parser_of(main).parse_args(arguments)))


if __name__ == "__main__":
    cli.run(main)
