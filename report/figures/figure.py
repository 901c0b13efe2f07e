"""A figure of the page: a drawing, and in words what it shows and how to read it."""

from dataclasses import dataclass

from markupsafe import Markup


@dataclass(frozen=True)
class Figure:
    """drawing: SVG, or None when `source` explains why; reading: one line on how to read it;
    source: its videos; legend: (class of svg.py, text) of its lines."""

    title: str
    drawing: Markup | None
    reading: str
    source: str
    legend: tuple[tuple[str, str], ...] = ()
    wide: bool = False


def absent(title: str, why: str) -> Figure:
    """A figure that this run cannot have."""
    return Figure(title, None, "", why)
