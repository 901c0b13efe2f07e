"""The training loop: it learns, resumes to the same bytes, and never looks where it must not."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from first_level.config import ModelConfig, build
from yt8m.base.cli import InputError
from yt8m.inputs.batch import HardTargets, Source
from yt8m.inputs.settings import Inputs
from yt8m.training import checkpoint, schedule
from yt8m.training.loop import Examples, fit, predict
from yt8m.training.settings import Noise, Training
from yt8m.training.weights import load_weights, save_weights

MODEL = {"width": 16, "dropout": 0.1}
SETTINGS = Training(epochs=6, batch_size=32, lr=2e-2, precision="float32")


def _model(store, arch="resnet", **arguments):
    torch.manual_seed(3)
    return build(ModelConfig(arch=arch, model=arguments or MODEL), store.dims, "test")


def _fit(store, rows, folder, settings=SETTINGS, model=None, check=None, fingerprint=""):
    model = model or _model(store)
    targets = HardTargets(store.labels, store.dims.classes)
    examples = Examples(_source(store), rows, targets, check)
    history = fit(model, examples, settings, folder, "test", fingerprint)
    return model, history


def _source(store, level="video", **inputs):
    return Source(store, level, Inputs(**inputs))


def _bytes(model) -> bytes:
    return b"".join(v.numpy().tobytes() for v in model.state_dict().values())


def _id(change: dict) -> str:
    return "-".join(f"{key}" for key in change) or "plain"


OPTIONS = [
    {},
    {"mixup": 0.4},
    {"ema": 0.9},
    {"loss": "bce_soft_ranking"},
    {"optimizer": "adam", "weight_decay": 0.0},
    {"optimizer": "adagrad", "lr": 0.1, "weight_decay": 0.0},
    {"steps_per_epoch": 13},
    {"noise": Noise(smoothing=0.05, drop=0.1, add=0.1, by_accuracy=True, confidence=0.1)},
    {"noise": Noise(correction="forward", label_recall=0.6)},
    {"noise": Noise(adaptation=True), "mixup": 0.4, "ema": 0.9},
]


@pytest.mark.parametrize("change", OPTIONS, ids=_id)
def test_it_learns_and_two_runs_are_identical(store, splits, tmp_path, change):
    settings = SETTINGS.model_copy(update=change)
    rows, check = splits.others(0), splits.rows(0)
    one, history = _fit(store, rows, tmp_path, settings, check=check)
    assert history[-1]["gap"] > history[0]["gap"] * 0.9
    assert history[-1]["gap"] > 0.2  # chance is below 0.1
    assert history[-1]["loss"] < history[0]["loss"]
    two, _ = _fit(store, rows, tmp_path, settings)
    assert _bytes(one) == _bytes(two)


RESUMED = [
    {"mixup": 0.4, "ema": 0.9},
    {"patience": 3},
    {"schedule": "plateau", "plateau_patience": 0, "steps_per_epoch": 7, "optimizer": "adagrad"},
    {"noise": Noise(adaptation=True, adaptation_dropout=0.5, drop=0.2, add=0.2)},
    {"noise": Noise(confidence=0.3, smoothing=0.1, correction="backward", label_recall=0.7)},
]


@pytest.mark.parametrize("change", RESUMED, ids=_id)
def test_a_killed_run_goes_on_to_the_same_weights(store, splits, tmp_path, monkeypatch, change):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    settings = SETTINGS.model_copy(update=change)
    rows, check = splits.others(0)[:-40], splits.others(0)[-40:]
    whole, history = _fit(store, rows, tmp_path / "a", settings, check=check)

    class Killed(Exception):
        pass

    def save_then_die(self):
        save(self)
        if self.epoch == 2:
            raise Killed

    save = checkpoint.TrainingRun._save
    monkeypatch.setattr(checkpoint.TrainingRun, "_save", save_then_die)
    with pytest.raises(Killed):
        _fit(store, rows, tmp_path / "b", settings, check=check)
    monkeypatch.setattr(checkpoint.TrainingRun, "_save", save)
    resumed, again = _fit(store, rows, tmp_path / "b", settings, check=check)
    assert _bytes(resumed) == _bytes(whole)
    for key in ("loss", "lr", "gap"):
        assert [line[key] for line in again] == [line[key] for line in history]


def test_a_checkpoint_of_other_data_is_not_gone_on_from(store, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    rows = splits.others(0)
    _fit(store, splits.others(1), tmp_path, fingerprint="one")  # leaves its last checkpoint behind
    found, history = _fit(store, rows, tmp_path, fingerprint="two")
    assert len(history) == SETTINGS.epochs
    fresh, _ = _fit(store, rows, tmp_path / "new", fingerprint="two")
    again, _ = _fit(store, rows, tmp_path, fingerprint="two")
    assert _bytes(fresh) == _bytes(found) == _bytes(again)


def test_a_damaged_checkpoint_is_removed(store, splits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    rows, path = splits.others(0)[:60], tmp_path / "a" / "checkpoint.pt"
    whole, _ = _fit(store, rows, path.parent)
    left = path.read_bytes()
    flipped = bytearray(left)
    flipped[len(left) // 2] ^= 1
    foreign = io.BytesIO()
    torch.save({"odd": 1}, foreign)
    for data in (b"", os.urandom(5000), left[:-1], left[:999], flipped, foreign.getvalue()):
        path.write_bytes(data)
        again, _ = _fit(store, rows, path.parent)
        assert _bytes(again) == _bytes(whole)
        assert "checkpoint.pt is damaged (" in capsys.readouterr().out
    path.write_bytes(left)
    _fit(store, rows, path.parent)
    assert "resuming after epoch" in capsys.readouterr().out


def test_a_limit_on_files_at_a_checkpoint_is_one_line(tmp_path):
    code = (
        "import resource, sys, torch; from pathlib import Path\n"
        "from yt8m.base.cli import InputError\n"
        "from yt8m.training.checkpoint import TrainingRun\n"
        "from yt8m.training.settings import Training\n"
        "from torch import nn\n"
        "run = TrainingRun(nn.Linear(500, 500), nn.Module(), Training(), 'cpu', Path(sys.argv[1]),"
        " 'a', '')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (99_999, 99_999))\n"
        "try:\n    run._save()\nexcept InputError as error:\n    print(error)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "checkpoint.pt: the limit on a file's size (ulimit -f) is too low; raise" in done.stdout
    assert not list(tmp_path.iterdir())


def test_early_stopping_keeps_the_best_epoch(store, splits, tmp_path):
    settings = SETTINGS.model_copy(
        update={"epochs": 12, "patience": 2, "lr": 0.1, "schedule": "constant"}
    )
    rows, check = splits.others(0)[:60], splits.others(0)[60:160]
    model, history = _fit(store, rows, tmp_path, settings, check=check)
    gaps = [line["gap"] for line in history]
    found = predict(model, _source(store), check, 20, precision="float32")
    from yt8m.training.metrics import gap

    assert gap(found.classes, found.logits, store.labels.take(check)) == max(gaps)
    assert len(gaps) == 12 or len(gaps) - 1 - int(np.argmax(gaps)) == 2


def test_a_loss_that_is_not_finite_stops_with_what_to_do(store, splits, tmp_path):
    model = _model(store)
    with torch.no_grad():
        next(model.parameters())[0] = torch.nan
    with pytest.raises(InputError, match=r"\[test\] loss is nan at epoch 1, step 1; lr is .*; low"):
        _fit(store, splits.others(0), tmp_path, model=model)


def test_plateau_halves_lr_when_torch_does(store, splits, tmp_path):
    rng = np.random.default_rng(0)
    for patience in (0, 1, 3):
        gaps = list(np.cumsum(rng.choice([0.02, 0.0, -0.02, 5e-5], 40)))
        parameter = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=1.0)
        torchs = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.5, patience=patience, eps=0
        )
        for count, gap in enumerate(gaps, 1):
            torchs.step(1 - gap)
            assert 0.5 ** schedule.halvings(gaps[:count], patience) == torchs.get_last_lr()[0]
    settings = SETTINGS.model_copy(update={"schedule": "plateau", "plateau_patience": 0, "lr": 0.5})
    rows = splits.others(0)
    _, history = _fit(store, rows[:-60], tmp_path, settings, check=rows[-60:])
    gaps = [line["gap"] for line in history]
    rates = [0.5 * 0.5 ** schedule.halvings(gaps[:n], 0) for n in range(len(gaps))]
    assert [line["lr"] for line in history][1:] == rates[1:]
    assert rates[-1] < 0.5


class _Extra(torch.nn.Module):
    """A linear model of classes and verticals with a penalty on its last weights."""

    def __init__(self, dims, penalty):
        super().__init__()
        self.verticals, self.weight_of_penalty = dims.verticals, penalty
        self.classifier = torch.nn.Linear(dims.width, dims.classes)
        self.above = torch.nn.Linear(dims.width, dims.verticals)

    def forward(self, batch):
        logits = self.classifier(batch.joined)
        self.penalty = self.weight_of_penalty * self.above.weight.square().sum()
        return torch.cat([logits, self.above(batch.joined)], 1) if self.training else logits


def test_verticals_are_learnt_and_a_penalty_is_paid(store, splits, tmp_path):
    dims, rows = store.dims, splits.others(0)
    assert dims.verticals > 1
    settings = SETTINGS.model_copy(update={"epochs": 12, "mixup": 0.2, "lr": 0.05})
    models = {}
    for penalty in (0.0, 1.0):
        torch.manual_seed(0)
        models[penalty] = _Extra(dims, penalty)
        _, history = _fit(store, rows, tmp_path, settings, models[penalty], check=splits.rows(0))
        assert history[-1]["gap"] > history[0]["gap"]
    assert models[1.0].above.weight.norm() < 0.5 * models[0.0].above.weight.norm()
    batch = _source(store).load(rows, "cpu")
    lists = np.split(store.labels.indices, store.labels.indptr[1:-1])
    scores = models[0.0].above(batch.joined)
    right = [
        int(scores[at].argmax()) in store.vertical_of[lists[row]] for at, row in enumerate(rows)
    ]
    assert np.mean(right) > 0.7  # a video has one to three of the verticals


@pytest.mark.parametrize("change", [{"patience": 2}, {"schedule": "plateau"}], ids=_id)
def test_an_empty_inner_split_is_refused(store, splits, tmp_path, change):
    settings = SETTINGS.model_copy(update=change)
    with pytest.raises(
        InputError, match=r"\[test\] no videos with labels for the inner split .*training.inner"
    ):
        _fit(store, splits.others(0), tmp_path, settings, check=np.zeros(0, np.int64))


def test_passes_that_would_change_nothing_are_refused_before_training(store, splits, tmp_path):
    settings = SETTINGS.model_copy(update={"noise": Noise(test_passes=3)})
    with pytest.raises(InputError, match=r"\[test\]: noise.test_passes needs a model with dropout"):
        _fit(store, splits.others(0), tmp_path, settings, _model(store, width=8, dropout=0.0))


def test_weights_round_trip_and_refuse_another_model(store, tmp_path):
    model = _model(store)
    save_weights(model, tmp_path / "w.safetensors")
    other = _model(store)
    load_weights(other, tmp_path / "w.safetensors")
    assert _bytes(other) == _bytes(model)
    with pytest.raises(InputError, match="w.safetensors: not this model's weights"):
        load_weights(_model(store, width=8), tmp_path / "w.safetensors")
