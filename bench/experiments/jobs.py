"""Jobs of a measurement: each in a process of its own on one thread, a few at a time."""

import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from first_level.config import ModelConfig, check_arguments, read
from first_level.job import has_weights, open_job
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.paths import CONFIG, MANIFEST, PREDICTIONS, WEIGHTS

FOLD = 0  # the fold that no model of an experiment sees


def run_all(calls: list[Callable[[], None]], jobs: int) -> None:
    """Calls them all, so many at a time. After a failure it starts no more, and raises it."""
    with ThreadPoolExecutor(jobs) as pool:
        running = [pool.submit(call) for call in calls]
        try:
            for job in running:
                job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def run_verb(module: str, arguments: list, folder: Path, title: str) -> None:
    """Runs a stage's verb on one thread; logs its last line behind `title`.

    FOLDER/log.txt gets all that it prints. InputError when it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with open(folder / "log.txt", "w") as log:
        done = subprocess.run(
            command, stdout=log, stderr=subprocess.STDOUT, env=os.environ | {"OMP_NUM_THREADS": "1"}
        )
    last = (folder / "log.txt").read_text().splitlines()[-1:]
    cli.log(f"{title}: {last[0] if last else 'no output'}")
    if done.returncode:
        raise InputError(f"{folder}: failed; see its log.txt")


def read_models(configs: Path, store: Path, folds: Path) -> dict[str, ModelConfig]:
    """The models of a folder by name. InputError when one, or the data, is not as it must be."""
    for path in (store / MANIFEST, folds):
        if not path.is_file():
            raise InputError(f"{path}: no such file; `make folds` writes it")
    models = {path.stem: read(path) for path in sorted(configs.glob("*.toml"))}
    if not models:
        raise InputError(f"{configs}: no models (*.toml); give a folder that has some")
    for name, model in models.items():
        check_arguments(model, configs / f"{name}.toml")
        if model.teachers is not None:
            raise InputError(f"{configs / name}.toml: [teachers] is for plans; use `make`")
    return {name: model.as_model() for name, model in models.items()}


def train_model(model: ModelConfig, folder: Path, number: int, store: Path, folds: Path) -> None:
    """Trains seed `number` of a model without FOLD, unless that job is finished."""
    training = model.training.model_copy(update={"seed": model.training.seed + number})
    config, job = folder / f"seed{number}" / CONFIG, folder / f"seed{number}"
    write_snapshot(config, model.model_copy(update={"training": training}))
    predictions, weights = job / PREDICTIONS, job / WEIGHTS
    made_from = open_job(config, store, folds, job, FOLD).made_from
    if predictions.is_file() and has_weights(job, made_from):
        if predictions.stat().st_mtime >= weights.stat().st_mtime:  # else killed in between
            return
    arguments = [config, store, folds, job, "--fold", FOLD]
    run_verb("first_level.train", arguments, job, f"{folder.name} seed {number}")
