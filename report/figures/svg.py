"""The page's figures: inline SVG that follows its theme, shapes with classes but no colours.

A `Plot` maps data to a drawing of WIDTH x HEIGHT units (its text is legible when a phone shows it
300 pixels wide) and collects shapes. Classes that templates/style.css knows: `accent` (the one
colour), `ink`, `soft` (grey), `dash`. Shades are opacities, so that they fit light and dark.
"""

import math
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

WIDTH, HEIGHT = 440, 290
MANY = 600  # dots: beyond, they are one path without a text for each
LEVELS = 12  # shades of a heat map


@dataclass(frozen=True)
class Axis:
    """One axis. log: powers of ten; ticks: None = round numbers."""

    label: str
    low: float
    high: float
    log: bool = False
    ticks: tuple[float, ...] | None = None

    def place(self, value):
        """0 at `low`, 1 at `high`; clipped, so that nothing is drawn outside."""
        value = np.asarray(value, np.float64)
        low, high = self.low, self.high
        if self.log:
            value, low, high = np.log10(np.maximum(value, self.low)), np.log10(low), np.log10(high)
        return np.clip((value - low) / ((high - low) or 1), 0, 1)

    def marks(self) -> list[float]:
        """Where ticks are."""
        if self.ticks is not None:
            return list(self.ticks)
        return powers(self.low, self.high) if self.log else round_numbers(self.low, self.high)

    def name(self, mark: float) -> str:
        """What stands at a tick."""
        return short(mark) if self.log else f"{mark:g}"


def round_numbers(low: float, high: float, most: int = 6) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten between low and high."""
    span = (high - low) or 1
    power = 10 ** math.floor(math.log10(span / most))
    step = next(power * m for m in (1, 2, 5, 10, 20) if span / (power * m) <= most)
    first = math.ceil(low / step - 1e-9)
    count = int(math.floor(high / step + 1e-9)) - first + 1
    return [round((first + i) * step, 12) for i in range(count)]


def powers(low: float, high: float, most: int = 6) -> list[float]:
    """Powers of ten between low and high; with 2 and 5 times them when they are few."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1, 3), (1,)):
        marks = [f * 10.0**e for e in exponents for f in factors]
        marks = [mark for mark in marks if low * 0.999 <= mark <= high * 1.001]
        if len(marks) <= most:
            return marks
    return marks[:: math.ceil(len(marks) / most)]


def decades(label: str, values) -> Axis:
    """A logarithmic axis of whole powers of ten around values, all above 0."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return Axis(label, 10.0**low, 10.0 ** max(high, low + 1), log=True)


def short(value: float) -> str:
    """1200 -> 1.2k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


@dataclass(frozen=True)
class Figure:
    """drawing: SVG, or None when `source` explains why; reading: one line on how to read it;
    source: its videos; legend: (class, text) of its lines."""

    title: str
    drawing: Markup | None
    reading: str
    source: str
    legend: tuple[tuple[str, str], ...] = ()
    wide: bool = False


def absent(title: str, why: str) -> Figure:
    """A figure that this run cannot have."""
    return Figure(title, None, "", why)


