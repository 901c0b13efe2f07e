"""The segment task: a model trained on videos learns which 5 seconds show a class.

    python -m first_level.segments.train CONFIG.json STORE FOLDS PARENT OUT --fold 3

PARENT: the folder of first_level.train for the same model and fold. Its weights are fine-tuned on
the rated segments of the training videos; then every window of the fold's and the holdout's videos
is predicted. OUT gets weights.safetensors, training.json, report.json (MAP@K on the holdout's rated
segments) and, last, predictions.safetensors: ids "video:start", the best of the classes that are
ever rated. Each is complete or absent; a killed job goes on from its checkpoint.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from first_level.config import PlannedModel, build
from first_level.job import has_weights, keep_trained
from first_level.segments.ratings import Ratings, SegmentTraining, Taught, latest, rating_of
from first_level.segments.windows import Windows, check_segments, every_window, rated_windows
from yt8m.base import cli, device, processor
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, read_json, require, working_in, write_json
from yt8m.base.paths import (
    FIRST_LEVEL,
    MANIFEST,
    PREDICTIONS,
    REPORT,
    SEGMENTS,
    TRAINING,
    WEIGHTS,
)
from yt8m.base.receipts import commit
from yt8m.data.origins import Origin, check_origin, digest_of_videos, origin_of
from yt8m.data.predictions import Predictions, top_k
from yt8m.data.splits import UNUSED, Splits, seed_of
from yt8m.data.store import Store
from yt8m.inputs.batch import Made, Source
from yt8m.inputs.derived import source_of
from yt8m.training import metrics
from yt8m.training.loop import Examples, fit, logits_of
from yt8m.training.weights import load_weights


def main(
    config: Path,
    store: Path,
    folds: Path,
    parent: Path,
    out: Path,
    *,
    fold: int = 0,
    threads: int = 1,
) -> None:
    """Fine-tunes the model of CONFIG, trained in PARENT without fold FOLD, and predicts windows."""
    processor.set_threads(threads)
    settings, data = read_snapshot(config, PlannedModel), Store(store)
    model = build(settings, data.dims, config)
    check_segments(settings, model.level, data, config)
    weights = require(parent / WEIGHTS, "run `make first_level` to train the parent")
    made_from = fingerprint(config, store / MANIFEST, folds, weights, fold)
    name = f"{config.parent.parent.name} segments fold{fold}"
    job = SegmentJob(settings, data, Splits.read(folds, data.ids), out, fold, name, made_from)
    origin = job.origin(config.parent.parent.name)
    with working_in(out):
        load_weights(model.to(device.pick()), weights)
        figures = job.score_parent(model)
        if not has_weights(out, made_from):
            job.train(model, origin, weights)
        load_weights(model, out / WEIGHTS)
        job.predict(model, figures, origin)


@dataclass(frozen=True)
class SegmentJob:
    """One model, the fold that it never sees, and the videos whose windows it predicts."""

    settings: PlannedModel
    store: Store
    splits: Splits
    out: Path
    fold: int
    name: str
    made_from: str  # fingerprint of the configuration, the store, the folds and the parent

    def origin(self, parent: str) -> Origin:
        """Of the parent: what is made of it learns from the same videos."""
        learnt = digest_of_videos(self.store.ids, self.splits.others(self.fold))
        return Origin(f"{FIRST_LEVEL}/{parent}", self.fold, learnt, {"folds": self.splits.digest})

    @staticmethod
    def of_child(origin: Origin) -> Origin:
        """Of what is made of the parent of this origin."""
        return replace(origin, made_by=f"{origin.made_by}/{SEGMENTS}")

    def windows(self, rows: np.ndarray) -> Windows:
        """All windows of these videos, or of the rated ones among them."""
        chosen = self.settings.segments
        if chosen.videos == "rated":
            rows = rows[np.isin(rows, self.store.segments(rows).rows)]
        return every_window(self.store, rows, chosen.seconds, chosen.context)

    @cached_property
    def videos(self) -> Source:
        """What the parent saw."""
        return source_of(self.store, "frame", self.settings.inputs, self.splits)

    def source(self, windows: Windows) -> Source:
        """A window is short and wanted whole: nothing is skipped or drawn."""
        whole = self.settings.inputs.model_copy(update={"skip_frames": 0, "sampling": "stride"})
        return Source(windows, "frame", whole, Made(scaling=self.videos.made.scaling))

    def score_parent(self, model: nn.Module) -> dict[str, float | None]:
        """MAP@K on the holdout of what the parent says of a segment's video, and of the segment."""
        windows = self.windows(self.splits.holdout)
        videos, owner = np.unique(windows.rows, return_inverse=True)
        found = self.top(model, self.videos, videos)
        on_video = Predictions(windows.ids, found.classes[owner], found.logits[owner])
        on_windows = self.top(model, self.source(windows), np.arange(len(windows)))
        return {
            "map_parent_video": self.map_at_k(on_video, windows, videos)[0],
            "map_parent_windows": self.map_at_k(on_windows, windows, videos)[0],
        }

    def train(self, model: nn.Module, origin: Origin, parent: Path) -> None:
        """Fine-tunes the parent and writes the weights. InputError when `parent`, the file of its
        weights, is of another fold or of other folds."""
        started, chosen = time.monotonic(), self.settings.segments
        segments = self.store.segments(self.splits.others(self.fold))
        if len(segments) < 2:
            raise InputError(
                f"{self.store.folder}: {len(segments)} rated segments outside fold {self.fold} and "
                "the holdout; give more segment-rated records or a smaller HOLDOUT"
            )
        check_origin(origin_of(parent), parent, origin.made_by, self.fold, origin.training)
        training = SegmentTraining(
            **chosen.model_dump(include={"epochs", "batch_size", "lr", "weight_decay"}),
            seed=seed_of(chosen.seed, self.name),
        )
        classes = self.store.dims.classes
        source = self.source(rated_windows(segments, self.store, chosen.context))
        examples = Examples(source, np.arange(len(segments)), Ratings(segments, classes))
        taught = Taught(model, classes, chosen.teaching)
        history = fit(taught, examples, training, self.out, self.name, self.made_from)
        more = {"rated_segments": len(segments)}
        keep_trained(
            model, self.out, self.made_from, history, started, self.of_child(origin), **more
        )

    def predict(self, model: nn.Module, figures: dict, origin: Origin) -> None:
        """Predicts the windows of the fold and the holdout; writes report and predictions."""
        held_out, holdout = self.splits.rows(self.fold), self.splits.holdout
        rows = [held_out, holdout]
        if self.settings.segments.videos == "all":
            rows.append(np.flatnonzero(self.splits.fold == UNUSED))
        windows = self.windows(np.concatenate(rows))
        found = self.top(model, self.source(windows), np.arange(len(windows)))
        on_holdout, counted = self.map_at_k(found, windows, holdout)
        figures |= {
            "map_fine_tuned": on_holdout,
            "map_fine_tuned_fold": self.map_at_k(found, windows, held_out)[0],
        }
        report = {
            "model": self.name,
            "fold": self.fold,
            **figures,
            "classes": counted,
            "holdout_ratings": len(latest(self.store.segments(holdout))),
            "windows": len(windows),
            "peak_memory_mb": cli.peak_memory_mb(),
            "commit": commit(),
            **read_json(self.out / TRAINING),
        }
        write_json(self.out / REPORT, report)
        replace(found, origin=self.of_child(origin)).write(self.out / PREDICTIONS)
        text = ", ".join(f"{k[4:]} {v:.4f}" for k, v in figures.items() if v is not None)
        log(f"[{self.name}] done in {report['seconds']:.0f} s: MAP@K {text}")

    @cached_property
    def classes(self) -> np.ndarray:
        """The classes of which some segment is rated: only they count."""
        return np.unique(self.store.segments(np.arange(len(self.store))).label)

    def top(self, model: nn.Module, source: Source, rows: np.ndarray) -> Predictions:
        """The best of `classes` for each row of a source."""
        among = torch.from_numpy(self.classes.astype(np.int64)).to(next(model.parameters()).device)
        k = min(self.settings.segments.keep, len(among))
        parts = [(np.zeros((0, k), np.uint16), np.zeros((0, k), np.float16))]
        parts += [top_k(logits[:, among], k) for _, logits in logits_of(model, source, rows)]
        best, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
        return Predictions(source.store.ids[rows], self.classes[best], logits)

    def map_at_k(self, found: Predictions, windows: Windows, rows: np.ndarray):
        """(MAP@K of the predicted windows of some videos, classes counted); None without any."""
        mine, segments = np.isin(windows.rows, rows), latest(self.store.segments(rows))
        rated = rating_of(windows, segments, found.classes)
        flat = (array[mine].ravel() for array in (found.classes, found.logits, rated))
        confirmed = segments.label[segments.score > 0]
        positives = np.bincount(confirmed, minlength=self.store.dims.classes)
        value, counted = metrics.map_at_k(*flat, positives)
        return (value if counted else None), counted


if __name__ == "__main__":
    cli.run(main)
