"""One job: trains one model without one fold, then predicts that fold and the holdout.

    python -m first_level.train CONFIG.json STORE FOLDS OUT --fold 3

writes OUT/weights.safetensors, OUT/report.json and, last, OUT/predictions.safetensors. Each is
complete or absent. A killed job resumes from its checkpoint; a job that has weights only predicts.
No epoch is chosen on a video that the model then predicts: the schedule is fixed, or early stopping
looks at an inner split of the training videos. Under torchrun the processes train one model
together (DistributedDataParallel); the first alone writes and predicts.
"""

from pathlib import Path

from first_level.job import train_fold
from yt8m.base import cli, processor


def main(
    config: Path, store: Path, folds: Path, out: Path, *, fold: int = 0, threads: int = 1
) -> None:
    """Trains the model of CONFIG without fold FOLD and predicts that fold and the holdout."""
    processor.set_threads(threads)
    train_fold(config, store, folds, out, fold)


if __name__ == "__main__":
    cli.run(main)
