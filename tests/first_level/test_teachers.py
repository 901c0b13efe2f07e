"""The second round: what teachers add to the targets, and that they never saw the fold either."""

import pytest
import torch
from snapshots import write_snapshots

from first_level import teachers, train
from first_level.config import ModelConfig, build
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json
from yt8m.inputs.batch import HardTargets, Source
from yt8m.inputs.settings import Inputs
from yt8m.training.weights import load_weights

TRAINING = "[training]\nepochs = 8\nbatch_size = 64\nlr = 0.02\nprecision = 'float32'\n"
PLAN = {
    "one": f"arch = 'linear'\n{TRAINING}",
    "two": f"arch = 'mlp'\n[model]\nwidths = [16]\ndropout = 0.1\n{TRAINING}",
    "taught": f"arch = 'linear'\n[teachers]\nmodels = ['one', 'two']\nweight = 0.7\n{TRAINING}",
}


@pytest.fixture(scope="module")
def run(data_set, tmp_path_factory):
    """A run folder with the three models trained without fold 1."""
    plan, run = tmp_path_factory.mktemp("plan"), tmp_path_factory.mktemp("run")
    for name, text in PLAN.items():
        (plan / f"{name}.toml").write_text(text)
    write_snapshots(plan, run)
    for name in PLAN:
        _train(run, data_set, name)
    return run


def _train(run, data_set, name, fold=1):
    where = (data_set / "store", data_set / "folds.safetensors", run / name / f"fold{fold}")
    train.main(run / name / "config.json", *where, fold=fold)


def _config(run, name="taught"):
    return read_snapshot(run / name / "config.json", ModelConfig)


def test_targets_are_the_labels_and_the_teachers_mean_probability(run, store, splits):
    config, rows = _config(run), splits.others(1)[:9]
    paths = teachers.files_of(config, run / "taught" / "fold1")
    teach = teachers.teaching(config, store.dims, paths)
    batch = Source(store, "video", Inputs()).load(rows, torch.device("cpu"))
    labels = HardTargets(store.labels, store.dims.classes)(rows)
    said = []
    for name in ("one", "two"):
        model = build(_config(run, name), store.dims, name)
        load_weights(model, run / name / "fold1" / "weights.safetensors")
        said.append(model.eval()(batch).sigmoid())
    expected = 0.3 * labels.dense() + 0.7 * (said[0] + said[1]) / 2  # 30 classes: all are kept
    torch.testing.assert_close(teach(batch, labels).dense(), expected)


def test_it_learns_and_goes_stale_with_its_teachers(run, data_set, capsys):
    report = read_json(run / "taught" / "fold1" / "report.json")
    assert report["gap_fold"] > 0.2  # chance is below 0.1
    _train(run, data_set, "taught")
    assert "epoch" not in capsys.readouterr().out, "its weights are there"
    weights = run / "two" / "fold1" / "weights.safetensors"
    before = weights.read_bytes()
    (run / "two" / "fold1" / "training.json").unlink()
    snapshot = run / "two" / "config.json"
    snapshot.write_text(snapshot.read_text().replace('"epochs": 8', '"epochs": 2'))
    _train(run, data_set, "two")
    assert weights.read_bytes() != before
    capsys.readouterr()
    _train(run, data_set, "taught")
    assert "epoch 8/8" in capsys.readouterr().out


def test_teachers_are_of_the_same_fold(run, data_set):
    with pytest.raises(InputError, match=r"one/fold2/weights.safetensors: no such file"):
        _train(run, data_set, "taught", fold=2)


def test_a_teacher_with_other_inputs_is_refused(run, store):
    config = _config(run).model_copy(update={"inputs": Inputs(normalise="none")})
    paths = teachers.files_of(config, run / "taught" / "fold1")
    with pytest.raises(InputError, match=r"one has other \[inputs\]"):
        teachers.teaching(config, store.dims, paths)


def test_a_teacher_of_the_other_level_is_refused(run, store):
    config = _config(run).model_copy(update={"arch": "lstm"})
    paths = teachers.files_of(config, run / "taught" / "fold1")
    with pytest.raises(InputError, match="one is video-level, the student frame-level"):
        teachers.teaching(config, store.dims, paths)


def test_other_inputs_are_refused_before_anything_is_trained(tmp_path):
    for name, text in PLAN.items():
        more = "[inputs]\nnormalise = 'none'\n" if name == "one" else ""
        (tmp_path / f"{name}.toml").write_text(text + more)
    with pytest.raises(InputError, match=r"taught.toml: teachers.models: 'one' has other \[inputs"):
        write_snapshots(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("name", ["absent", "taught"])
def test_a_teacher_must_be_a_model_of_the_first_round(name, tmp_path):
    for other, text in PLAN.items():
        (tmp_path / f"{other}.toml").write_text(text.replace("'two'", f"'{name}'"))
    with pytest.raises(InputError, match=f"'{name}' is no model of this plan without teachers"):
        write_snapshots(tmp_path, tmp_path / "out")


def test_mixed_videos_are_taught_as_they_are_given(run, store, splits):
    """A mixture's target is what the teachers say of it, not a mixture of what they say."""
    config, rows = _config(run), splits.others(1)[:8]
    teach = teachers.teaching(
        config, store.dims, teachers.files_of(config, run / "taught" / "fold1")
    )
    batch = Source(store, "video", Inputs()).load(rows, torch.device("cpu"))
    half = batch.map(lambda x: (x + x.flip(0)) / 2)
    labels = HardTargets(store.labels, store.dims.classes)(rows)
    alone = teach(batch, labels).dense() - 0.3 * labels.dense()
    mixed = teach(half, labels).dense() - 0.3 * labels.dense()
    assert (mixed - (alone + alone.flip(0)) / 2).abs().max() > 0.01
