"""Training one part of a student: its videos, its targets, its model and its report."""

import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distill.config import DistillConfig, SoftLabels, member_of
from distill.out_of_fold import (
    LastLayers,
    OutOfFold,
    extractor_files,
    fold_without,
    new_folds,
    read_copies,
)
from distill.targets import SoftTargets
from first_level.bundle.network import build_member, level_of
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.digests import digest_of
from yt8m.base.files import remove, write_json
from yt8m.base.paths import CHECKPOINT, DISTILL, FINE_TUNE, MANIFEST, REPORT, WEIGHTS
from yt8m.base.receipts import commit
from yt8m.base.run_log import seconds_of
from yt8m.data.origins import (
    ANY,
    SOFT_LABELS,
    Origin,
    check_origin,
    digest_of_videos,
    origin_of,
    without,
)
from yt8m.data.predictions import TOP_K
from yt8m.data.splits import UNLABELLED, Splits, draw_share, seed_of
from yt8m.data.store import Store, Videos
from yt8m.data.unlabelled import FOLDER, open_both
from yt8m.inputs.batch import Source
from yt8m.inputs.settings import Inputs
from yt8m.networks.extractors import LAYOUTS, Extractor, WithHead
from yt8m.networks.student import Student, num_values
from yt8m.training import metrics
from yt8m.training.loop import Examples, fit, predict
from yt8m.training.settings import Training
from yt8m.training.weights import load_weights, save_weights, start_from_frequencies

EXTRACTOR_FOLDS, LAST_FOLDS = (0, 1, 2, UNLABELLED), (3, 4)  # extractor_videos = "split"


@dataclass(frozen=True)
class Lessons:
    """The videos that a part learns from, and what it learns of them.

    store: with the videos of UNLABELLED, as rows behind those of DATA, if they are used; rows: the
    training videos, store rows; keys: of all rows, what splits hash (Splits.keys); files: their
    content decides what is learnt; origin: of what learns from them.
    """

    store: Videos
    rows: np.ndarray
    targets: SoftTargets
    holdout: np.ndarray
    keys: np.ndarray
    files: list[Path]
    origin: Origin

    @classmethod
    def open(
        cls,
        part: str,
        settings: DistillConfig,
        wanted: SoftLabels,
        files: tuple[Path, Path, Path],
        unlabelled: Path | None,
        fold: int | None = None,
    ) -> "Lessons":
        """The lessons of a part, with targets as `wanted` says.

        files: (store, folds, soft labels); unlabelled: soft labels of UNLABELLED, if it is used;
        fold: of `new_folds`, which a copy of an extractor leaves out.
        """
        store, folds, soft_labels = files
        data = Store(store)
        splits = Splits.read(folds, data.ids)
        decisive = [store / MANIFEST, folds, soft_labels]
        everything = without(None, splits, data.ids)
        check_origin(origin_of(soft_labels), soft_labels, SOFT_LABELS, None, everything)
        if unlabelled:
            data, splits = open_both(data, splits)
            decisive += [store / FOLDER / MANIFEST, unlabelled]
        rows, classes = rows_of(part, settings, splits), data.dims.classes
        left_out, keys = fold_without(part, settings, fold), splits.keys(data.ids)
        if left_out is not None:
            rows = rows[new_folds(keys[rows], settings.seed) != left_out]
        targets = SoftTargets(soft_labels, data.ids, data.labels, rows, classes, wanted, unlabelled)
        inputs = {"folds": splits.digest, "soft_labels": digest_of(soft_labels)}
        learnt = digest_of_videos(data.ids, rows[splits.fold[rows] != UNLABELLED])
        origin = Origin(DISTILL, None, learnt, inputs)
        return cls(data, rows, targets, splits.holdout, keys, decisive, origin)


def rows_of(part: str, settings: DistillConfig, splits: Splits) -> np.ndarray:
    """The training videos of a part (or "refit") and the unlabelled videos, as store rows.

    InputError when there are none.
    """
    rows = np.concatenate([splits.training, splits.unlabelled])
    if settings.extractor_videos == "split" and part not in ("resnet", "refit"):
        taken = LAST_FOLDS if part == "last" else EXTRACTOR_FOLDS
        rows = np.flatnonzero(np.isin(splits.fold, taken))
    if len(rows) < 2:
        raise InputError(f"--part {part}: {len(rows)} training videos; give more records")
    return rows


def check_student(path: Path, learnt: str, folds: str | None) -> None:
    """InputError when the weights of a part are of other folds, or learnt from other videos than
    those of the digest `learnt`. Weights of older code do not say it: the log does."""
    origin = origin_of(path)
    if origin is None:
        log(f"{path}: older code did not say which videos it learnt from")
        return
    made_by = origin.made_by if origin.made_by.startswith(DISTILL) else DISTILL
    check_origin(origin, path, made_by, None, learnt, folds=folds)


