"""Weights under another job's name are trained again, or refused."""

import shutil
from dataclasses import replace

import pytest
from snapshots import write_snapshots

from first_level import predict, train
from first_level.config import ModelConfig, build
from first_level.job import FoldJob
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.digests import header_of
from yt8m.data.origins import digest_of_videos, origin_of
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits
from yt8m.data.store import Dims
from yt8m.training.weights import load_weights, save_weights

TOML = "arch = 'linear'\n[training]\nepochs = 1\nbatch_size = 64\n"


@pytest.fixture(scope="module")
def made(data_set, tmp_path_factory):
    """A model without fold 0, the same without fold 1, and a student of it."""
    plan, run = tmp_path_factory.mktemp("plan"), tmp_path_factory.mktemp("run")
    (plan / "linear.toml").write_text(TOML)
    (plan / "taught.toml").write_text(TOML + "[teachers]\nmodels = ['linear']\n")
    write_snapshots(plan, run / "first_level")
    for fold in (0, 1):
        _train(data_set, run, fold)
    return run / "first_level"


@pytest.fixture
def models(made, tmp_path):
    return shutil.copytree(made, tmp_path / "first_level")


def _train(data_set, run, fold, name="linear", folds=None):
    out = run / "first_level" / name / f"fold{fold}"
    folds = folds or data_set / "folds.safetensors"
    train.main(out.parent / "config.json", data_set / "store", folds, out, fold=fold)


def _forge(path, source, origin):
    """The same weights under another fingerprint and origin."""
    config = read_snapshot(path.parents[1] / "config.json", ModelConfig)
    model = build(config, Dims({"rgb": 24, "audio": 8}, 30, 0), path)
    load_weights(model, path)
    save_weights(model, path, {"source": source} | (origin.header if origin else {}))


def test_a_job_says_what_it_was_made_from(made, store, splits):
    found = origin_of(made / "linear" / "fold1" / "weights.safetensors")
    assert (found.made_by, found.fold) == ("first_level/linear", 1)
    assert found.training == digest_of_videos(store.ids, splits.others(1))
    predicted = Predictions.read(made / "linear" / "fold1" / "predictions.safetensors").origin
    assert replace(predicted, inputs=found.inputs) == found
    weights = header_of(made / "linear" / "fold1" / "weights.safetensors")
    assert predicted.inputs == found.inputs | {"weights": weights["digest"]}
    assert None not in predicted.inputs.values()


def test_weights_of_another_fold_are_trained_again(models, data_set, capsys):
    own, other = (models / "linear" / f"fold{k}" for k in (0, 1))
    before = (own / "weights.safetensors").read_bytes()
    for name in ("weights.safetensors", "training.json"):
        shutil.copy(other / name, own / name)
    _train(data_set, models.parent, 0)
    assert "[linear fold0] epoch 1/1" in capsys.readouterr().out
    assert (own / "weights.safetensors").read_bytes() == before


def test_weights_that_learnt_from_the_fold_are_refused(models, data_set):
    own, other = (models / "linear" / f"fold{k}" / "weights.safetensors" for k in (0, 1))
    source, origin = header_of(own)["source"], origin_of(other)
    shutil.copy(other, own)
    _forge(own, source, origin)
    with pytest.raises(InputError, match=r"fold0.weights.*was made without fold 1, not without f"):
        _train(data_set, models.parent, 0)
    _forge(own, source, replace(origin, fold=0))
    with pytest.raises(InputError, match=r"fold0.weights.*learnt from other videos than these"):
        _train(data_set, models.parent, 0)
    out = own.parent
    arguments = out.parent / "config.json", data_set / "store", data_set / "folds.safetensors"
    with pytest.raises(InputError, match=r"fold0.weights.*learnt from other videos than these"):
        predict.main(*arguments, out, fold=0)


def test_a_training_on_other_videos_is_refused_when_it_ends(models, data_set, monkeypatch):
    shutil.rmtree(models / "linear" / "fold0")
    fit = FoldJob.train

    def leaking(self, model):
        fit(replace(self, splits=Splits(self.splits.fold.clip(1), self.splits.digest)), model)

    monkeypatch.setattr(FoldJob, "train", leaking)
    with pytest.raises(InputError, match=r"fold0.weights.*learnt from other videos than these"):
        _train(data_set, models.parent, 0)


def test_a_teacher_of_another_fold_is_refused(models, data_set):
    paths = [models / "linear" / f"fold{k}" / "weights.safetensors" for k in (0, 1)]
    shutil.copy(paths[1], paths[0])
    with pytest.raises(InputError, match=r"linear.fold0.weights.*was made without fold 1, not"):
        _train(data_set, models.parent, 0, "taught")
