"""The table that ends a stage: its systems, their GAP@20, MB and seconds.

    python -m report.stage first_level artifacts/small artifacts/small/first_level/table.txt

Stages: first_level (its models, means over the folds), stacking (the stack beside what it must
beat) and distill (its parts). Gathers what the jobs reported; computes nothing anew.
"""

from pathlib import Path

from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, writing
from yt8m.base.paths import REPORT, Artifacts
from yt8m.base.tables import format_cell, mean_of, table


def main(stage: str, run: Path, out: Path) -> None:
    """Writes the table of STAGE in the folder RUN as the text file OUT."""
    if stage not in TABLES:
        raise InputError(f"{stage}: has no table; stages: {', '.join(TABLES)}")
    lines = TABLES[stage](Artifacts.of_run(run))
    with writing(out) as temporary:
        temporary.write_text("\n".join(["", f"{run}, {stage}: GAP@20", *lines, ""]))


def first_level(files: Artifacts) -> list[str]:
    """A line for each model of the plan: mean GAP of its folds, MB of one, seconds of all."""
    rows = []
    for name in files.models.read_text().split():
        folder = files.model(name)
        reports = [read_json(path) for path in sorted(folder.glob("fold*/report.json"))]
        if reports:
            gaps = [mean_of([r[key] for r in reports]) for key in ("gap_fold", "gap_holdout")]
            cost = [reports[0]["megabytes"], sum(report["seconds"] for report in reports)]
            rows.append([name, reports[0]["level"], *gaps, *cost])
    return _table(["model", "level", "out of fold", "holdout", "MB", "seconds"], rows)


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
    keys = ("gap_oof", "gap_holdout_single", "gap_holdout")
    rows = [[name, of, *(figures[key] for key in keys)] for name, of, figures in systems]
    return _table(["system", "of", "out of fold", "holdout", "holdout, 5 averaged"], rows)


def distill(files: Artifacts) -> list[str]:
    """The parts of the students."""
    rows = []
    for path in sorted(files.distill.rglob(REPORT)):
        report = read_json(path)
        name = " ".join(path.parent.relative_to(files.distill).parts)
        figures = (report.get(key) for key in ("gap_holdout", "megabytes", "seconds"))
        rows.append([name, report.get("training_videos"), *figures])
    return _table(["part", "training videos", "holdout", "MB", "seconds"], rows)


TABLES = {"first_level": first_level, "stacking": stacking, "distill": distill}
FORMATS = {"MB": "{:.1f}", "seconds": "{:.0f}"}


def _table(titles: list[str], rows: list[list]) -> list[str]:
    """Lines of text: two columns that name a system, then figures; the best system last."""
    rows = sorted(rows, key=lambda row: row[2] or 0)
    forms = ["{}", "{}", *(FORMATS.get(title, "{:.4f}") for title in titles[2:])]
    return table(
        titles, [[format_cell(*pair) for pair in zip(row, forms, strict=True)] for row in rows]
    )


if __name__ == "__main__":
    cli.run(main)
