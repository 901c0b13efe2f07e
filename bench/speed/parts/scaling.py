"""Growth of time and memory with the number of videos; see bench.speed.scaling for larger ones."""

from pathlib import Path

from bench.speed import stages
from bench.speed.measure import Result


def figures(toy: bool, folder: Path) -> list[Result]:
    """Every stage at three sizes, or two tiny ones."""
    runs = {}
    for size in (300, 400) if toy else map(int, stages.SIZES.split()):
        (folder / str(size)).mkdir()
        runs[str(size)] = stages.stages(size, folder / str(size))
    return stages.growth(runs)
