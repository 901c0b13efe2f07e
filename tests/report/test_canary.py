"""The small canary: on permuted labels every level is at chance, and planted leaks are not."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
from snapshots import write_distill_snapshots

from distill import train as distill_train
from distill.export import evaluate, write
from first_level import train as first_level
from first_level.config import ModelConfig
from folds import shuffle
from folds.false_labels import false_labels
from report import canary
from stacking import predict, report, rows, soft_labels, train
from stacking.config import Stacking
from stacking.learners import booster
from stacking.table import ALL, FoldRows, groups_of
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.paths import Artifacts
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store

FOLDS = range(NUM_FOLDS)
QUICK = {"epochs": 8, "batch_size": 64, "lr": 0.05, "precision": "float32"}
STACK = {"candidates": 12, "booster": {"max_rounds": 20, "num_leaves": 15, "min_data_in_leaf": 5}}
DISTILL = '[resnet.training]\nepochs = 2\nprecision = "float32"\n[resnet.model]\nwidth = 16\n'
SAMPLES = 60


class CanaryRun:
    """A run of one first-level model, the stack, a ResNetLike and its export, by the verbs."""

    def __init__(self, folder, data_set, **shuffled):
        self.files = Artifacts(folder, folder / "store")
        shuffle.main(
            data_set / "store", data_set / "folds.safetensors", self.files.store, **shuffled
        )
        shutil.copy(data_set / "folds.safetensors", self.files.folds)
        self.inputs = self.files.store, self.files.folds
        self.config = self.files.model("linear") / "config.json"
        write_snapshot(self.config, ModelConfig(arch="linear", training=QUICK))
        self.files.models.write_text("linear\n")
        self.stack = self.files.stacking / "config.json"
        write_snapshot(self.stack, Stacking.model_validate(STACK | {"learner": "trees"}))

    def first_level(self, folds=FOLDS):
        for k in folds:
            first_level.main(self.config, *self.inputs, self.files.model_fold("linear", k), fold=k)

    def rows(self):
        arguments = self.stack, self.files.models, self.files.run, *self.inputs
        for k in FOLDS:
            rows.main(*arguments, self.files.stack_rows(k), fold=k)

    def learn(self):
        for k in FOLDS:
            out = self.files.stack_fold(k)
            train.main(self.stack, self.files.stacking, out / "model.txt", fold=k)
            predicted = out / "predictions.safetensors"
            predict.main(self.stack, out / "rows", out, predicted, fold=k)

    def rest(self):
        files = self.files
        soft_labels.main(files.stacking, *self.inputs, files.soft_labels)
        report.main(
            self.stack, files.models, files.run, *self.inputs, files.stacking / "report.json"
        )
        toml = files.run / "distill.toml"
        toml.write_text(f'export = "resnet"\n{DISTILL}')
        write_distill_snapshots(toml, files.distill)
        config, resnet = files.distill / "config.json", files.distill / "resnet"
        distill_train.main(config, *self.inputs, files.soft_labels, resnet, part="resnet")
        given = files.distill, config, *self.inputs, files.soft_labels, files.export
        write.main(*given, onnx=False)
        evaluate.main(files.export, *self.inputs, files.evaluation)

    def judged(self, only=None):
        """Whether each level is at chance, by (name, where)."""
        own = canary.Canary(self.files.run)
        levels = own.levels() if only is None else own.of_folds(*only)
        found = {
            (level.name, level.where): canary.judge(level, own.data, SAMPLES) for level in levels
        }
        return {key: at_chance for key, (_, at_chance) in found.items()}


@pytest.fixture(scope="module")
def run(data_set, tmp_path_factory):
    found = CanaryRun(tmp_path_factory.mktemp("canary"), data_set)
    found.first_level()
    found.rows()
    found.learn()
    found.rest()
    return found


@pytest.fixture
def copy(run, tmp_path):
    """A copy of the run: its store may be told by its links."""
    folder = tmp_path / "copy"
    shutil.copytree(run.files.run, folder, symlinks=True)
    found = object.__new__(CanaryRun)
    found.files = Artifacts(folder, folder / "store")
    found.inputs = found.files.store, found.files.folds
    found.config, found.stack = (
        folder / path.relative_to(run.files.run) for path in (run.config, run.stack)
    )
    return found


def test_every_level_is_at_chance(run, monkeypatch):
    monkeypatch.setattr(canary, "STUDENTS", ("resnet",))
    found = run.judged()
    both = [(name, where) for name in ("linear", "mean of models", "stack") for where in WHERE]
    assert set(found) == {*both, ("student: resnet", "holdout"), ("export", "holdout")}
    assert all(found.values()), found


WHERE = ("out of fold", "holdout")


def test_a_model_that_trains_on_its_own_fold_is_not(copy, monkeypatch):
    for k in FOLDS:
        shutil.rmtree(copy.files.model_fold("linear", k))
    others = Splits.others
    monkeypatch.setattr(Splits, "others", lambda self, *folds: others(self))
    copy.first_level()
    found = copy.judged(("linear", copy.files.model("linear")))
    assert found == {("linear", "out of fold"): False, ("linear", "holdout"): True}


def _leaking(stacking, fold):
    groups, names = groups_of(stacking, ALL)
    return [FoldRows(group.rows, fold) for group in groups], names


def test_a_stack_that_learns_from_the_fold_it_judges_is_not(copy, monkeypatch):
    monkeypatch.setattr(booster, "groups_of", _leaking)
    copy.learn()
    assert copy.judged(("stack", copy.files.stacking))["stack", "out of fold"] is False


def test_and_is_refused_by_what_it_says_of_itself(copy, monkeypatch):
    monkeypatch.setattr(train, "groups_of", _leaking)
    with pytest.raises(InputError, match=r"model.txt: learnt from other videos.*without fold 0"):
        copy.learn()


def test_false_labels_are_few_and_of_fold_0(data_set):
    data = Store(data_set / "store")
    splits = Splits.read(data_set / "folds.safetensors", data.ids)
    found = false_labels(data, splits, 0.1, 0)
    assert set(found.rows) <= set(splits.rows(0))
    assert 0 < len(found.rows) <= 0.1 * data.labels.take(splits.rows(0)).counts().sum() + 1
    changed = [
        row
        for row in range(len(data))
        if list(found.labels.take([row]).indices) != list(data.labels.take([row]).indices)
    ]
    assert sorted(found.rows) == changed
    assert found.labels.take(found.rows).contains(found.classes[:, None]).all()
    assert not data.labels.take(found.rows).contains(found.classes[:, None]).any()


def test_permuted_labels_are_all_there_and_another_videos(data_set, run):
    before, after = Store(data_set / "store"), Store(run.files.store)
    np.testing.assert_array_equal(before.ids, after.ids)
    np.testing.assert_array_equal(*(np.sort(x.labels.indices) for x in (before, after)))
    np.testing.assert_array_equal(
        before.video(np.arange(9))["rgb"], after.video(np.arange(9))["rgb"]
    )
    assert (before.labels.counts() != after.labels.counts()).any()


@pytest.mark.parametrize("leaks", [False, True])
def test_who_judges_fold_0_knows_no_false_labels(data_set, tmp_path, monkeypatch, leaks):
    made = CanaryRun(tmp_path, data_set, share=1.0)
    data = Store(data_set / "store")
    wrong = false_labels(data, Splits.read(made.files.folds, data.ids), 1.0, 0)
    if leaks:
        others = Splits.others
        monkeypatch.setattr(Splits, "others", lambda self, *folds: others(self))
    training = QUICK | {"epochs": 15, "lr": 0.01}
    write_snapshot(made.config, ModelConfig(arch="mlp", model={"widths": [256]}, training=training))
    made.first_level([0])
    path = made.files.model_fold("linear", 0) / "predictions.safetensors"
    found = Predictions.read(path).align(data.ids[wrong.rows])
    assert (canary.agreement(found, wrong.classes) > canary.FAR) == leaks


def test_agreement_is_that_with_ones_own_class():
    classes = np.arange(12) % 6
    lists = np.tile(np.arange(6), (12, 1))
    apart = Predictions(np.arange(12), lists, lists)
    assert canary.agreement(apart, classes) == pytest.approx(0, abs=1e-3)
    own = (lists + classes[:, None]) % 6
    assert canary.agreement(replace(apart, classes=own), classes) > canary.FAR
    assert canary.agreement(replace(apart, classes=own), np.roll(classes, 1)) < 0


def test_labels_change_places_within_their_group():
    groups = np.array([3, 1, 3, 2, 1, 3])
    places = canary.within(groups, np.random.default_rng(1))
    assert sorted(places) == list(range(6))
    np.testing.assert_array_equal(groups[places], groups)
    assert (places != np.arange(6)).any()
