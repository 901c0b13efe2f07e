"""Measures options of the ResNetLike student on videos that choices may be made by.

    make stacking PLAN=small ARTIFACTS=tuning HOLDOUT=0.4 DATA=...
    python -m bench.students bench/student_options tuning/small OUT --quoted 0.1

Every TOML of a folder is a plan's distill TOML. Each trains its ResNetLike on the soft labels of a
run, in a process of its own on one thread. No fold may judge it (docs/distill.md, "The leak"), nor
may the holdout that figures are quoted of: so the run sets more aside than that, and the videos
that HOLDOUT=--quoted would set aside are left out. Finished ones in OUT are kept, so a killed call
goes on. The table is printed, and written as OUT/table.md.
"""

from functools import partial
from pathlib import Path

import numpy as np

from bench.jobs import together, verb
from distill.config import DistillConfig
from yt8m import cli
from yt8m.cli import InputError
from yt8m.config import read_toml, write_snapshot
from yt8m.files import fingerprint, read_json, write_json, writing
from yt8m.splits import HOLDOUT, UNUSED, Splits, uniform
from yt8m.store import MANIFEST, Store
from yt8m.tables import table

BASE = "base"  # the TOML that the others are compared with, if it is there


def main(
    configs: Path,
    run: Path,
    out: Path,
    *,
    quoted: float = 0.1,
    jobs: int = 2,
    unlabelled: Path | None = None,
) -> None:
    """Trains the ResNetLike of every TOML of the folder CONFIGS and prints the table.

    --unlabelled: soft labels of the videos of UNLABELLED, which then train all of them too.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: 1 or more is allowed")
    plans = {path.stem: read_toml(path, DistillConfig) for path in sorted(configs.glob("*.toml"))}
    if not plans:
        raise InputError(f"{configs}: no settings (*.toml) there")
    out.mkdir(parents=True, exist_ok=True)
    folds = out / "folds.npz"
    data = Store(run / "store")
    judged(Splits.read(run / "folds.npz", data.ids), data.ids, quoted).write(folds, data.ids)
    given = [run / "store", folds, run / "stacking" / "soft_labels.npz"]
    more = ["--unlabelled", unlabelled] if unlabelled else []
    together(
        [partial(trained, plan, out / name, given, more) for name, plan in plans.items()], jobs
    )
    lines = lines_of(out, list(plans))
    cli.log("\n".join(lines))
    with writing(out / "table.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def judged(splits: Splits, ids: np.ndarray, quoted: float) -> Splits:
    """The same without the videos that a holdout of the share `quoted` has. InputError when the
    run holds out no others."""
    fold = splits.fold.copy()
    fold[uniform(ids, "holdout") < quoted] = UNUSED
    if (fold >= 0).sum() < (splits.fold >= 0).sum() or not (fold == HOLDOUT).any():
        raise InputError(
            f"--quoted {quoted:g}: the run must hold out more than that; "
            f"run it with HOLDOUT={quoted + 0.15:g} and its own ARTIFACTS"
        )
    return Splits(fold)


def trained(plan: DistillConfig, folder: Path, given: list[Path], more: list) -> None:
    """One ResNetLike in a process of its own, unless it was trained from just these inputs."""
    config, job = folder / "config.json", folder / "resnet"
    write_snapshot(config, plan)
    made_from = fingerprint(config, given[0] / MANIFEST, *given[1:], *more[1:])
    if (folder / "done.json").is_file() and read_json(folder / "done.json") == made_from:
        return
    verb("distill.train", [config, *given, job, "--part", "resnet", *more], folder, folder.name)
    write_json(folder / "done.json", made_from)


def lines_of(out: Path, names: list[str]) -> list[str]:
    """A table, best first: GAP@20, how far from BASE, seconds."""
    reports = {name: read_json(out / name / "resnet" / "report.json") for name in names}
    gaps = {name: report["gap_holdout"] for name, report in reports.items()}
    rows = []
    for name in sorted(names, key=lambda name: -gaps[name]):
        apart = f"{gaps[name] - gaps[BASE]:+.4f}" if BASE in gaps else "-"
        rows.append([name, f"{gaps[name]:.4f}", apart, f"{reports[name]['seconds']:.0f}"])
    return table(["student", "GAP", "against base", "seconds"], rows)


if __name__ == "__main__":
    cli.run(main)