@dataclass(frozen=True)
class StudentJob:
    """Trains one part of a student.

    made_from: fingerprint of all inputs; a checkpoint made from others is ignored.
    """

    settings: DistillConfig
    lessons: Lessons
    out: Path
    name: str
    made_from: str
    inputs: Inputs

    def train(self, part: str) -> tuple[nn.Module, list[dict]]:
        """Returns the trained model and a line for each epoch."""
        settings, dims = self.settings, self.inputs.dims(self.lessons.store.dims, "video")
        torch.manual_seed(seed_of(settings.seed, "distill", part))  # copies begin alike
        if part in LAYOUTS:
            extractor = Extractor(part, dims, settings.scale)
            model = WithHead(extractor, dims.classes, settings.extractor_dropout)
            return model, self.fit(self.start(model), settings.extractors, self.out)
        if part == "resnet":
            model = build_member(member_of("resnet", settings), dims)
            return model, self.fit(self.start(model), settings.resnet.training, self.out)
        model = build_member(member_of("student", settings), dims, settings.dropout)
        return model, self._train_last(self.start(model))

    def start(self, model: nn.Module) -> nn.Module:
        """Sets the biases of the classifier to the frequencies of the labels; returns the model."""
        store, rows = self.lessons.store, self.lessons.rows
        labelled = rows[store.labelled[rows]]
        counts = store.labels.class_counts(store.dims.classes, labelled)
        start_from_frequencies(model, counts, len(labelled))
        return model

    def _train_last(self, model: Student) -> list[dict]:
        files, source = extractor_files(self.out, self.settings), None
        for path in files:
            check_student(path, ANY, self.lessons.origin.inputs["folds"])
        for letter, path in zip(LAYOUTS, files, strict=False):  # the copies follow
            load_weights(model.extractors[letter], path)
        if len(files) > len(LAYOUTS):
            store, copies = self.lessons.store, read_copies(model.extractors, files[len(LAYOUTS) :])
            folds = new_folds(self.lessons.keys, self.settings.seed)
            source = OutOfFold(store, "video", self.inputs, folds=folds, copies=copies)
        trained = LastLayers(model.last) if source else model
        history = self.fit(trained, self.settings.last_layers, self.out, source)
        if self.settings.fine_tune.epochs:
            model.freeze(False)
            history += self.fit(model, self.settings.fine_tune, self.out / FINE_TUNE)
            model.freeze(True)
        return history

    def fit(
        self, model: nn.Module, training: Training, folder: Path, source: Source | None = None
    ) -> list[dict]:
        """Trains the model; with patience, early stopping looks at an inner split.

        source: of its inputs; None: the store.
        """
        store, rows, watched = self.lessons.store, self.lessons.rows, None
        seed = seed_of(self.settings.seed, self.name, training.seed)
        training = training.model_copy(update={"seed": seed})
        folder.mkdir(exist_ok=True)
        if training.needs_inner:
            inner = draw_share(self.lessons.keys[rows], "distill inner", training.inner)
            inner &= store.labelled[rows]
            rows, watched = rows[~inner], rows[inner]
        source = source or Source(store, level_of(model), self.inputs)
        examples = Examples(source, rows, self.lessons.targets, watched)
        return fit(model, examples, training, folder, self.name, self.made_from)

    def finish(self, model: nn.Module, history: list[dict], started: float) -> None:
        """Scores the holdout; writes the report, then the weights. started: this process."""
        seconds = seconds_of(history, time.monotonic() - started)
        figures = self._holdout_figures(model)
        kept = model.extractor if isinstance(model, WithHead) else model
        values = num_values(kept)
        about = {
            "part": self.name.removeprefix("distill "),
            "level": level_of(model),
            "gap_holdout": figures["gap20"],
            "holdout": figures,
            "training_videos": len(self.lessons.rows),
            "parameters": sum(p.numel() for p in model.parameters()),
            "values": values,
            "megabytes": values * 4 / 1e6,
            "seconds": round(seconds, 1),
            "peak_memory_mb": round(cli.peak_memory_mb()),
            "history": history,
            "config": self.settings.model_dump(mode="json"),
            "commit": commit(),
        }
        write_json(self.out / REPORT, about)
        gap = figures["gap20"]
        text = "no holdout" if gap is None else f"GAP@20 {gap:.4f} (holdout)"
        log(f"[{self.name}] {text}, {values:,} values, {seconds:.1f} s")
        origin = replace(self.lessons.origin, made_by=f"{DISTILL}/{self.name}")
        save_weights(kept, self.out / WEIGHTS, {"source": self.made_from} | origin.header)
        for folder in (self.out, self.out / FINE_TUNE):
            remove(folder / CHECKPOINT)

    def _holdout_figures(self, model: nn.Module) -> dict:
        """All six figures of a model on the holdout; None each when there is no holdout."""
        store, rows = self.lessons.store, self.lessons.holdout
        source = Source(store, level_of(model), self.inputs)
        found = predict(model, source, rows, TOP_K, folder=self.out, where=f"[{self.name}]")
        labels = store.labels.take(rows, self.out)
        return metrics.evaluate(found.classes, found.logits, labels, store.dims.classes)
