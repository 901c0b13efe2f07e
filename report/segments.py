"""Prints the table that ends `make segments`: what fine-tuning on segments gave.

    python -m report.segments artifacts/small/first_level/*/segments

MAP@K, mean over the folds' models. On the holdout's rated segments: of a parent's prediction of the
whole video, of the same parent on each segment, and after fine-tuning. On the fold that a model
never saw: after fine-tuning.
"""

from pathlib import Path

from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.tables import format_cell, mean_of, table

COLUMNS = {
    "map_parent_video": "video's score",
    "map_parent_windows": "parent",
    "map_fine_tuned": "fine-tuned",
    "map_fine_tuned_fold": "fine-tuned, out of fold",
}


def main(folders: list[Path]) -> None:
    """Prints a Markdown table with a row for each model: FOLDERS hold their folds."""
    rows, first = [], None
    for folder in folders:
        reports = [read_json(path) for path in sorted(folder.glob("fold*/report.json"))]
        if not reports:
            raise InputError(f"{folder}: no fold*/report.json; run `make segments`")
        first = first or reports[0]
        figures = [mean_of([report[key] for report in reports]) for key in COLUMNS]
        rows.append([folder.parent.name, *(format_cell(figure, "{:.4f}") for figure in figures)])
    cli.log(
        f"\nMAP@K of {first['holdout_ratings']:,} rated segments of the holdout, "
        f"{first['classes']:,} classes with one that was confirmed"
    )
    cli.log("\n".join(table(["model", *COLUMNS.values()], rows)))


if __name__ == "__main__":
    cli.run(main)
