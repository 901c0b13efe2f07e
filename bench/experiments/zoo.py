"""Measures architectures and options on the same videos and budget, with several seeds.

    python -m bench.experiments.zoo bench/experiments/zoo_configs/video \
        artifacts/small/store artifacts/small/folds.safetensors OUT

Every TOML of a folder is a model as in first_level/configs. Each is trained without fold 0, on one
thread, once for every seed; its figures on fold 0 are what a choice may be made by, those on the
holdout are what may be quoted. mAP counts only classes that have a positive. Finished runs in OUT
are kept. The table is printed, and written as OUT/table.md.
"""

from functools import partial
from pathlib import Path

import numpy as np

from bench.experiments.jobs import read_models, run_all, train_model
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.paths import REPORT
from yt8m.base.tables import (
    FIGURES,
    figure_cells,
    figures_of,
    format_cell,
    mean_figures,
    publish,
    table,
)

_, *OTHERS = FIGURES.values()
TITLES = ["model", "fold 0: GAP@20", "+-", *OTHERS, "holdout: GAP@20", "+-", *OTHERS]
TITLES += ["s an epoch", "epochs", "parameters"]


def main(
    configs: Path, store: Path, folds: Path, out: Path, *, seeds: int = 2, jobs: int = 2
) -> None:
    """Trains every model of the folder CONFIGS and prints the table."""
    for name, value in (("seeds", seeds), ("jobs", jobs)):
        if value < 1:
            raise InputError(f"--{name} {value}: 1 or more is allowed")
    models = read_models(configs, store, folds)
    calls = [
        partial(train_model, models[name], out / name, number, store, folds)
        for number in range(seeds)
        for name in models
    ]
    run_all(calls, jobs)
    publish(table(TITLES, rows(out, list(models), seeds)), out / "table.md")


def rows(out: Path, names: list[str], seeds: int) -> list[list[str]]:
    """One row a model, best GAP on fold 0 first; +- is half the range over the seeds."""
    found = []
    for name in names:
        reports = [read_json(out / name / f"seed{n}" / REPORT) for n in range(seeds)]
        found.append((np.mean([report["gap_fold"] for report in reports]), name, reports))
    return [_row(name, reports) for _, name, reports in sorted(found, reverse=True)]


def _row(name: str, reports: list[dict]) -> list[str]:
    cells = [name]
    for keys in (("out_of_fold", "gap_fold"), ("holdout", "gap_holdout")):
        figures = [figures_of(report, *keys) for report in reports]
        gaps = [one["gap20"] for one in figures if one["gap20"] is not None]
        mean, *others = figure_cells(mean_figures(figures))
        cells += [mean, format_cell(np.ptp(gaps) / 2 if gaps else None, "{:.4f}"), *others]
    # The fastest epoch is the one that other work on the machine disturbed least.
    epochs = [epoch["seconds"] for report in reports for epoch in report["epochs"]]
    cells.append(format_cell(min(epochs), "{:.1f}"))
    cells.append(str(len(reports[0]["epochs"])))
    cells.append(f"{reports[0]['parameters'] / 1e6:.2f} M")
    return cells


if __name__ == "__main__":
    cli.run(main)
