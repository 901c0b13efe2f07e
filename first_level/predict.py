"""The videos of UNLABELLED as one model without one fold predicts them, for soft labels of them.

    python -m first_level.predict CONFIG.json STORE FOLDS OUT --fold 3

OUT: a job's folder, with its weights; OUT/unlabelled.safetensors is written.
"""

from dataclasses import replace
from pathlib import Path

from first_level.config import build
from first_level.job import has_weights, open_job
from yt8m.base import cli, device, processor
from yt8m.base.cli import InputError, log
from yt8m.base.paths import UNLABELLED_PREDICTIONS
from yt8m.data.unlabelled import open_both


def main(
    config: Path, store: Path, folds: Path, out: Path, *, fold: int = 0, threads: int = 1
) -> None:
    """Predicts the unlabelled videos by the model of CONFIG that never saw fold FOLD."""
    processor.set_threads(threads)
    job = open_job(config, store, folds, out, fold)
    if not has_weights(out, job.made_from):
        raise InputError(f"{out}: has no weights of these settings and folds; run `make`")
    model = build(job.settings, job.store.dims, config)
    origin = job.load(model)
    both, splits = open_both(job.store, job.splits)
    job = replace(job, store=both, splits=splits)
    found = replace(job.predict_rows(model.to(device.pick()), splits.unlabelled), origin=origin)
    found.write(out / UNLABELLED_PREDICTIONS)
    log(f"[{job.name}] {len(found.ids):,} unlabelled videos predicted")


if __name__ == "__main__":
    cli.run(main)
