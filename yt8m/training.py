"""The one training loop, and prediction; used by first_level and distill.

`fit` goes on from the checkpoint of a killed run (yt8m/checkpoint.py). Every epoch draws its random
numbers from (seed, epoch), so a resumed run equals an undisturbed one.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from yt8m import device as devices
from yt8m import losses, metrics
from yt8m.checkpoint import Run
from yt8m.cli import InputError, log
from yt8m.dataset import Source, TargetSource, batch_rows
from yt8m.files import writing
from yt8m.mixup import mixup
from yt8m.predictions import Predictions, top_k
from yt8m.settings import Precision, Training
from yt8m.splits import seed_of


def fit(
    model: nn.Module,
    source: Source,
    rows: np.ndarray,
    targets: TargetSource,
    settings: Training,
    folder: Path,
    name: str,
    check_rows: np.ndarray | None = None,
    fingerprint: str = "",
) -> list[dict]:
    """Trains `model` (Batch -> logits (B, C)) in place on store rows; returns a line an epoch.

    check_rows: videos whose GAP@20 is logged each epoch. With `patience` they choose the epoch,
    so they must be videos that the model never predicts; otherwise they are only watched.
    fingerprint: of all that went in; a checkpoint with another one is not gone on from.
    InputError when the loss is not finite.
    """
    device = devices.pick()
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports for a second
    run = Run(model.to(device), settings, device, folder, name, fingerprint)
    steps = len(batch_rows(rows, settings.batch_size)) * settings.epochs
    total = _Clock(settings.epochs - run.epoch, len(rows))
    while run.epoch < settings.epochs and not run.stale():
        epoch = run.epoch
        loss = _train_epoch(run, source, rows, targets, epoch, steps)
        line = {"epoch": epoch + 1, "loss": loss, "lr": run.lr}
        if check_rows is not None and len(check_rows):
            watched = predict(run.best_weights(), source, check_rows, 20)
            labels = source.store.labels.take(check_rows)
            line["gap"] = metrics.gap(watched.classes, watched.logits, labels)
        line |= total.tick()
        run.end_epoch(line)
        if devices.rank() == 0:
            log(_epoch_line(name, line, settings.epochs))
    run.finish()
    return run.history


def _train_epoch(run, source, rows, targets, epoch: int, steps: int) -> float:
    """One pass over the rows; returns the mean loss."""
    settings, device = run.settings, run.device
    loss_function = getattr(losses, settings.loss)
    torch.manual_seed(seed_of(settings.seed, "epoch", epoch))
    batches = batch_rows(rows, settings.batch_size, seed_of(settings.seed, "order", epoch))
    mine = slice(devices.rank(), None, devices.world_size())
    run.trained.train()
    sums = torch.zeros((), device=device)
    for number, chosen in enumerate(batches):
        step = epoch * len(batches) + number
        run.set_lr(settings.lr * _schedule(step / steps, settings))
        chosen = chosen[mine]
        batch = source.load(chosen, device, training=True)
        wanted = targets(chosen).to(device)
        if settings.mixup:
            batch, wanted = mixup(batch, wanted, settings.mixup)
        with devices.autocast(device, settings.precision):
            logits = run.trained(batch)
        loss = loss_function(logits, wanted)
        run.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(run.model.parameters(), settings.clip)
        run.step()
        sums += loss.detach()
        if number % 50 == 0 or number == len(batches) - 1:  # each look waits for a GPU
            run.check_finite(sums + norm, epoch, step)
    return float(sums) / len(batches)


class _Clock:
    """Examples per second, and what is left, from the epochs of this process."""

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
    batch_size: int = 512,
    precision: Precision = "auto",
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yields (rows, logits (B, C) float32 on the model's device), in the order of `rows`."""
    device = next(model.parameters()).device
    model.eval()
    for chosen in batch_rows(rows, batch_size) if len(rows) else []:
        batch = source.load(chosen, device)
        with torch.inference_mode(), devices.autocast(device, precision):
            yield chosen, model(batch).float()


def predict(
    model: nn.Module,
    source: Source,
    rows: np.ndarray,
    k: int,
    batch_size: int = 512,
) -> Predictions:
    """The K best classes of store rows, by a model in evaluation mode."""
    k = min(k, source.store.dims.classes)
    parts = [(np.zeros((0, k), np.uint16), np.zeros((0, k), np.float16))]
    parts += [top_k(logits, k) for _, logits in logits_of(model, source, rows, batch_size)]
    classes, logits = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Predictions(source.store.ids[rows], classes, logits)


def start_from_frequencies(model: nn.Module, counts: np.ndarray, videos: int) -> None:
    """Lets the classifier begin at the log-odds of each class among the training videos.

    counts: int64 (C,). With thousands of rare classes a start at even odds costs some epochs. The
    classifier is the last Linear with C outputs: its bias is set or, where it has none, its weights
    are shifted, taking inputs to be ReLU of BatchNorm, of mean 0.4. No such layer: nothing is done.
    """
    heads = [m for m in model.modules() if isinstance(m, nn.Linear)]
    heads = [m for m in heads if m.out_features == len(counts)]
    if not heads:
        return
    share = (counts + 0.5) / (videos + 1)
    odds = torch.from_numpy(np.log(share / (1 - share))).float()
    with torch.no_grad():
        if heads[-1].bias is not None:
            heads[-1].bias.copy_(odds)
        else:
            heads[-1].weight += (odds / (0.4 * heads[-1].in_features))[:, None]


def save_weights(model: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes the model's state as safetensors, atomically."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    with writing(path) as temporary:
        save_file(state, temporary, metadata)


def load_weights(model: nn.Module, path: Path) -> None:
    """Reads what `save_weights` wrote; InputError when it does not fit the model."""
    try:
        model.load_state_dict(load_file(path))
    except (RuntimeError, OSError, ValueError) as error:
        text = str(error).splitlines()[0]
        raise InputError(f"{path}: not this model's weights ({text}); delete it") from error


def size_of(model: nn.Module) -> tuple[int, float]:
    """(number of parameters, MB in float32 with the batch statistics)."""
    parameters = sum(p.numel() for p in model.parameters())
    return parameters, sum(t.numel() * t.element_size() for t in model.state_dict().values()) / 1e6


def _schedule(progress: float, settings: Training) -> float:
    """Factor of lr at a share `progress` of all steps: linear warm-up, then cosine to zero."""
    if progress < settings.warmup:
        return max(progress, 1e-3) / settings.warmup
    if settings.schedule == "constant":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * (progress - settings.warmup) / (1 - settings.warmup))


def _epoch_line(name: str, line: dict, epochs: int) -> str:
    gap = f" gap {line['gap']:.4f}" if "gap" in line else ""
    left = int(line["left"])
    return (
        f"[{name}] epoch {line['epoch']}/{epochs} loss {line['loss']:.4f}{gap} "
        f"{line['examples_per_s']:,.0f} examples/s, {left // 60}:{left % 60:02d} left"
    )
