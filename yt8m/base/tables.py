"""Text tables in Markdown, aligned, so that they can be pasted as they are."""

from pathlib import Path

from yt8m.base.cli import log
from yt8m.base.files import writing


def table(titles: list[str], rows: list[list[str]]) -> list[str]:
    """The lines of a table; all cells of a column are as wide as its widest."""
    cells = [titles, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    cells.insert(1, ["-" * width for width in widths])
    padded = [[cell.ljust(n) for cell, n in zip(row, widths, strict=True)] for row in cells]
    return ["| " + " | ".join(row) + " |" for row in padded]


def format_cell(value, form: str) -> str:
    """A value in a format; a figure that does not exist is a dash."""
    return "-" if value is None else form.format(value)


def mean_of(values: list[float | None]) -> float | None:
    """The mean of a figure that all have, such as GAP on a holdout; None if one lacks it."""
    return None if None in values else sum(values) / len(values)


def publish(lines: list[str], path: Path) -> None:
    """Prints lines and writes them to a file."""
    text = "\n".join(lines)
    log(text)
    with writing(path) as temporary:
        temporary.write_text(text + "\n")
