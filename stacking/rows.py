"""Rows of one fold: features, classes and labels of its videos' candidates, and the holdout's.

    python -m stacking.rows CONFIG.json MODELS.txt RUN_FOLDER STORE FOLDS OUT --fold 3

All scores come from the first-level models trained without this fold. OUT is a folder of .npy:

    [holdout_]ids (N,), classes uint16 (N, M), labels uint8 (N, M), features float32 (N, M, F),
    label_features float32 (5, N, M, L): one variant for each learner; holdout_... (1, N, M, L)
    rows.json: names of models and columns, counts, recall of the candidates, seconds

N videos, M candidates, F columns without labels, L columns from labels (label_features.py).
"""

import time
from dataclasses import asdict
from pathlib import Path

from stacking.config import Stacking
from stacking.table import column_names, origin_of_models, read_models
from stacking.writer import RowWriter
from yt8m.base import cli
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import seal, working_in, write_json, writing
from yt8m.base.paths import PREDICTIONS, ROWS_ABOUT, Artifacts
from yt8m.base.receipts import commit
from yt8m.data.origins import MADE_FROM
from yt8m.data.splits import Splits
from yt8m.data.store import Store


def main(
    config: Path,
    models: Path,
    run: Path,
    store: Path,
    folds: Path,
    out: Path,
    *,
    fold: int = 0,
    frames: bool = True,
) -> None:
    """Writes the rows of one fold and of the holdout; every array in chunks of videos.

    --no-frames leaves out the number of frames, for learners that will not know it.
    """
    started = time.monotonic()
    settings = read_snapshot(config, Stacking)
    names = read_models(models)
    videos = Store(store)
    splits = Splits.read(folds, videos.ids)
    files = Artifacts(run, store)
    paths = [files.model_fold(name, fold) / PREDICTIONS for name in names]
    origin = origin_of_models(files, names, fold, videos, splits, PREDICTIONS)
    with working_in(out.parent), writing(out) as folder:
        folder.mkdir()
        about = RowWriter(videos, splits, settings, frames).write_fold(folder, fold, paths, names)
        about |= {MADE_FROM: asdict(origin)}
        about |= {"seconds": round(time.monotonic() - started, 2), "commit": commit()}
        write_json(folder / ROWS_ABOUT, seal(about))
    log(
        f"[stack fold{fold}] {about['videos']:,} videos and {about['holdout_videos']:,} of the "
        f"holdout, {about['candidates']} candidates (recall {about['recall'] or 0:.4f}), "
        f"{len(column_names(about))} columns, {about['seconds']} s, "
        f"{cli.peak_memory_mb():,.0f} MB"
    )


if __name__ == "__main__":
    cli.run(main)
