"""Lists the models of a plan: what `make models` prints.

    python -m first_level.table first_level/configs/paper artifacts/paper

Parameters are counted on the meta device, for the data set of the store or, before there is one,
for YouTube-8M. GAP@20, mAP (of classes that have a positive), Hit@1 and PERR are the means over the
folds that are trained, each on the fold it never saw.
"""

from pathlib import Path

import torch

from first_level.config import YOUTUBE_8M, ModelConfig, build, check_arguments, read
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.paths import Artifacts
from yt8m.base.tables import (
    FIGURES,
    MAP_COUNTS,
    figure_cells,
    figures_of,
    format_cell,
    mean_figures,
    table,
)
from yt8m.data.store import Dims, Store

TITLES = ["model", "architecture", "level", "inputs", "parameters", "loss", "mixup"]


def main(plan: Path, run: Path) -> None:
    """Prints the models of the plan PLAN. RUN, if it is there, says how they did, on which data."""
    paths = sorted(plan.glob("*.toml"))
    if not paths:
        raise InputError(f"{plan}: no models (*.toml) there")
    files = Artifacts.of_run(run)
    dims = Store(files.store).dims if files.manifest.is_file() else YOUTUBE_8M
    models = [describe(path, files.model(path.stem), dims) for path in paths]
    cli.log("\n".join(table([*TITLES, *FIGURES.values()], models)))
    frame = sum(cells[2] == "frame" for cells in models)
    levels = f"{len(models) - frame} video-level, {frame} frame-level"
    cli.log(f"{len(models)} models: {levels}; {MAP_COUNTS}")


def describe(path: Path, trained: Path, dims: Dims) -> list[str]:
    """A row of the table."""
    config = read(path)
    check_arguments(config, path)
    with torch.device("meta"):
        model = build(config, dims, path)
    reports = [read_json(report) for report in sorted(trained.glob("fold*/report.json"))]
    found = [figures_of(report, "out_of_fold", "gap_fold") for report in reports]
    found = [figures for figures in found if figures["gap20"] is not None]
    return [
        path.stem,
        config.arch,
        model.level,
        inputs_of(config),
        f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M",
        config.training.loss,
        format_cell(config.training.mixup or None, "{:g}"),
        *figure_cells(mean_figures(found or [dict.fromkeys(FIGURES)])),
    ]


def inputs_of(config: ModelConfig) -> str:
    """What [inputs] says beyond the defaults."""
    changed = config.inputs.model_dump(exclude_defaults=True)
    lists = {k: v if isinstance(v, list | tuple) else [v] for k, v in changed.items()}
    return ", ".join(" ".join(map(str, [key, *values])) for key, values in lists.items()) or "-"


if __name__ == "__main__":
    cli.run(main)
