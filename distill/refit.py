"""Trains a first-level model again, on the videos of all folds and their soft labels.

    python -m distill.refit CONFIG.json MODEL_CONFIG.json STORE FOLDS SOFT_LABELS OUT \
        --copy 0 --threads 1 [--unlabelled SOFT_LABELS]

Such models are the extractors of a re-ranked student. Its last layer is a network over
their predictions (export/reranking.py); it learnt from the fold models' out-of-fold predictions.
Copies of a model differ by their seed; their logits are averaged. OUT gets report.json, then
weights.safetensors. The holdout is scored, and decides nothing.
"""

import time
from pathlib import Path

import torch

from distill.config import DistillConfig, check_refittable
from distill.job import Lessons, StudentJob
from distill.refittable import check_graph
from first_level.config import ModelConfig, build
from yt8m.base import cli, processor
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, working_in
from yt8m.data.splits import seed_of


def main(
    config: Path,
    model_config: Path,
    store: Path,
    folds: Path,
    soft_labels: Path,
    out: Path,
    *,
    copy: int = 0,
    threads: int = 1,
    unlabelled: Path | None = None,
) -> None:
    """Trains copy --copy of MODEL_CONFIG's model on all training videos into the folder OUT."""
    processor.set_threads(threads)
    started = time.monotonic()
    settings, model = read_snapshot(config, DistillConfig), read_snapshot(model_config, ModelConfig)
    name = model_config.parent.name
    check_refittable(model, model_config)
    with working_in(out):
        files = store, folds, soft_labels
        lessons = Lessons.open("refit", settings, settings.refit_targets(), files, unlabelled)
        decisive = settings.deciding("refit")
        source = fingerprint(decisive, model_config, *lessons.files, name, copy)
        title = f"refit {name}" + (f" copy{copy}" if copy else "")
        dims = lessons.store.dims
        check_graph(model, dims, model_config)
        job = StudentJob(settings, lessons, out, title, source, model.inputs)
        torch.manual_seed(seed_of(settings.seed, "refit", name, copy))
        network = job.start(build(model, dims, model_config))
        job.finish(network, job.fit(network, model.training, out), started)


if __name__ == "__main__":
    cli.run(main)
