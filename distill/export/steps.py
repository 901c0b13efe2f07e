"""What each step from the trained network to the graph costs: GAP@20 on the holdout.

N videos, C classes.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from distill.export.batches import VideoBatch, of_store
from yt8m.data.store import Dims, Store
from yt8m.inputs.batch import batch_rows
from yt8m.training.bootstrap import paired_bootstrap
from yt8m.training.metrics import ranked_hits

MOST = 8192  # videos of the holdout that are judged, evenly spread
TOGETHER, SAMPLES = 512, 300  # videos of a batch; resamples of the bootstrap

Top = Callable[[VideoBatch], tuple[np.ndarray, np.ndarray]]  # classes and scores, (N, 20) each


class Steps:
    """Some videos of the holdout, and what each form of a student says of them."""

    def __init__(
        self, data: Store, holdout: np.ndarray, dims: Dims, groups: np.ndarray | None = None
    ):
        """holdout: store rows; groups: of all rows, if there are any."""
        count = min(MOST, len(holdout))
        self.rows = holdout[np.linspace(0, len(holdout) - 1, count).astype(np.int64)]
        self.data, self.dims = data, dims
        self.groups = None if groups is None else groups[self.rows]
        self.labels = data.labels.take(self.rows)
        self.hits: dict[str, tuple[np.ndarray, np.ndarray]] = {}
        self.megabytes: dict[str, float] = {}

    def judge(self, name: str, top: Top, megabytes: float) -> None:
        """Scores a form of the student. Does nothing without a holdout."""
        if not len(self.rows):
            return
        parts = [
            top(batch)
            for chunk in batch_rows(self.rows, TOGETHER)
            for batch in of_store(self.data, chunk, self.dims)
        ]
        classes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
        self.hits[name] = ranked_hits(classes, scores, self.labels)
        self.megabytes[name] = megabytes

    def lines(self) -> list[dict]:
        """Of each step: its name, MB, GAP@20, and the difference to the first with its 95 %
        interval (paired bootstrap over the videos, or their groups)."""
        counts, first = self.labels.counts(), next(iter(self.hits.values()), None)
        lines = []
        for name, hits in self.hits.items():
            found = paired_bootstrap(first, hits, counts, SAMPLES, 0, self.groups)
            line = {"step": name, "megabytes": round(self.megabytes[name], 2)}
            line |= {"gap20": found["second"], "difference": found["difference"]}
            lines.append(line | {"interval": found["interval"], "videos": len(self.rows)})
        return lines


def table_of(lines: list[dict]) -> str:
    """The steps as a table in Markdown, for the folder's README."""
    if not lines:
        return "No holdout was set aside, so nothing was measured."
    texts = ["| form | MB | GAP@20 | against the first (95 % interval) |", "|---|---|---|---|"]
    for line in lines:
        low, high = line["interval"]
        change = f"{line['difference']:+.4f} ({low:+.4f} to {high:+.4f})"
        texts.append(
            f"| {line['step']} | {line['megabytes']:,.1f} | {line['gap20']:.4f} | {change} |"
        )
    return "\n".join(texts)


def size_mb(path: Path) -> float:
    """MB (10^6 bytes) of a file."""
    return path.stat().st_size / 1e6
