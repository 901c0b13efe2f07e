"""How well an export says what its stack says: on training videos, the holdout and unlabelled ones.

    python -m bench.experiments.fidelity artifacts/best [--export FOLDER] [--videos 4000]

Overlap: the share of the stack's 20 best classes that are among the export's. Log-loss: of the
export's scores, with the stack's probabilities as targets, over the classes that either lists, per
video; and the stack's own entropy, below which no student gets. On training videos the stack's soft
labels are out of fold, and the export has learnt the labels themselves. Labels count nowhere.

N videos, K classes of a list.
"""

from pathlib import Path

import numpy as np

from distill.export.run import Exported, best_of
from yt8m.base import cli
from yt8m.base.paths import HOLDOUT_FOLDER, Artifacts
from yt8m.base.tables import publish, table
from yt8m.data.predictions import TOP_K, Predictions, sigmoid
from yt8m.data.splits import Splits
from yt8m.data.store import Store, Videos
from yt8m.data.unlabelled import open_both

UNLISTED = 1e-4  # the probability of a class that a list lacks


def main(run: Path, *, export: str = "", videos: int = 4000, threads: int = 1) -> None:
    """Prints the table, and writes it as RUN/fidelity.md."""
    files = Artifacts.of_run(run)
    data = Store(files.store)
    splits = Splits.read(files.folds, data.ids)
    exported = Exported(Path(export) if export else files.export, threads=threads)
    stack = files.stacking / HOLDOUT_FOLDER / "stack.safetensors"
    parts: dict[str, tuple[Videos, np.ndarray, Path]] = {
        "training": (data, splits.training, files.soft_labels),
        "holdout": (data, splits.holdout, stack),
    }
    if files.unlabelled_soft_labels.is_file():
        both, more = open_both(data, splits)
        parts["unlabelled"] = (both, more.unlabelled, files.unlabelled_soft_labels)
    lines = []
    for name, (source, rows, path) in parts.items():
        rows = rows[np.linspace(0, len(rows) - 1, min(videos, len(rows))).astype(np.int64)]
        teacher = Predictions.read(path).align(source.ids[rows])
        found = figures_of(teacher, *best_of(exported, source, rows))
        lines.append([name, f"{len(rows):,}", *(f"{value:.4f}" for value in found)])
    titles = ["videos", "number", "overlap of the top 20", "log-loss", "the stack's entropy"]
    publish(table(titles, lines), run / "fidelity.md")


def figures_of(teacher: Predictions, classes: np.ndarray, scores: np.ndarray) -> list[float]:
    """Overlap, log-loss and entropy; teacher: of the same videos."""
    known = teacher.classes[:, :TOP_K].astype(np.int64)
    wanted = sigmoid(teacher.logits[:, :TOP_K]).astype(np.float64)
    same = known[:, :, None] == classes[:, None, :]  # (N, K, 20)
    listed = same.any(2)
    stated = np.where(listed, (same * scores[:, None, :]).sum(2), UNLISTED)
    loss, entropy = cross_entropy(wanted, stated), cross_entropy(wanted, wanted)
    alone = ~same.any(1)  # the export's classes that the stack lacks
    extra = cross_entropy(np.full(scores.shape, UNLISTED), scores) * alone
    return [listed.mean(), loss.sum(1).mean() + extra.sum(1).mean(), entropy.sum(1).mean()]


def cross_entropy(targets: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of each pair: -t log s - (1 - t) log(1 - s)."""
    inside = np.clip(scores, 1e-7, 1 - 1e-7)
    return -targets * np.log(inside) - (1 - targets) * np.log1p(-inside)


if __name__ == "__main__":
    cli.run(main)
