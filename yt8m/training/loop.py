"""The one training loop, and prediction; first_level and distill use both.

`fit` resumes a killed run from its checkpoint (checkpoint.py). Every epoch draws its random numbers
from (seed, epoch), so a resumed run equals one that nothing interrupted.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from yt8m.base import device as devices
from yt8m.base.arrays import let_go
from yt8m.base.cli import InputError, log
from yt8m.base.config import Precision
from yt8m.base.run_log import write_log
from yt8m.data.predictions import TOP_K, Predictions, to_fill, top_k
from yt8m.data.splits import seed_of
from yt8m.inputs.batch import Batch, Source, Targets, TargetSource, batch_rows
from yt8m.networks.cpu import use_fast_layers
from yt8m.training import metrics
from yt8m.training.checkpoint import TrainingRun
from yt8m.training.mixup import mixup
from yt8m.training.noise import dropouts, mean_of_passes
from yt8m.training.objective import Objective
from yt8m.training.schedule import batches_of, lr_factor, steps_of, videos_of
from yt8m.training.settings import Training

PREDICTED = 512  # videos of a batch of predictions


@dataclass(frozen=True)
class Examples:
    """What a network learns from.

    rows: store rows of the training videos. teach: changes the targets of each batch. watched: rows
    whose GAP@20 is logged after each epoch. Early stopping and the plateau schedule
    (settings.needs_inner) look at it; then the network must not predict these videos later.
    """

    source: Source
    rows: np.ndarray
    targets: TargetSource
    watched: np.ndarray | None = None
    teach: Callable[[Batch, Targets], Targets] | None = None

    @cached_property
    def has_labels(self) -> bool:
        """Whether there are watched videos, and labels of them: without, there is no GAP."""
        rows = self.watched
        return rows is not None and len(self.source.store.labels.take(rows).indices) > 0


def fit(
    model: nn.Module,
    examples: Examples,
    settings: Training,
    folder: Path,
    name: str,
    fingerprint: str = "",
) -> list[dict]:
    """Trains `model` (Batch -> logits (B, C)) in place; returns a line of figures for each epoch.

    FOLDER/log.jsonl gets the same lines, epoch by epoch. name: of the job, for messages.
    fingerprint: of everything that decides the weights; a checkpoint with another is ignored.

    A model may have `verticals`, a number V > 0: its logits in training are then (B, C + V), those
    of the verticals last. It may have `penalty`, a scalar that each forward pass sets and that is
    added to the loss. It may have `remember(batch, targets)`, which is called before training with
    up to `model.videos` of the videos.

    InputError when the loss is not finite, or videos or dropout that the settings need are missing.
    """
    _check(model, examples, settings, name)
    _remember(model, examples)
    run = _start(model, examples, settings, folder, name, fingerprint)
    clock = _Clock(settings.epochs - run.epoch, videos_of(examples.rows, settings))
    _write_log(run)
    while run.epoch < settings.epochs and not run.stale():
        line = {"epoch": run.epoch + 1, "loss": _train_epoch(run, examples), "lr": run.lr}
        if examples.has_labels:
            line["gap"] = _watched_gap(run, examples)
        line |= clock.tick() | devices.peak_memory(run.device)
        run.end_epoch(line)
        _write_log(run)
        if devices.rank() == 0:
            log(_epoch_line(name, line, settings.epochs))
    run.finish()
    return run.history


def _check(model: nn.Module, examples: Examples, settings: Training, name: str) -> None:
    """InputError when the settings need videos or dropout that are missing."""
    if settings.noise.test_passes:
        dropouts(model, f"[{name}]")
    if settings.needs_inner and not examples.has_labels:
        text = "no videos with labels for the inner split that patience and the plateau schedule"
        raise InputError(f"[{name}] {text} need; raise training.inner or give more records")


def _remember(model: nn.Module, examples: Examples) -> None:
    """Shows the videos that it keeps to a model that keeps some."""
    if hasattr(model, "remember"):
        rows = examples.rows[:: -(-len(examples.rows) // model.videos)]
        model.remember(examples.source.load(rows, torch.device("cpu")), examples.targets(rows))


def _start(
    model: nn.Module, examples: Examples, settings: Training, folder: Path, name: str, made_from
) -> TrainingRun:
    """Puts the model on the device; returns a run, resumed if it has a checkpoint."""
    device = devices.pick()
    devices.use_deterministic_kernels()
    verticals, store = getattr(model, "verticals", 0), examples.source.store
    objective = Objective(settings, store, examples.rows, examples.targets, verticals).to(device)
    use_fast_layers(model.to(device))
    return TrainingRun(model, objective, settings, device, folder, name, made_from)


def _watched_gap(run: TrainingRun, examples: Examples) -> float:
    """GAP@20 of the watched videos."""
    source, rows = examples.source, examples.watched
    options = {"precision": run.settings.precision, "where": f"[{run.name}] epoch {run.epoch + 1}"}
    found = predict(run.best_weights(), source, rows, TOP_K, **options)
    return metrics.gap(found.classes, found.logits, source.store.labels.take(rows))


def _write_log(run: TrainingRun) -> None:
    """Writes the run's history; only the first process does."""
    if devices.rank() == 0:
        write_log(run.path.parent, run.name, run.settings.epochs, run.history)


