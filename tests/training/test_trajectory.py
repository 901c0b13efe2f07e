"""Training to the bit against a plain loop: the rate of every step, seeds, decay, averages."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from yt8m.data.predictions import top_k
from yt8m.data.splits import seed_of
from yt8m.inputs.batch import HardTargets, Source
from yt8m.inputs.settings import Inputs
from yt8m.networks.cpu import use_fast_layers
from yt8m.training import class_accuracy, losses
from yt8m.training.loop import Examples, fit
from yt8m.training.metrics import gap
from yt8m.training.mixup import mixup
from yt8m.training.settings import Training

CPU = torch.device("cpu")


class _Net(nn.Module):
    """With weights that decay and vectors that do not, batch statistics, and dropout."""

    def __init__(self, dims):
        super().__init__()
        torch.manual_seed(5)
        self.layers = nn.Sequential(
            nn.Linear(dims.width, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5)
        )
        self.classifier = nn.Linear(9, dims.classes)

    def forward(self, batch):
        features = self.layers(batch.joined)
        self.penalty = 0.3 * self.classifier.weight.square().sum()
        return self.classifier(features)


def _factor(done: float, s: Training, gaps: list[float]) -> float:
    """Of the rate after a share of all steps."""
    if done < s.warmup:
        return max(done, 0.001) / s.warmup
    if s.schedule == "cosine":
        return (1 + math.cos(math.pi * (done - s.warmup) / (1 - s.warmup))) / 2
    best, bad, factor = math.inf, 0, 1.0
    for error in (1 - value for value in gaps) if s.schedule == "plateau" else ():
        bad = 0 if error < best * (1 - 1e-4) else bad + 1
        best = error if bad == 0 else best
        if bad > s.plateau_patience:
            factor, bad = factor / 2, 0
    return factor


def _optimizer(model: nn.Module, s: Training) -> torch.optim.Optimizer:
    names = ("layers.0.weight", "classifier.weight")
    named = dict(model.named_parameters())
    groups = [
        {"params": [named[n] for n in names], "weight_decay": s.weight_decay},
        {"params": [p for n, p in named.items() if n not in names], "weight_decay": 0.0},
    ]
    make = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}.get(s.optimizer)
    if make:
        return make(groups, lr=s.lr, fused=True)
    if s.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=s.lr, alpha=0.9)
    return torch.optim.Adagrad(groups, lr=s.lr, initial_accumulator_value=0.1)


def _plain(model: nn.Module, source: Source, targets, rows, check, s: Training):
    """(weights to keep, a line for each epoch) of the same training."""
    use_fast_layers(model)  # whose dropout draws other numbers than torch's
    optimizer, kept, history, updates = _optimizer(model, s), None, [], 0
    average = {k: v.clone() for k, v in model.state_dict().items()}
    per_pass = math.ceil(len(rows) / s.batch_size)
    steps = s.steps_per_epoch or per_pass
    stream = []  # of batches, pass after pass
    for number in range(math.ceil(s.epochs * steps / per_pass)):
        order = np.random.default_rng(seed_of(s.seed, "order", number)).permutation(rows)
        stream += np.array_split(order, per_pass)
    for epoch in range(s.epochs):
        torch.manual_seed(seed_of(s.seed, "epoch", epoch))
        total = 0.0
        model.train()
        for step in range(epoch * steps, (epoch + 1) * steps):
            gaps = [line["gap"] for line in history]
            lr = s.lr * _factor(step / (s.epochs * steps), s, gaps)
            for group in optimizer.param_groups:
                group["lr"] = lr
            batch, wanted = source.load(stream[step], CPU), targets(stream[step])
            if s.mixup:
                batch, wanted = mixup(batch, wanted, s.mixup)
            loss = losses.bce(model(batch), wanted) + model.penalty
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), s.clip)
            optimizer.step()
            total += loss.item()
            updates += 1
            decay = min(s.ema, (1 + updates) / (10 + updates)) if s.ema else 0.0
            for name, value in model.state_dict().items():
                whole = not value.is_floating_point()
                average[name] = value.clone() if whole else average[name].lerp(value, 1 - decay)
        history.append({"epoch": epoch + 1, "loss": total / steps, "lr": lr})
        history[-1]["gap"] = _gap(model, average, source, check)
        if not s.patience or history[-1]["gap"] >= max(line["gap"] for line in history):
            kept = {k: v.clone() for k, v in average.items()}
        best = int(np.argmax([line["gap"] for line in history]))
        if s.patience and epoch - best >= s.patience:
            break
    return kept, history


def _gap(model: nn.Module, weights: dict, source: Source, check) -> float:
    own = {k: v.clone() for k, v in model.state_dict().items()}
    model.load_state_dict(weights)
    with torch.no_grad():
        classes, logits = top_k(model.eval()(source.load(check, CPU)), 20)
    model.load_state_dict(own)
    return gap(classes, logits, source.store.labels.take(check))


WHOLE = Training(epochs=4, batch_size=48, lr=0.02, precision="float32", seed=11, weight_decay=0.3)
CASES = [
    {"ema": 0.6, "mixup": 0.4, "warmup": 0.3},
    {"ema": 0.5, "patience": 2, "schedule": "constant", "lr": 0.2, "epochs": 9},
    {"optimizer": "adam", "steps_per_epoch": 4, "clip": 0.3, "warmup": 0.0},
    {"optimizer": "rmsprop", "schedule": "plateau", "plateau_patience": 0, "lr": 0.1, "epochs": 6},
    {"optimizer": "adagrad", "lr": 0.1, "weight_decay": 0.0, "schedule": "constant"},
]


@pytest.mark.parametrize("change", CASES, ids=lambda change: "-".join(change))
def test_every_step_is_that_of_a_plain_loop(store, splits, tmp_path, change):
    settings = WHOLE.model_copy(update=change)
    rows, check = splits.others(0)[:200], splits.others(0)[200:]
    source, targets = Source(store, "video", Inputs()), HardTargets(store.labels, 30)
    model = _Net(store.dims)
    found = fit(model, Examples(source, rows, targets, check), settings, tmp_path, "test")
    weights, expected = _plain(_Net(store.dims), source, targets, rows, check, settings)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one["lr"] == pytest.approx(other["lr"], rel=1e-12)
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-6)
        assert one["gap"] == other["gap"]
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name]), name
    if settings.patience:
        best = int(np.argmax([line["gap"] for line in found]))
        assert len(found) < settings.epochs, "it stops early, or the case tests nothing"
        assert best == len(found) - 1 - settings.patience


def test_time_left_is_that_of_the_epochs_that_are_left(store, splits, tmp_path):
    source, targets = Source(store, "video", Inputs()), HardTargets(store.labels, 30)
    rows = splits.others(0)
    settings = WHOLE.model_copy(update={"steps_per_epoch": 3})
    for line in fit(_Net(store.dims), Examples(source, rows, targets), settings, tmp_path, "test"):
        left = settings.epochs - line["epoch"]
        assert (line["left"] > 0) == (left > 0)
        videos = 3 * len(rows) // math.ceil(len(rows) / settings.batch_size)
        assert line["examples_per_s"] == pytest.approx(videos / line["seconds"])


def test_a_model_remembers_videos_from_all_of_its_training(store, splits, tmp_path):
    class Memory(_Net):
        videos = 70

        def remember(self, batch, targets):
            self.seen = batch, targets

    rows, model = splits.others(0), Memory(store.dims)
    source, targets = Source(store, "video", Inputs()), HardTargets(store.labels, 30)
    fit(model, Examples(source, rows, targets), Training(epochs=0), tmp_path, "test")
    every = math.ceil(len(rows) / 70)
    assert every > 2
    assert torch.equal(model.seen[0].joined, source.load(rows[::every], CPU).joined)
    assert torch.equal(model.seen[1].dense(), targets(rows[::every]).dense())


def test_what_is_drawn_of_a_video_differs_in_training_alone(store, splits, tmp_path):
    drawn = []

    class Spy(Source):
        def load(self, rows, device, training=False):
            drawn.append(training)
            return super().load(rows, device, training)

    rows, check = splits.others(0), splits.rows(0)
    source, targets = Spy(store, "video", Inputs()), HardTargets(store.labels, 30)
    settings = WHOLE.model_copy(update={"epochs": 2, "steps_per_epoch": 3})
    fit(_Net(store.dims), Examples(source, rows, targets, check), settings, tmp_path, "test")
    assert drawn == [True, True, True, False] * 2


def test_accuracies_of_classes_come_from_epochs_of_different_order(store, splits, monkeypatch):
    seeds, cut = [], class_accuracy.batch_rows

    def spy(rows, size, seed=None):
        seeds.append(seed)
        return cut(rows, size, seed)

    monkeypatch.setattr(class_accuracy, "batch_rows", spy)
    targets = HardTargets(store.labels, 30)
    class_accuracy.label_accuracies(store, splits.others(0), targets, 5)
    expected = [seed_of(5, "accuracy", epoch) for epoch in range(class_accuracy.EPOCHS)]
    assert [seed for seed in seeds if seed is not None] == expected * 2
