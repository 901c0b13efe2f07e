"""Predictions of the stack for one fold and the holdout, by the learner that saw neither.

    python -m stacking.predict CONFIG.json ROWS LEARNED OUT --fold 3 --threads 1

LEARNED: the folder of the fold's booster and network, of which CONFIG's `learner` says what counts.
OUT holds Predictions of the candidates: ids (N,), classes (N, M), logits (N, M) descending.
"""

import time
from dataclasses import replace
from pathlib import Path

from stacking.config import Stacking
from stacking.learners.learned import Learned
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, Rows, origin_of_rows
from yt8m.base import cli
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json
from yt8m.base.paths import ROWS_ABOUT


def main(
    config: Path, rows: Path, learned: Path, out: Path, *, fold: int = 0, threads: int = 1
) -> None:
    """Predicts the rows of one fold, and its rows of the holdout, in chunks of videos."""
    started = time.monotonic()
    settings = read_snapshot(config, Stacking)
    parts = [(Rows.open(rows, FOLD_PREFIX), fold), (Rows.open(rows, HOLDOUT_PREFIX), 0)]
    learners = Learned.read(learned, settings, read_json(rows / ROWS_ABOUT), threads)
    origin = Learned.origin(learned, settings, origin_of_rows(rows, fold))
    both = learners.predict(parts, settings.chunk_videos, out.parent)
    replace(both, origin=origin).write(out)
    log(
        f"[stack fold{fold}] {len(both.ids):,} videos predicted in "
        f"{time.monotonic() - started:.1f} s, {cli.peak_memory_mb():,.0f} MB"
    )


if __name__ == "__main__":
    cli.run(main)
