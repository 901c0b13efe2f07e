"""Text tables in Markdown, aligned, so that they can be pasted as they are; figures in them."""

from pathlib import Path

from yt8m.base.cli import log
from yt8m.base.files import writing

# The figures of `metrics.evaluate` that tables show of a system.
FIGURES = {"gap20": "GAP@20", "map": "mAP", "hit1": "Hit@1", "perr": "PERR"}
MAP_COUNTS = "mAP counts only classes that have a positive"


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


def figures_of(report: dict, videos: str, gap: str) -> dict[str, float | None]:
    """FIGURES of a report on some videos, such as "holdout"; None where there is none.

    gap: the key of GAP, which is all that reports of older runs have.
    """
    figures = {"gap20": report.get(gap)} | (report.get(videos) or {})
    return {name: figures.get(name) for name in FIGURES}


def mean_figures(systems: list[dict]) -> dict[str, float | None]:
    """The mean of each figure over systems that were scored alike."""
    return {name: mean_of([figures[name] for figures in systems]) for name in systems[0]}


def figure_cells(figures: dict) -> list[str]:
    """The cells of FIGURES, in this order."""
    return [format_cell(figures[name], "{:.4f}") for name in FIGURES]


def publish(lines: list[str], path: Path) -> None:
    """Prints lines and writes them to a file."""
    text = "\n".join(lines)
    log(text)
    with writing(path) as temporary:
        temporary.write_text(text + "\n")
