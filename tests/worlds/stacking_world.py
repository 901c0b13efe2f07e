"""A toy problem for the tests of stacking: first-level predictions on disk, a store in memory."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from first_level.config import ModelConfig
from stacking import predict, report, rows, soft_labels, train
from stacking.config import Stacking
from yt8m.base.config import read_snapshot, write_snapshot
from yt8m.base.digests import digest_of
from yt8m.base.files import read_json
from yt8m.data.origins import Origin, without
from yt8m.data.predictions import Predictions
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNUSED, Splits
from yt8m.records.labels import Labels

CLASSES, MODELS, DEPTH = 24, ("first", "second", "third"), 12
QUICK = {
    "candidates": 8,
    "chunk_videos": 100,
    "booster": {"max_rounds": 40, "learning_rate": 0.15, "num_leaves": 7, "min_data_in_leaf": 20},
    "network": {"width": 16, "layers": 1, "training": {"epochs": 4}},
}
LEARNT = {"trees": "model.txt", "network": "network/weights.safetensors"}


class FakeStore:
    """What the stage uses of a store, in memory."""

    def __init__(self, ids, labels, widths=None, frames=True):
        self.ids, self.labels, self.has_frames = ids, labels, frames
        self.dims = SimpleNamespace(classes=CLASSES)
        rng = np.random.default_rng(5)
        self.features = {
            name: rng.normal(size=(len(ids), width)).astype(np.float16)
            for name, width in (widths or {"rgb": 4, "audio": 3}).items()
        }
        self.num_frames = rng.integers(1, 300, len(ids)).astype(np.int32)

    def video(self, rows):
        return {name: values[rows] for name, values in self.features.items()}


class StackingWorld:
    """A run folder with first-level predictions of a toy problem, and verbs to run on it."""

    def __init__(self, folder, monkeypatch, videos=1200, holdout=0.2, seed=0, related=True):
        rng = np.random.default_rng(seed)
        self.folder, self.stacking = folder, folder / "stacking"
        self.ids = np.array([f"v{i:04d}".encode() for i in rng.permutation(videos)])
        truth = rng.normal(-3.5, 2.5, (videos, CLASSES)) + rng.normal(0, 1, CLASSES)
        drawn = rng.random(truth.shape) < 1 / (1 + np.exp(-truth))
        self.shown = truth if related else rng.normal(-3.5, 2.5, truth.shape)
        self.lists = [np.flatnonzero(row) for row in drawn]
        fold = rng.integers(0, NUM_FOLDS, videos).astype(np.int8)
        fold[rng.random(videos) < holdout] = HOLDOUT
        fold[:7] = UNUSED
        self.splits = Splits(fold)
        self.splits.write(folder / "folds.safetensors", self.ids)
        self.store = FakeStore(self.ids, Labels.from_lists(self.lists))
        (folder / "models.txt").write_text("\n".join(MODELS) + "\n")
        for index, name in enumerate(MODELS):
            noise = rng.normal(0, 1 + 0.7 * index, truth.shape)
            if name == "first":  # the best one, but useless for short videos: stacks can learn it
                noise[self.store.num_frames < 120] *= 4
            for k in range(NUM_FOLDS):
                own = rng.normal(0, 0.3, truth.shape)
                self.write_predictions(name, k, self.shown + noise + own, rng)
        for module in (rows, soft_labels, report):
            monkeypatch.setattr(module, "Store", lambda _: self.store)
        self.configure()

    def configure(self, **changes):
        settings = Stacking.model_validate(QUICK | changes)
        self.config = self.folder / "config.json"
        write_snapshot(self.config, settings)

    def path(self, name, k):
        return self.folder / "first_level" / name / f"fold{k}" / "predictions.safetensors"

    def write_predictions(self, name, k, logits, rng):
        of = rng.permutation(np.concatenate([self.splits.rows(k), self.splits.holdout]))
        order = np.argsort(-logits[of], axis=1)[:, :DEPTH]
        values = np.take_along_axis(logits[of], order, 1).astype(np.float16)
        found = Predictions(self.ids[of], order.astype(np.uint16), values)
        learnt, folds = without(k, self.splits, self.ids), self.folder / "folds.safetensors"
        config = self.folder / "first_level" / name / "config.json"
        if not config.is_file():
            write_snapshot(config, ModelConfig(arch="moe" if name == "third" else "linear"))
        inputs = {"config": digest_of(config), "folds": digest_of(folds)}
        origin = Origin(f"first_level/{name}", k, learnt, inputs)
        replace(found, origin=origin).write(self.path(name, k))

    def rows(self, k):
        out = self.stacking / f"fold{k}" / "rows"
        models = self.folder / "models.txt"
        rows.main(
            self.config, models, self.folder, None, self.folder / "folds.safetensors", out, fold=k
        )

    def all_rows(self):
        for k in range(NUM_FOLDS):
            self.rows(k)

    def train(self, k):
        folder = self.stacking / f"fold{k}"
        settings = read_snapshot(self.config, Stacking)
        for learner, name in LEARNT.items():
            if settings.learner in (learner, "both"):
                train.main(self.config, self.stacking, folder / name, fold=k, learner=learner)
        out = folder / "predictions.safetensors"
        predict.main(self.config, folder / "rows", folder, out, fold=k)

    def run(self):
        self.all_rows()
        for k in range(NUM_FOLDS):
            self.train(k)
        folds, out = self.folder / "folds.safetensors", self.stacking / "report.json"
        soft_labels.main(self.stacking, None, folds, self.stacking / "soft_labels.safetensors")
        report.main(self.config, self.folder / "models.txt", self.folder, None, folds, out)
        return read_json(out)

    def contents(self, k, names):
        return {name: (self.stacking / f"fold{k}" / name).read_bytes() for name in names}
