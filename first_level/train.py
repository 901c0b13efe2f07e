"""One job: trains one model without one fold, then predicts that fold and the holdout.

    python -m first_level.train CONFIG.json STORE FOLDS OUT --fold 3

writes OUT/weights.safetensors, OUT/report.json and, last, OUT/predictions.safetensors. Each is
complete or absent. A killed job resumes from its checkpoint; a job that has weights only predicts.
No epoch is chosen on a video that the model then predicts: the schedule is fixed, or early stopping
looks at an inner split of the training videos. Under torchrun the processes train one model
together (DistributedDataParallel); the first alone writes and predicts.
"""

from pathlib import Path

import torch

from first_level.config import ModelConfig, build
from first_level.job import FoldJob, fingerprint_of, has_weights
from yt8m.base import cli, device, processor
from yt8m.base.config import read_snapshot
from yt8m.base.files import working_in
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.training.loop import load_weights


def main(
    config: Path, store: Path, folds: Path, out: Path, *, fold: int = 0, threads: int = 1
) -> None:
    """Trains the model of CONFIG without fold FOLD and predicts that fold and the holdout."""
    processor.set_threads(threads)
    device.pick()
    settings, data = read_snapshot(config, ModelConfig), Store(store)
    made_from = fingerprint_of(settings, config, store, folds, out, fold)
    job = FoldJob(config, settings, data, Splits.read(folds, data.ids), out, fold, made_from)
    torch.manual_seed(job.seed("start"))
    model = build(settings, data.dims, config)
    with device.first_only(working_in(out)):
        done = has_weights(out, made_from)
        device.wait_for_all()  # all look before the first one writes
        if not done:
            job.train(model)
        if device.rank() == 0:
            load_weights(model, out / "weights.safetensors")
            job.predict(model.to(device.pick()))


if __name__ == "__main__":
    cli.run(main)
