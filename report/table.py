"""Prints the table that ends `make all`.

python -m report.table artifacts/small/summary.json
"""

from pathlib import Path

from yt8m.base import cli
from yt8m.base.files import read_json
from yt8m.base.tables import table, text_of

COLUMNS = {
    "system": ("system", "{}"),
    "level": ("level", "{}"),
    "gap_oof": ("out of fold", "{:.4f}"),
    "gap_single": ("holdout", "{:.4f}"),
    "gap_five": ("holdout, 5 averaged", "{:.4f}"),
    "megabytes": ("MB", "{:.1f}"),
    "seconds": ("seconds", "{:.0f}"),
}


def main(summary: Path) -> None:
    """Prints a summary as a Markdown table, so that it can be pasted as it is."""
    found = read_json(summary)
    cli.log(
        f"\n{found['run']}: GAP@20, {found['videos']:,} training videos, "
        f"{found['holdout_videos']:,} in the holdout, code {found['commits'] or 'unknown'}"
    )
    cli.log("\n".join(lines(found["systems"])))


def lines(systems: list[dict]) -> list[str]:
    """The table's lines; a figure that does not exist is a dash."""
    columns = COLUMNS.items()
    rows = [[text_of(system[key], form) for key, (_, form) in columns] for system in systems]
    return table([title for title, _ in COLUMNS.values()], rows)


if __name__ == "__main__":
    cli.run(main)
