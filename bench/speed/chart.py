"""A line chart with logarithmic axes as SVG, which needs no plotting library to be read."""

import math
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 130, 20, 50
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e5ea2", "#d98e04", "#4d4d4d", "#00838f", "#ad1457")
Points = list[tuple[float, float]]


def lines_chart(lines: dict[str, Points], x_title: str, y_title: str) -> str:
    """lines: name -> (x, y) pairs, all above 0. Each is named at its last point."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    across = _axis(xs, LEFT, WIDTH - RIGHT)
    up = _axis(ys, HEIGHT - BOTTOM, TOP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for tick in _decades(xs):
        x = across(tick)
        parts.append(_line(x, TOP, x, HEIGHT - BOTTOM))
        parts.append(_text(x, HEIGHT - BOTTOM + 16, f"{tick:,.10g}", "middle"))
    for tick in _decades(ys):
        y = up(tick)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y))
        parts.append(_text(LEFT - 6, y + 4, f"{tick:,.10g}", "end"))
    labels = _apart([(up(points[-1][1]), name) for name, points in lines.items()])
    for number, (name, points) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        drawn = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(WIDTH - RIGHT + 6, labels[name] + 4, name, "start", colour))
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(_text(middle, HEIGHT - 12, x_title, "middle"))
    parts.append(_text(LEFT, TOP - 6, y_title, "start"))
    return "\n".join([*parts, "</svg>\n"])


def _axis(values: list[float], start: float, end: float):
    """A function from values to places, logarithmic, that spans whole decades."""
    decades = _decades(values)
    low, high = math.log10(decades[0]), math.log10(decades[-1])
    return lambda value: start + (math.log10(value) - low) / (high - low) * (end - start)


def _decades(values: list[float]) -> list[float]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [10.0**n for n in range(low, max(high, low + 1) + 1)]


def _apart(places: list[tuple[float, str]], least: float = 14) -> dict[str, float]:
    """Places of labels from the top, none closer than `least` to the one above."""
    found, last = {}, -math.inf
    for place, name in sorted(places):
        last = found[name] = max(place, last + least)
    return found


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#dddddd"/>'


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#333333") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"'
    return f"<text {place}>{escape(text)}</text>"