class Plot:
    """Axes with shapes between them. All values are in the axes' units."""

    def __init__(self, x: Axis, y: Axis, width: int = WIDTH, height: int = HEIGHT, right: int = 12):
        self.x, self.y, self.width, self.height = x, y, width, height
        self.left, self.right, self.top, self.bottom = 56, right, 10, 42
        self.shapes: list[str] = []

    def at(self, xs, ys) -> tuple[np.ndarray, np.ndarray]:
        """Drawing units of data."""
        across = self.left + self.x.place(xs) * (self.width - self.left - self.right)
        floor = self.height - self.bottom
        return across, floor - self.y.place(ys) * (floor - self.top)

    def line(self, xs, ys, style: str) -> None:
        """A polyline; points that are not finite are left out."""
        xs, ys = np.asarray(xs, np.float64), np.asarray(ys, np.float64)
        kept = np.isfinite(xs) & np.isfinite(ys)
        if kept.any():
            pairs = zip(*self.at(xs[kept], ys[kept]), strict=True)
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in pairs)
            self.shapes.append(f'<polyline class="line {style}" points="{points}"/>')

    def dots(self, xs, ys, style: str, titles=None, radius: float = 3.2) -> None:
        """A dot for each point; with a text that shows on hovering when they are few."""
        xs, ys = self.at(xs, ys)
        if titles is None or len(xs) > MANY:
            path = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in zip(xs, ys, strict=True))
            width = 2 * radius if len(xs) <= MANY else max(2.0, 2 * radius - 3)
            shape = f'<path class="many {style}" stroke-width="{width:g}" d="{path}"/>'
            self.shapes.append(shape if len(xs) else "")
            return
        for x, y, title in zip(xs, ys, titles, strict=True):
            self.shapes.append(
                f'<circle class="dot {style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}">'
                f"<title>{escape(title)}</title></circle>"
            )

    def columns(self, edges, heights, style: str, titles=None) -> None:
        """Bars from 0 up, between neighbouring edges (n + 1,)."""
        for i, height in enumerate(heights):
            (x0, x1), (y0, y1) = self.at(edges[i : i + 2], (self.y.low, height))
            title = f"<title>{escape(titles[i])}</title>" if titles else ""
            self.shapes.append(
                f'<rect class="bar {style}" x="{x0 + 0.75:.1f}" y="{y1:.1f}" '
                f'width="{max(x1 - x0 - 1.5, 0.5):.1f}" height="{y0 - y1:.1f}">{title}</rect>'
            )

    def cells(self, across, up, values, titles=None) -> None:
        """A heat map: across (n + 1,) and up (m + 1,) edges, values (m, n) in [0, 1]."""
        xs, _ = self.at(across, np.full(len(across), self.y.low))
        _, ys = self.at(np.full(len(up), self.x.low), up)
        self.shapes.append(shades(xs, ys, values))
        for (row, column), text in (titles or {}).items():
            self.shapes.append(
                f'<rect class="touch" x="{xs[column]:.1f}" y="{ys[row + 1]:.1f}" '
                f'width="{xs[column + 1] - xs[column]:.1f}" height="{ys[row] - ys[row + 1]:.1f}">'
                f"<title>{escape(text)}</title></rect>"
            )

    def vertical(self, x: float, style: str) -> None:
        """A line from floor to ceiling."""
        self.line([x, x], [self.y.low, self.y.high], style)

    def text(self, x: float, y: float, text: str, anchor: str = "start", shift: float = 6) -> None:
        """Words beside a point."""
        (x,), (y,) = self.at([x], [y])
        self.shapes.append(
            f'<text class="note" x="{x + shift:.1f}" y="{y - 5:.1f}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def names(self, xs, ys, names: list[str]) -> None:
        """Words beside points, right or left of them, as far as they cover nothing."""
        across, up = self.at(xs, ys)
        taken: list[tuple[float, float, float]] = []  # left, right, baseline
        for x, y, px, py, name in zip(xs, ys, across, up, names, strict=True):
            length = 6.4 * len(name) + 4  # about, at this size
            for anchor, shift in (("start", 6), ("end", -6)):
                left = px + shift - (length if anchor == "end" else 0)
                free = all(left > b or left + length < a or abs(py - c) > 13 for a, b, c in taken)
                inside = (across > left - 4) & (across < left + length + 4)
                free &= not (inside & (np.abs(up - py + 9) < 11) & (across != px)).any()
                if free and left >= self.left - 10 and left + length <= self.width + 10:
                    taken.append((left, left + length, py))
                    self.text(x, y, name, anchor, shift)
                    break

    def ends(self, x: float, ys, names: list[str], styles: list[str], least: float = 14) -> None:
        """Names of lines, right of where they end at `x`; neighbours are `least` apart."""
        (across,), last = self.at([x], [self.y.low])[0], -math.inf
        _, up = self.at(np.full(len(ys), x), ys)
        for y, name, style in sorted(zip(up, names, styles, strict=True)):
            last = max(y, last + least)
            place = f'x="{across + 6:.1f}" y="{last + 4:.1f}"'
            self.shapes.append(f'<text class="end {style}" {place}>{escape(name)}</text>')

    def svg(self, title: str, style: str = "") -> Markup:
        """The drawing; `title` is what a screen reader says. style: CSS, for a file of its own."""
        namespace = 'xmlns="http://www.w3.org/2000/svg" ' if style else ""
        style = f"<style>{style}</style>" if style else ""
        return Markup(
            f'<svg {namespace}viewBox="0 0 {self.width} {self.height}" role="img" '
            f'aria-label="{escape(title)}">{style}{self._frame()}{"".join(self.shapes)}</svg>'
        )

    def _frame(self) -> str:
        """Grid lines, tick labels, axis labels."""
        floor, end = self.height - self.bottom, self.width - self.right
        parts = []
        for mark in self.x.marks():
            (x,), _ = self.at([mark], [self.y.low])
            parts.append(f'<text class="tick" x="{x:.1f}" y="{floor + 16}" text-anchor="middle">')
            parts.append(f"{self.x.name(mark)}</text>")
        for mark in self.y.marks():
            _, (y,) = self.at([self.x.low], [mark])
            parts.append(f'<path class="grid" d="M{self.left} {y:.1f}H{end}"/>')
            parts.append(f'<text class="tick" x="{self.left - 7}" y="{y + 4:.1f}" ')
            parts.append(f'text-anchor="end">{self.y.name(mark)}</text>')
        parts.append(f'<path class="axis" d="M{self.left} {floor}H{end}"/>')
        middle = (self.left + end) / 2
        parts.append(f'<text class="label" x="{middle}" y="{self.height - 7}" ')
        parts.append(f'text-anchor="middle">{escape(self.x.label)}</text>')
        height = (self.top + floor) / 2
        parts.append(f'<text class="label" transform="translate(12 {height}) rotate(-90)" ')
        parts.append(f'text-anchor="middle">{escape(self.y.label)}</text>')
        return "".join(parts)


def shades(xs, ys, values) -> str:
    """Rectangles of a grid, one path for each of LEVELS opacities; 0 is left empty.

    xs: (n + 1,), ys: (m + 1,) drawing units, values (m, n) in [0, 1].
    """
    levels = np.ceil(np.clip(np.nan_to_num(values), 0, 1) * LEVELS).astype(int)
    paths = []
    for level in range(1, LEVELS + 1):
        pieces = [
            f"M{xs[j]:.1f} {ys[i]:.1f}H{xs[j + 1]:.1f}V{ys[i + 1]:.1f}H{xs[j]:.1f}Z"
            for i, j in zip(*np.nonzero(levels == level), strict=True)
        ]
        if pieces:
            opacity = level / LEVELS
            paths.append(
                f'<path class="shade" fill-opacity="{opacity:.2f}" d="{"".join(pieces)}"/>'
            )
    return "".join(paths)
