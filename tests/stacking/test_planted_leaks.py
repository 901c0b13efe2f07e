"""Artifacts of another fold, other folds or another run are refused by whoever reads them."""

import copy
import shutil
from dataclasses import replace

import numpy as np
import pytest
from stacking_world import StackingWorld

from stacking import predict, report, rows, soft_labels, train
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run up to the predictions of the stack."""
    with pytest.MonkeyPatch.context() as patch:
        world = StackingWorld(tmp_path_factory.mktemp("planted"), patch, videos=600)
        world.configure(booster={"max_rounds": 5, "num_leaves": 7, "min_data_in_leaf": 20})
        world.all_rows()
        for k in range(NUM_FOLDS):
            world.train(k)
        return world


@pytest.fixture
def world(made, tmp_path, monkeypatch):
    """A copy of it."""
    found = copy.copy(made)
    shutil.copytree(made.folder, tmp_path / "run")
    found.folder, found.stacking = tmp_path / "run", tmp_path / "run" / "stacking"
    found.config = found.folder / "config.json"
    for module in (rows, soft_labels, report):
        monkeypatch.setattr(module, "Store", lambda _: found.store)
    return found


def _report(world):
    arguments = world.config, world.folder / "models.txt", world.folder, None
    report.main(*arguments, world.folder / "folds.safetensors", world.stacking / "report.json")


def _soft_labels(world):
    folds = world.folder / "folds.safetensors"
    soft_labels.main(world.stacking, None, folds, world.stacking / "soft_labels.safetensors")


def _predict(world, k):
    folder = world.stacking / f"fold{k}"
    out = folder / "predictions.safetensors"
    predict.main(world.config, folder / "rows", folder, out, fold=k)


def test_without_a_leak_all_verbs_run(world):
    world.rows(0)
    _predict(world, 0)
    _report(world)
    _soft_labels(world)
    assert read_json(world.stacking / "report.json")["alarms"] == []


def test_a_models_predictions_of_another_fold(world):
    shutil.copy(world.path("second", 1), world.path("second", 0))
    said = r"second.fold0.predictions.safetensors: was made without fold 1, not without fold 0"
    with pytest.raises(InputError, match=said):
        world.rows(0)
    with pytest.raises(InputError, match="made from other predictions than those in .*second"):
        _report(world)


def test_other_logits_under_the_right_ids(world):
    path = world.path("second", 0)
    found = Predictions.read(path)
    other = replace(found, logits=found.logits[::-1])
    replace(other, origin=None).write(path)
    with pytest.raises(InputError, match="second.fold0.* does not say what it was made from"):
        world.rows(0)
    other.write(path)  # the stack was made from those that were there before
    with pytest.raises(InputError, match=r"fold0.rows: was made from other predictions than those"):
        _report(world)


def test_a_models_predictions_by_other_settings(world):
    config = world.folder / "first_level" / "second" / "config.json"
    write_json(config, {"arch": "linear"})
    with pytest.raises(InputError, match="second.fold0.* was made from another config than is"):
        world.rows(0)


def test_another_models_predictions(world):
    shutil.copy(world.path("second", 0), world.path("third", 0))
    with pytest.raises(InputError, match="was made by first_level/second, not by first_level/t"):
        world.rows(0)


def test_videos_of_the_holdout_that_moved_into_fold_0(world):
    fold = world.splits.fold.copy()
    fold[world.splits.holdout[:20]] = 0
    Splits(fold).write(world.folder / "folds.safetensors", world.ids)
    right = len(world.splits.others(1))
    said = rf"fold1.*learnt from other videos .*\({right}, and {right + 20} are right\)"
    for verb in (lambda: world.rows(1), lambda: _report(world), lambda: _soft_labels(world)):
        with pytest.raises(InputError, match=said):
            verb()
    with pytest.raises(InputError, match="fold0.* was made from another folds than is there"):
        world.rows(0)


def test_rows_of_another_fold_and_of_other_folds(world):
    own = world.stacking / "fold0" / "rows"
    shutil.rmtree(own)
    shutil.copytree(world.stacking / "fold1" / "rows", own)
    said = r"fold0.rows.rows.json: was made without fold 1, not without fold 0"
    out = world.stacking / "fold2" / "model.txt"
    for verb in (
        lambda: train.main(world.config, world.stacking, out, fold=2),
        lambda: _predict(world, 0),
        lambda: _report(world),
    ):
        with pytest.raises(InputError, match=said):
            verb()
    about = read_json(own / "rows.json")
    about["made_from"] |= {"fold": 0, "inputs": about["made_from"]["inputs"] | {"folds": "others"}}
    write_json(own / "rows.json", about)
    with pytest.raises(InputError, match="were made from different folds; delete them and run"):
        train.main(world.config, world.stacking, out, fold=2)


@pytest.mark.parametrize("files", [["model.txt"], ["model.txt", "train.json"]])
def test_a_learner_of_another_fold(world, files):
    for name in files:
        shutil.copy(world.stacking / "fold1" / name, world.stacking / "fold0" / name)
    with pytest.raises(InputError, match=r"model.txt: was made (from another model.txt|without f)"):
        _predict(world, 0)


def test_the_stacks_predictions_of_another_fold(world):
    paths = [world.stacking / f"fold{k}" / "predictions.safetensors" for k in (0, 1)]
    shutil.copy(paths[1], paths[0])
    for verb in (_report, _soft_labels):
        with pytest.raises(InputError, match="stacking.fold0.*was made without fold 1, not"):
            verb(world)


def test_a_network_over_rows_says_what_it_learnt_from(made, world):
    world.configure(learner="network", network={"width": 4, "training": {"epochs": 1}})
    for k in (0, 1):
        out = world.stacking / f"fold{k}" / "network" / "weights.safetensors"
        train.main(world.config, world.stacking, out, fold=k, learner="network")
    _predict(world, 0)
    shutil.copy(out, world.stacking / "fold0" / "network" / "weights.safetensors")
    with pytest.raises(InputError, match="weights.safetensors: was made without fold 1, not"):
        _predict(world, 0)
    np.testing.assert_array_equal(made.ids, world.ids)
