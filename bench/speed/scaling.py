"""Time and memory of every stage as the number of videos grows.

    python -m bench.speed.scaling OUT [--sizes "10000 30000 100000"]

Generated video-level records (64 + 16 dimensions, 100 classes) through every stage with a fixed
small model, one process at a time and on one thread. OUT/scaling.json holds seconds and peak memory
of each stage and size. What is printed is the growth from the second-largest size to the largest.
OUT/scaling.svg is the picture. Finished sizes are kept, so larger ones can be added.
"""

import tempfile
from pathlib import Path

from bench.speed.chart import lines_chart
from bench.speed.stages import SIZES, growth, stages
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, working_in, write_json, writing


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
    lines = {n: [(size, runs[str(size)][n]["seconds"]) for size in sizes] for n in names}
    return lines_chart(lines, "videos", "CPU seconds")


if __name__ == "__main__":
    cli.run(main)
