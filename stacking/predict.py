"""Predictions of the stack for one fold and the holdout, by the booster that saw neither.

    python -m stacking.predict CONFIG.json ROWS MODEL.txt OUT --fold 3 --threads 1

OUT holds Predictions of the candidates: ids (N,), classes (N, M), logits (N, M) descending.
"""

import time
from pathlib import Path

from stacking.booster import predict_rows, read_booster_for
from stacking.config import Stacking
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, Rows
from yt8m.base import cli
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json
from yt8m.base.paths import ROWS_ABOUT


def main(
    config: Path, rows: Path, model: Path, out: Path, *, fold: int = 0, threads: int = 1
) -> None:
    """Predicts the rows of one fold, and its rows of the holdout, in chunks of videos."""
    started = time.monotonic()
    settings = read_snapshot(config, Stacking)
    parts = [(Rows.open(rows, FOLD_PREFIX), fold), (Rows.open(rows, HOLDOUT_PREFIX), 0)]
    booster = read_booster_for(model, read_json(rows / ROWS_ABOUT), rows)
    both = predict_rows(booster, parts, settings.chunk_videos, threads, out.parent)
    both.write(out)
    log(
        f"[stack fold{fold}] {len(both.ids):,} videos predicted in "
        f"{time.monotonic() - started:.1f} s, {cli.peak_memory_mb():,.0f} MB"
    )


if __name__ == "__main__":
    cli.run(main)
