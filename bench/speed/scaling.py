"""Time and memory of every stage as the number of videos grows.

    python -m bench.speed.scaling OUT [--sizes "10000 30000 100000"]

Generated video-level records (64 + 16 dimensions, 100 classes) through every stage with a fixed
small model, one process at a time and on one thread. OUT/scaling.json holds seconds and peak memory
of each stage and size. What is printed is the growth from the second-largest size to the largest.
OUT/scaling.svg is the picture. Finished sizes are kept, so larger ones can be added.
"""

import tempfile
from pathlib import Path

from bench.speed.stages import SIZES, growth, stages
from report.figures.svg import Plot, decades
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, working_in, write_json, writing

COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e5ea2", "#d98e04", "#4d4d4d", "#00838f", "#ad1457")
STYLE = (  # of the picture
    "svg{background:#fff} text{font:12px sans-serif;fill:#333} .axis,.grid{stroke:#ddd} "
    ".line{fill:none;stroke:currentColor;stroke-width:2} .end{fill:currentColor} "
    + " ".join(f".stage{number}{{color:{colour}}}" for number, colour in enumerate(COLOURS))
)


def main(out: Path, *, sizes: str = SIZES) -> None:
    """Measures --sizes (numbers of videos) and writes scaling.json and scaling.svg into OUT."""
    wanted = sorted({int(size) for size in sizes.split()})
    if not wanted or wanted[0] < 200:
        raise InputError(f"--sizes {sizes!r}: numbers of videos, 200 or more")
    with working_in(out):
        path = out / "scaling.json"
        runs = read_json(path) if path.is_file() else {}
        for size in wanted:
            with tempfile.TemporaryDirectory(prefix="scaling-", dir=out) as folder:
                runs[str(size)] = stages(size, Path(folder))
            write_json(path, runs)
        with writing(out / "scaling.svg") as temporary:
            temporary.write_text(picture(runs))
    for figure in growth(runs):
        log(f"{figure.name}: {figure.value:.3g} {figure.unit} ({figure.note})")


def picture(runs: dict) -> str:
    """Seconds of each stage over videos, both logarithmic, as SVG."""
    sizes = sorted(map(int, runs))
    names = [name for name in runs[str(sizes[0])] if name not in ("disk", "records")]
    seconds = [[runs[str(size)][name]["seconds"] for size in sizes] for name in names]
    styles = [f"stage{number % len(COLOURS)}" for number in range(len(names))]
    across, up = decades("videos", sizes), decades("CPU seconds", sum(seconds, []))
    plot = Plot(across, up, 720, 420, right=130)
    for line, style in zip(seconds, styles, strict=True):
        plot.line(sizes, line, style)
    plot.ends(sizes[-1], [line[-1] for line in seconds], names, styles)
    return plot.svg("CPU seconds of each stage over videos", STYLE) + "\n"


if __name__ == "__main__":
    cli.run(main)
