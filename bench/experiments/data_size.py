"""How GAP@20 grows with the number of training videos (docs/zoo.md).

    python -m bench.experiments.data_size bench/experiments/zoo_configs/data_size \
        artifacts/small/store \
        artifacts/small/folds.safetensors OUT

Every TOML of a folder is a model as in first_level/configs. Each is trained on so many of the
videos outside fold 0 and the holdout, by a hash of their ids: a smaller set is part of a larger
one. With few videos the epochs of a TOML are few steps, so each model is also trained for as many
epochs as make --steps steps, where its own are fewer. Finished runs in OUT are kept. The tables are
printed, and written as OUT/table.md: GAP@20 of fold 0 and of the holdout, and what two curves
through the largest sizes predict for millions of videos.
"""

import math
from pathlib import Path

import numpy as np

from bench.experiments.jobs import FOLD, read_models, train_model
from first_level.config import ModelConfig
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.paths import REPORT, Artifacts
from yt8m.base.tables import format_cell, mean_of, publish, table
from yt8m.data.splits import UNUSED, Splits, uniform
from yt8m.data.store import Store
from yt8m.training.schedule import steps_of

SIZES = "1000 2000 4000 8000 16000 all"
FITTED = 4  # the largest sizes, through which the curves go
MILLIONS = (3.9e6, 5.6e6)  # YouTube-8M's training videos, and all its labelled ones


def main(
    configs: Path,
    store: Path,
    folds: Path,
    out: Path,
    *,
    sizes: str = SIZES,
    steps: int = 300,
    seeds: int = 1,
) -> None:
    """Trains every model of the folder CONFIGS on so many videos and prints the tables.

    --sizes: numbers of videos, or "all"; --steps: at least so many, or 0 for the steps of the
    epochs alone.
    """
    if steps < 0 or seeds < 1:
        raise InputError(f"--steps {steps}, --seeds {seeds}: 0 and 1 or more are allowed")
    models, data = read_models(configs, store, folds), Store(store)
    parts = subsets(Splits.read(folds, data.ids), data.ids, sizes)
    found: dict[str, dict[int, dict]] = {}
    for count, splits in parts.items():
        chosen = Artifacts.of_run(out / str(count)).folds
        splits.write(chosen, data.ids)
        for name, model in models.items():
            for title, config in variants(name, model, splits.others(FOLD), steps).items():
                folder = chosen.parent / f"{name}_{config.training.epochs}_epochs"
                for number in range(seeds):
                    train_model(config, folder, number, store, chosen)
                found.setdefault(title, {})[count] = gaps(folder, seeds)
    lines = [line for part in tables(found) for line in (*part, "")]
    publish(lines[:-1], out / "table.md")


def subsets(splits: Splits, ids: np.ndarray, sizes: str) -> dict[int, Splits]:
    """For each size, splits without the other training videos."""
    rows = splits.others(FOLD)
    rows = rows[np.argsort(uniform(ids[rows], "data size"), kind="stable")]
    counts = []
    for word in sizes.split():
        if word != "all" and not (word.isdecimal() and 2 <= int(word) <= len(rows)):
            raise InputError(
                f"--sizes {word!r}: 2 to {len(rows):,} (the videos outside fold {FOLD} and the "
                'holdout) or "all" is allowed'
            )
        counts.append(len(rows) if word == "all" else int(word))
    if len(set(counts)) < 2:
        raise InputError(f"--sizes {sizes!r}: needs two different sizes, such as '1000 2000 all'")
    found = {}
    for count in sorted(set(counts)):
        fold = splits.fold.copy()
        fold[rows[count:]] = UNUSED
        found[count] = Splits(fold, splits.groups)
    return found


def variants(name: str, model: ModelConfig, rows: np.ndarray, steps: int) -> dict:
    """The model as it is and, where steps are asked for, with epochs for at least that many."""
    own, found = model.training, {name: model}
    if steps:
        epochs = max(own.epochs, math.ceil(steps / steps_of(rows, own)))
        longer = own.model_copy(update={"epochs": epochs})
        found[f"{name}, {steps} steps"] = model.model_copy(update={"training": longer})
    return found


def gaps(folder: Path, seeds: int) -> dict[str, float | None]:
    """Means over the seeds of GAP@20 on the fold and on the holdout; None without a holdout."""
    reports = [read_json(folder / f"seed{number}" / REPORT) for number in range(seeds)]
    keys = ("gap_fold", "gap_holdout")
    return {key: mean_of([report[key] for report in reports]) for key in keys}


def tables(found: dict[str, dict[int, dict]]) -> list[list[str]]:
    """GAP on fold 0 and on the holdout, and the curves through the GAPs of the fold."""
    sizes = sorted(next(iter(found.values())))
    titles = ["model", *(f"{size:,}" for size in sizes)]
    parts = []
    for title, key in ((f"fold {FOLD}", "gap_fold"), ("the holdout", "gap_holdout")):
        rows = [
            [name, *(format_cell(own[size][key], "{:.4f}") for size in sizes)]
            for name, own in found.items()
        ]
        parts.append([f"GAP@20 on {title} by the number of training videos", ""])
        parts[-1] += table(titles, rows)
    return [*parts, curve_table(found, sizes[-FITTED:])]


def curve_table(found: dict[str, dict[int, dict]], sizes: list[int]) -> list[str]:
    """The curves through these sizes, a row for each model."""
    titles = ["model", "a doubling"]
    titles += [f"{kind}, {n / 1e6:g} M" for kind in ("line", "power law") for n in MILLIONS]
    rows = []
    for name, own in found.items():
        rows.append([name, *curves(sizes, [own[size]["gap_fold"] for size in sizes])])
    title = f"Curves through {sizes[0]:,} to {sizes[-1]:,} videos"
    return [title, "", *table(titles, rows)]


def curves(sizes: list[int], values: list[float]) -> list[str]:
    """Gain of a doubling, then GAP at MILLIONS by a line in log2 N and by 1 - GAP = c N^-a."""
    x, wanted = np.log2(sizes), np.log2(MILLIONS)
    line = np.polyfit(x, values, 1)
    power = np.polyfit(x, np.log(1 - np.array(values)), 1)
    values = [*np.polyval(line, wanted), *(1 - np.exp(np.polyval(power, wanted)))]
    return [f"{line[0]:+.4f}", *(f"{value:.3f}" for value in values)]


if __name__ == "__main__":
    cli.run(main)
