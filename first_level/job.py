"""One model trained without one fold, which then predicts that fold."""

import time
from dataclasses import dataclass, replace
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
from yt8m.base.digests import digest_of
from yt8m.base.files import fingerprint, read_json, seal, working_in, write_json
from yt8m.base.paths import (
    CHECKPOINT,
    FIRST_LEVEL,
    MANIFEST,
    PREDICTIONS,
    REPORT,
    TRAINING,
    WEIGHTS,
)
from yt8m.base.receipts import commit
from yt8m.base.run_log import seconds_of
from yt8m.data.origins import (
    Origin,
    check_origin,
    digest_of_videos,
    hashes_of,
    origin_of,
    without,
)
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits, draw_share, seed_of
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
            origin = job.load(model)
            job.predict(model.to(device.pick()), origin)


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


def keep_trained(
    model,
    out: Path,
    made_from: str,
    history: list,
    started: float,
    origin: Origin | None = None,
    **more,
) -> None:
    """Writes training.json, then the weights; removes the checkpoint. started: this process."""
    seconds = seconds_of(history, time.monotonic() - started)
    write_json(out / TRAINING, seal(more | {"seconds": seconds, "epochs": history}))
    header = origin.header if origin else {}
    save_weights(model, out / WEIGHTS, {"source": made_from} | header)
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

    @property
    def made_by(self) -> str:
        """Whose artifacts these are, in any run."""
        return f"{FIRST_LEVEL}/{self.model_name}"

    def inputs(self) -> dict[str, str | None]:
        """Digests of what decides the weights."""
        return {"config": digest_of(self.config), "folds": self.splits.digest}

    def load(self, model: nn.Module) -> Origin:
        """Loads the weights of the job; returns what its predictions are made from.

        InputError when they learnt from other videos than those outside its fold. Weights of older
        code say only by their fingerprint what they were made from.
        """
        weights, learnt = self.out / WEIGHTS, without(self.fold, self.splits, self.store.ids)
        load_weights(model, weights)
        own = Origin(self.made_by, self.fold, learnt, self.inputs())
        if (found := origin_of(weights)) is not None:
            check_origin(found, weights, self.made_by, self.fold, learnt, sealed=False)
        return replace(own, inputs=own.inputs | {"weights": digest_of(weights)})

    def seed(self, use: str) -> int:
        """A seed that depends on the job, never on when or where it runs."""
        return seed_of(self.settings.training.seed, self.name, use)

    def train(self, model: nn.Module) -> None:
        """Trains and writes the weights."""
        started = time.monotonic()
        data, training = self.store, self.settings.training
        rows, check = self.splits.others(self.fold), self.splits.rows(self.fold)[:WATCHED]
        learnt = digest_of_videos(data.ids, rows)
        if training.needs_inner:
            inner = draw_share(self.splits.keys(data.ids)[rows], "inner split", training.inner)
            rows, check = rows[~inner], rows[inner]
        if self.settings.start is not None:
            judged = np.concatenate([self.splits.rows(self.fold), self.splits.holdout])
            start.check_unseen(self.settings, hashes_of(data.ids, judged), learnt, self.splits)
            start.begin(model, self.settings, data.dims, self.config)
        counts = data.labels.class_counts(data.dims.classes, rows)
        start_from_frequencies(model, counts, len(rows))
        source = source_of(data, model.level, self.settings.inputs, self.splits)
        targets = HardTargets(data.labels, data.dims.classes)
        files = teachers.files_of(self.settings, self.out)
        for path in files:
            made_by = f"{FIRST_LEVEL}/{path.parent.parent.name}"
            check_origin(origin_of(path), path, made_by, self.fold, learnt)
        teach = teachers.teaching(self.settings, data.dims, files)
        examples = Examples(source, rows, targets, check, teach)
        training = training.model_copy(update={"seed": self.seed("fit")})
        history = fit(model, examples, training, self.out, self.name, self.made_from)
        if device.rank() == 0:
            origin = Origin(self.made_by, self.fold, learnt, self.inputs())
            keep_trained(model, self.out, self.made_from, history, started, origin)

    def predict(self, model: nn.Module, origin: Origin) -> None:
        """Predicts the held-out fold and the holdout; writes the report and the predictions."""
        held_out, holdout = self.splits.rows(self.fold), self.splits.holdout
        rows = np.concatenate([held_out, holdout])
        found = replace(self.predict_rows(model, rows), origin=origin)
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
            where=f"[{self.name}]",
        )

    def _figures(self, found, rows: np.ndarray, part: slice) -> dict:
        """metrics.evaluate of a part of the predicted rows; None each when it has no labels."""
        labels = self.store.labels.take(rows[part], self.out)
        best = found.classes[part], found.logits[part]
        return metrics.evaluate(*best, labels, self.store.dims.classes)
