"""The six figures of an export on the holdout.

    python -m distill.score EXPORT STORE FOLDS.npz OUT.json

Scores what is handed over (float16 weights included), on the videos that no stage saw. All null
when the holdout is empty (HOLDOUT=0).
"""

from pathlib import Path

import numpy as np

from distill.exported import Exported
from yt8m import cli, metrics
from yt8m.cli import InputError, log
from yt8m.dataset import batch_rows
from yt8m.files import write_json
from yt8m.splits import Splits
from yt8m.store import Store


def main(export: Path, store: Path, folds: Path, out: Path, *, threads: int = 1) -> None:
    """Writes gap20, map, classes, hit1, hit5, perr and videos of EXPORT on the holdout to OUT."""
    exported, data = Exported(export, threads=threads), Store(store)
    if exported.manifest.classes != data.dims.classes:
        raise InputError(
            f"{export}: has {exported.manifest.classes} classes and {store} {data.dims.classes}; "
            "they are of different data sets"
        )
    rows = Splits.read(folds, data.ids).holdout
    figures = figures_of(exported, data, rows)
    write_json(out, figures)
    log(f"[score] {export} on {len(rows):,} videos of the holdout: " + _text(figures))


def figures_of(exported: Exported, data: Store, rows: np.ndarray) -> dict:
    """metrics.evaluate of the 20 best classes of store rows; None each without rows."""
    if not len(rows):
        names = ("gap20", "map", "classes", "hit1", "hit5", "perr", "videos")
        return dict.fromkeys(names)
    parts = [exported.top(*data.video(chunk)) for chunk in batch_rows(rows, 512)]
    classes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    return metrics.evaluate(classes, scores, data.labels.take(rows), data.dims.classes)


def _text(figures: dict) -> str:
    """On one line; a dash for a figure that could not be taken."""
    pairs = ((name, "-" if v is None else f"{v:.5g}") for name, v in figures.items())
    return ", ".join(f"{name} {value}" for name, value in pairs)


if __name__ == "__main__":
    cli.run(main)
