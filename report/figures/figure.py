"""What the page shows of a figure: a drawing, and in words what it is and how to read it."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """drawing: SVG, or None when `source` says why there is none. reading: one line on how to read
    it; source: which videos it is from; legend: (class of svg.py, text) of its lines."""

    title: str
    drawing: Markup | None
    reading: str
    source: str
    legend: tuple[tuple[str, str], ...] = ()
    wide: bool = False


def absent(title: str, why: str) -> Figure:
    """A figure that this run cannot have."""
    return Figure(title, None, "", why)
