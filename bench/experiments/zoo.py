"""Measures architectures and options on the same videos and budget, with several seeds.

    python -m bench.experiments.zoo bench/experiments/zoo_configs/video \
        artifacts/small/store artifacts/small/folds.safetensors OUT

Every TOML of a folder is a model as in first_level/configs. Each is trained without fold 0, on one
thread, once for every seed; its GAP@20 on fold 0 is what a choice may be made by, the one on the
holdout is what may be quoted. Finished runs in OUT are kept, so a killed call goes on. The table is
printed, and written as OUT/table.md.
"""

from functools import partial
from pathlib import Path

import numpy as np

from bench.experiments.jobs import together, verb
from first_level.config import ModelConfig, check_arguments, read
from first_level.job import fingerprint_of, has_weights
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.files import read_json, writing
from yt8m.base.tables import shown, table

FOLD = 0
TITLES = ["model", "fold 0", "+-", "holdout", "+-", "s an epoch", "epochs", "parameters"]


def main(
    configs: Path, store: Path, folds: Path, out: Path, *, seeds: int = 2, jobs: int = 2
) -> None:
    """Trains every model of the folder CONFIGS and prints the table."""
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value < 1:
            raise InputError(f"--{name} {value}: 1 or more is allowed")
    models = checked(configs, store, folds)
    wanted = [(name, seed) for seed in range(seeds) for name in models]
    together(
        [partial(trained, models[name], out / name, n, store, folds) for name, n in wanted], jobs
    )
    lines = table(TITLES, rows(out, list(models), seeds))
    cli.log("\n".join(lines))
    with writing(out / "table.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def checked(configs: Path, store: Path, folds: Path) -> dict[str, ModelConfig]:
    """The models of a folder by name. InputError when one, or the data, is not as it must be."""
    for path in (store / "manifest.json", folds):
        if not path.is_file():
            raise InputError(f"{path}: no such file; `make folds` writes it")
    models = {path.stem: read(path) for path in sorted(configs.glob("*.toml"))}
    if not models:
        raise InputError(f"{configs}: no models (*.toml) there")
    for name, model in models.items():
        check_arguments(model, configs / f"{name}.toml")
        if model.teachers is not None:
            raise InputError(f"{configs / name}.toml: [teachers] is for plans; use `make`")
    return {name: model.trained() for name, model in models.items()}


def trained(model: ModelConfig, folder: Path, number: int, store: Path, folds: Path) -> None:
    """One job in a process of its own, unless it was done with the same configuration and data."""
    training = model.training.model_copy(update={"seed": model.training.seed + number})
    config, job = folder / f"seed{number}" / "config.json", folder / f"seed{number}"
    write_snapshot(config, model.model_copy(update={"training": training}))
    if finished(job, fingerprint_of(model, config, store, folds, job, FOLD)):
        return
    arguments = [config, store, folds, job, "--fold", FOLD]
    verb("first_level.train", arguments, job, f"{folder.name} seed {number}")


def finished(job: Path, made_from: str) -> bool:
    """Whether a job has predictions, and by weights made from just these inputs."""
    predictions, weights = job / "predictions.safetensors", job / "weights.safetensors"
    if not predictions.is_file() or not has_weights(job, made_from):
        return False
    return predictions.stat().st_mtime >= weights.stat().st_mtime


def rows(out: Path, names: list[str], seeds: int) -> list[list[str]]:
    """One row a model, best on fold 0 first; +- is half the range over the seeds."""
    found = []
    for name in names:
        reports = [read_json(out / name / f"seed{n}" / "report.json") for n in range(seeds)]
        found.append((np.mean([report["gap_fold"] for report in reports]), name, reports))
    return [_row(name, reports) for _, name, reports in sorted(found, reverse=True)]


def _row(name: str, reports: list[dict]) -> list[str]:
    cells = [name]
    for key in ("gap_fold", "gap_holdout"):
        gaps = [report[key] for report in reports if report[key] is not None]
        cells.append(shown(np.mean(gaps) if gaps else None, "{:.4f}"))
        cells.append(shown(np.ptp(gaps) / 2 if gaps else None, "{:.4f}"))
    # The fastest epoch is the one that other work on the machine disturbed least.
    epochs = [epoch["seconds"] for report in reports for epoch in report["epochs"]]
    cells.append(shown(min(epochs), "{:.1f}"))
    cells.append(str(len(reports[0]["epochs"])))
    cells.append(f"{reports[0]['parameters'] / 1e6:.2f} M")
    return cells


if __name__ == "__main__":
    cli.run(main)
