"""Prints the tables that end `make all`: one for each group of videos that was predicted.

python -m report.table artifacts/small/summary.json
"""

from pathlib import Path

from stacking.alarms import warnings_of
from yt8m.base import cli
from yt8m.base.files import read_json
from yt8m.base.tables import FIGURES, MAP_COUNTS, figure_cells, figures_of, format_cell, table

PLACES = {"oof": "out of fold", "single": "holdout", "five": "holdout, 5 averaged"}


def main(summary: Path) -> None:
    """Prints a summary as Markdown tables, so that they can be pasted as they are."""
    found = read_json(summary)
    cli.log(
        f"\n{found['run']}: {found['videos']:,} training videos, {found['holdout_videos']:,} in "
        f"the holdout, code {found['commits'] or 'unknown'}; {MAP_COUNTS}"
    )
    cli.log("\n".join([*lines(found["systems"]), *warnings_of(found.get("alarms", []))]))


def lines(systems: list[dict]) -> list[str]:
    """The tables' lines. A system that was judged is only in the tables of those videos; one that
    was not is in that of the holdout. A figure that does not exist is a dash."""
    titles, found = ["system", "level", *FIGURES.values(), "MB", "seconds"], []
    for place, text in PLACES.items():
        rows = [_row(system, place) for system in systems if place in _places(system)]
        if rows:
            found += ["", f"{text}:", "", *table(titles, rows)]
    return found


def _places(system: dict) -> list[str]:
    return [place for place in PLACES if system[f"gap_{place}"] is not None] or ["single"]


def _row(system: dict, place: str) -> list[str]:
    figures = figure_cells(figures_of(system, place, f"gap_{place}"))
    cost = map(format_cell, (system["megabytes"], system["seconds"]), ("{:.1f}", "{:.0f}"))
    return [system["system"], system["level"], *figures, *cost]


if __name__ == "__main__":
    cli.run(main)
