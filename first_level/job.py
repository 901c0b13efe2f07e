"""One model trained without one fold, which then predicts that fold."""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from first_level import start, teachers
from first_level.config import ModelConfig, build
from yt8m.base import cli, device
from yt8m.base.arrays import open_arrays, read_metadata
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, read_json, seal, working_in, write_json
from yt8m.base.paths import CHECKPOINT, MANIFEST, PREDICTIONS, REPORT, TRAINING, WEIGHTS
from yt8m.base.receipts import commit
from yt8m.base.run_log import seconds_of
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits, seed_of, uniform
from yt8m.data.store import Store
from yt8m.inputs.batch import HardTargets
from yt8m.inputs.derived import source_of
from yt8m.training import metrics
from yt8m.training.loop import Examples, fit, predict
from yt8m.training.weights import load_weights, save_weights, size_of, start_from_frequencies

WATCHED = 1000  # videos whose GAP is logged each epoch


def train_fold(config: Path, store: Path, folds: Path, out: Path, fold: int) -> None:
    """Trains the model of CONFIG without a fold, unless it is trained, and predicts that fold."""
    device.pick()
    job = open_job(config, store, folds, out, fold)
    torch.manual_seed(job.seed("start"))
    model = build(job.settings, job.store.dims, config)
    with device.first_only(working_in(out)):
        done = has_weights(out, job.made_from)
        device.wait_for_all()  # all look before the first one writes
        if not done:
            job.train(model)
        if device.rank() == 0:
            load_weights(model, out / WEIGHTS)
            job.predict(model.to(device.pick()))


def open_job(config: Path, store: Path, folds: Path, out: Path, fold: int) -> "FoldJob":
    """The job whose folder is `out`."""
    settings, data = read_snapshot(config, ModelConfig), Store(store)
    more = [*start.files_of(settings, config), *teachers.files_of(settings, out)]
    made_from = fingerprint(config, store / MANIFEST, folds, fold, *more)
    return FoldJob(config, settings, data, Splits.read(folds, data.ids), out, fold, made_from)


def has_weights(out: Path, made_from: str) -> bool:
    """Whether a job's folder has weights made from just these inputs (a fingerprint). Damaged ones
    are none."""
    weights = out / WEIGHTS
    if not weights.is_file() or not (out / TRAINING).is_file():
        return False
    try:
        open_arrays(weights)
        return read_metadata(weights).get("source") == made_from
    except InputError as error:
        cli.log(f"warning: {error}; training again")
        return False


def keep_trained(model, out: Path, made_from: str, history: list, started: float, **more) -> None:
    """Writes training.json, then the weights; removes the checkpoint. started: this process."""
    seconds = seconds_of(history, time.monotonic() - started)
    write_json(out / TRAINING, seal(more | {"seconds": seconds, "epochs": history}))
    save_weights(model, out / WEIGHTS, {"source": made_from})
    (out / CHECKPOINT).unlink(missing_ok=True)


@dataclass(frozen=True)
class FoldJob:
    """One model and the fold that it never sees."""

    config: Path
    settings: ModelConfig
    store: Store
    splits: Splits
    out: Path
    fold: int
    made_from: str  # fingerprint of the configuration, the store, the folds and further files

    @property
    def model_name(self) -> str:
        return self.config.parent.name

    @property
    def name(self) -> str:
        return f"{self.model_name} fold{self.fold}"

    def seed(self, use: str) -> int:
        """A seed that depends on the job, never on when or where it runs."""
        return seed_of(self.settings.training.seed, self.name, use)

    def train(self, model: nn.Module) -> None:
        """Trains and writes the weights."""
        started = time.monotonic()
        data, training = self.store, self.settings.training
        rows, check = self.splits.others(self.fold), self.splits.rows(self.fold)[:WATCHED]
        if training.needs_inner:
            inner = uniform(data.ids[rows], "inner split") < training.inner
            rows, check = rows[~inner], rows[inner]
        if self.settings.start is not None:
            start.begin(model, self.settings, data.dims, self.config)
        counts = data.labels.class_counts(data.dims.classes, rows)
        start_from_frequencies(model, counts, len(rows))
        source = source_of(data, model.level, self.settings.inputs, self.splits)
        targets = HardTargets(data.labels, data.dims.classes)
        teach = teachers.teaching(
            self.settings, data.dims, teachers.files_of(self.settings, self.out)
        )
        examples = Examples(source, rows, targets, check, teach)
        training = training.model_copy(update={"seed": self.seed("fit")})
        history = fit(model, examples, training, self.out, self.name, self.made_from)
        if device.rank() == 0:
            keep_trained(model, self.out, self.made_from, history, started)

    def predict(self, model: nn.Module) -> None:
        """Predicts the held-out fold and the holdout; writes the report and the predictions."""
        held_out, holdout = self.splits.rows(self.fold), self.splits.holdout
        rows = np.concatenate([held_out, holdout])
        found = self.predict_rows(model, rows)
        own, rest = (
            self._figures(found, rows, part)
            for part in (slice(len(held_out)), slice(len(held_out), None))
        )
        parameters, megabytes = size_of(model)
        report = {
            "model": self.model_name,
            "arch": self.settings.arch,
            "level": model.level,
            "fold": self.fold,
            "gap_fold": own["gap20"],
            "gap_holdout": rest["gap20"],
            "out_of_fold": own,
            "holdout": rest,
            "parameters": parameters,
            "megabytes": megabytes,
            "peak_memory_mb": cli.peak_memory_mb(),
            "commit": commit(),
            **read_json(self.out / TRAINING),
        }
        write_json(self.out / REPORT, report)
        found.write(self.out / PREDICTIONS)
        figures = {"fold": own["gap20"], "holdout": rest["gap20"]}
        text = ", ".join(f"{name} {gap:.4f}" for name, gap in figures.items() if gap is not None)
        cli.log(f"[{self.name}] done in {report['seconds']:.0f} s: GAP@20 {text}")

    def predict_rows(self, model: nn.Module, rows: np.ndarray) -> Predictions:
        """The best classes of store rows, a batch of videos in memory at a time."""
        training = self.settings.training
        return predict(
            model,
            source_of(self.store, model.level, self.settings.inputs, self.splits),
            rows,
            self.settings.keep,
            passes=training.noise.test_passes,
            seed=self.seed("passes"),
            precision=training.precision,
            folder=self.out,
        )

    def _figures(self, found, rows: np.ndarray, part: slice) -> dict:
        """metrics.evaluate of a part of the predicted rows; None each when it has no labels."""
        labels = self.store.labels.take(rows[part], self.out)
        best = found.classes[part], found.logits[part]
        return metrics.evaluate(*best, labels, self.store.dims.classes)
