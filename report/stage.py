"""The tables that end a stage: its systems, their GAP@20, mAP, Hit@1 and PERR, MB and seconds.

    python -m report.stage first_level artifacts/small artifacts/small/first_level/table.txt

Stages: first_level (its models, means over the folds), stacking (the stack beside what it must
beat) and distill (its parts). A table for each group of videos that was predicted. Gathers what the
jobs reported; computes nothing anew.
"""

from pathlib import Path

from stacking.alarms import suspects_of, warnings_of
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, writing
from yt8m.base.paths import REPORT, Artifacts
from yt8m.base.tables import (
    FIGURES,
    MAP_COUNTS,
    figure_cells,
    figures_of,
    format_cell,
    mean_figures,
    table,
)


def main(stage: str, run: Path, out: Path) -> None:
    """Writes the tables of STAGE in the folder RUN as the text file OUT."""
    if stage not in TABLES:
        raise InputError(f"{stage}: has no table; stages: {', '.join(TABLES)}")
    lines = TABLES[stage](Artifacts.of_run(run))
    with writing(out) as temporary:
        temporary.write_text("\n".join(["", f"{run}, {stage}; {MAP_COUNTS}", *lines, ""]))


def first_level(files: Artifacts) -> list[str]:
    """A line for each model of the plan: mean figures of its folds, MB of one, seconds of all."""
    rows, every = {"out of fold": [], "holdout": []}, {}
    for name in files.models.read_text().split():
        folder = files.model(name)
        reports = [read_json(path) for path in sorted(folder.glob("fold*/report.json"))]
        if reports:
            cost = [reports[0]["megabytes"], sum(report["seconds"] for report in reports)]
            for videos, *keys in (
                ("out of fold", "out_of_fold", "gap_fold"),
                ("holdout", "holdout", "gap_holdout"),
            ):
                found = mean_figures([figures_of(report, *keys) for report in reports])
                rows[videos].append([name, reports[0]["level"], found, *cost])
            every[name] = reports
    return _tables(["model", "level"], COSTS, rows) + warnings_of(suspects_of(every))


def stacking(files: Artifacts) -> list[str]:
    """The stack, the weighted and the plain mean of the models, and the best of them."""
    report = read_json(files.stacking / REPORT)
    best = report["best_member"]
    systems = [
        ("mean of models", "all", report["mean"]),
        ("weighted mean", "all", report["weighted_mean"]),
        ("stack", "all", report["stack"]),
        ("best model", best, report["members"][best]),
    ]
    rows = {
        videos: [[name, of, figures_of(figures, *keys)] for name, of, figures in systems]
        for videos, *keys in (
            ("out of fold", "out_of_fold", "gap_oof"),
            ("holdout", "holdout_single", "gap_holdout_single"),
            ("holdout, 5 averaged", "holdout", "gap_holdout"),
        )
    }
    return _tables(["system", "of"], [], rows) + warnings_of(report.get("alarms", []))


def distill(files: Artifacts) -> list[str]:
    """The parts of the students."""
    rows = []
    for path in sorted(files.distill.rglob(REPORT)):
        report = read_json(path)
        name = " ".join(path.parent.relative_to(files.distill).parts)
        found = figures_of(report, "holdout", "gap_holdout")
        cost = (report.get(key) for key in ("megabytes", "seconds"))
        rows.append([name, report.get("training_videos"), found, *cost])
    return _tables(["part", "training videos"], COSTS, {"holdout": rows})


TABLES = {"first_level": first_level, "stacking": stacking, "distill": distill}
COSTS = ["MB", "seconds"]


def _tables(names: list[str], costs: list[str], groups: dict[str, list[list]]) -> list[str]:
    """Lines of text: for each group of videos a table of its rows, the best system last.

    A row: two words that name a system, its figures, its costs.
    """
    lines = []
    for videos, rows in groups.items():
        rows = sorted(rows, key=lambda row: row[2]["gap20"] or 0)
        cells = [
            [
                *(format_cell(word, "{}") for word in row[:2]),
                *figure_cells(row[2]),
                *map(format_cell, row[3:], ("{:.1f}", "{:.0f}")),
            ]
            for row in rows
        ]
        lines += ["", f"{videos}:", "", *table([*names, *FIGURES.values(), *costs], cells)]
    return lines


if __name__ == "__main__":
    cli.run(main)