def _train_epoch(run: TrainingRun, examples: Examples) -> float:
    """Trains one epoch, the next one of the run; returns the mean loss."""
    settings, device, objective, rows = run.settings, run.device, run.objective, examples.rows
    torch.manual_seed(seed_of(settings.seed, "epoch", run.epoch))
    steps = steps_of(rows, settings)
    mine = slice(devices.rank(), None, devices.world_size())
    run.trained.train()
    sums = torch.zeros((), device=device)
    for number, chosen in enumerate(batches_of(rows, settings, run.epoch)):
        step = run.epoch * steps + number
        run.set_lr(settings.lr * lr_factor(step / (steps * settings.epochs), settings, run.gaps))
        chosen = chosen[mine]
        batch = examples.source.load(chosen, device, training=True)
        wanted = objective.labels(examples.targets(chosen)).to(device)
        if settings.mixup:
            batch, wanted = mixup(batch, wanted, settings.mixup)
        if examples.teach is not None:
            wanted = examples.teach(batch, wanted)
        with devices.autocast(device, settings.precision):
            logits = run.trained(batch)
        loss = objective(logits, wanted) + getattr(run.model, "penalty", 0.0)
        run.optimizer.zero_grad()
        loss.backward()
        devices.average_gradients(objective)  # the model's are averaged already
        norm = devices.clip_gradients(run.parameters(), settings.clip)
        run.step()
        sums += loss.detach()
        if number % 50 == 0 or number == steps - 1:  # each look waits for a GPU
            run.check_finite(sums + norm, step)
    return float(sums) / steps


class _Clock:
    """Examples per second and seconds left, judged by the epochs of this process."""

    def __init__(self, epochs: int, examples: int):
        self.epochs, self.examples = epochs, examples
        self.start = self.last = time.monotonic()
        self.done = 0

    def tick(self) -> dict[str, float]:
        now = time.monotonic()
        self.done += 1
        seconds, self.last = now - self.last, now
        left = (now - self.start) / self.done * (self.epochs - self.done)
        return {"examples_per_s": self.examples / seconds, "seconds": seconds, "left": left}


def logits_of(
    model: nn.Module,
    source: Source,
    rows: np.ndarray,
    precision: Precision = "auto",
    passes: int = 0,
    seed: int = 0,
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yields (rows, logits (B, C) float32 on the model's device), in the order of `rows`.

    passes: 0, or how many passes with dropout on are averaged, as probabilities (main paper,
    section 3). Their random numbers come from `seed`; everything else is as in evaluation.
    InputError when the model has no dropout.
    """
    device = next(model.parameters()).device
    model.eval()
    if passes:
        use_fast_layers(model)
        for part in dropouts(model, "predict"):
            part.training = True
    for number, chosen in enumerate(batch_rows(rows, PREDICTED) if len(rows) else []):
        batch = source.load(chosen, device)
        if passes:
            torch.manual_seed(seed_of(seed, "passes", number))
        with torch.inference_mode(), devices.autocast(device, precision):
            logits = mean_of_passes(model, batch, passes) if passes else model(batch).float()
        let_go()
        yield chosen, logits
    model.eval()


def predict(
    model: nn.Module,
    source: Source,
    rows: np.ndarray,
    k: int,
    passes: int = 0,
    seed: int = 0,
    precision: Precision = "auto",
    folder: Path | None = None,
    where: str = "model",
) -> Predictions:
    """The K best classes of store rows; passes, seed: as for `logits_of`.

    folder: the arrays are in a file there, which disappears with them; None: in memory. where:
    begins the text of an InputError when a logit is NaN.
    """
    found, start = to_fill(source.store.ids[rows], min(k, source.store.dims.classes), folder), 0
    for part, logits in logits_of(model, source, rows, precision, passes, seed):
        place = slice(start, start := start + len(part))
        found.classes[place], found.logits[place] = top_k(logits, found.classes.shape[1])
        if np.isnan(found.logits[place]).any():
            raise InputError(f"{where}: predictions are not numbers; lower lr or clip")
    return found


def _epoch_line(name: str, line: dict, epochs: int) -> str:
    gap = f" gap {line['gap']:.4f}" if "gap" in line else ""
    left = int(line["left"])
    return (
        f"[{name}] epoch {line['epoch']}/{epochs} loss {line['loss']:.4f}{gap} "
        f"{line['examples_per_s']:,.0f} examples/s, {left // 60}:{left % 60:02d} left"
    )
