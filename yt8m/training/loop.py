"""The one training loop, and prediction; used by first_level and distill.

`fit` goes on from the checkpoint of a killed run (checkpoint.py). Every epoch draws its random
numbers from (seed, epoch), so a resumed run equals an undisturbed one.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from yt8m.base import device as devices
from yt8m.base.arrays import let_go
from yt8m.base.cli import InputError, log
from yt8m.base.config import Precision
from yt8m.base.files import writing
from yt8m.base.run_log import write_log
from yt8m.data.predictions import Predictions, to_fill, top_k
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
    teach: Callable[[Batch, Targets], Targets] | None = None,
) -> list[dict]:
    """Trains `model` (Batch -> logits (B, C)) in place on store rows; returns a line an epoch.

    FOLDER/log.jsonl holds the same lines while it goes on (yt8m/base/run_log.py).

    A model may have `verticals`, a number V > 0: while it trains its logits are (B, C + V), the
    last those of the verticals; `penalty`, a scalar of each forward pass, added to the loss; and
    `remember(batch, targets)`, called first with up to `model.videos` of the videos.
    check_rows: videos whose GAP@20 is logged each epoch. If settings.needs_inner they decide, so
    they must be videos that the model never predicts; otherwise they are only watched.
    fingerprint: of all that went in; a checkpoint with another one is not gone on from.
    InputError when the loss is not finite, or the settings ask for what is not there.
    """
    if settings.noise.test_passes:
        dropouts(model, f"[{name}]")
    if settings.needs_inner and not (check_rows is not None and len(check_rows)):
        raise InputError(
            f"[{name}] no videos for the inner split that patience and the plateau schedule need; "
            "raise training.inner or give more records"
        )
    if hasattr(model, "remember"):
        kept = rows[:: -(-len(rows) // model.videos)]
        model.remember(source.load(kept, torch.device("cpu")), targets(kept))
    device = devices.pick()
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms imports for a second
    verticals = getattr(model, "verticals", 0)
    objective = Objective(settings, source.store, rows, targets, verticals).to(device)
    use_fast_layers(model.to(device))
    run = TrainingRun(model, objective, settings, device, folder, name, fingerprint)
    total = _Clock(settings.epochs - run.epoch, videos_of(rows, settings))
    _note(run)
    while run.epoch < settings.epochs and not run.stale():
        epoch = run.epoch
        loss = _train_epoch(run, source, rows, targets, teach)
        line = {"epoch": epoch + 1, "loss": loss, "lr": run.lr}
        if check_rows is not None and len(check_rows):
            best, precision = run.best_weights(), settings.precision
            watched = predict(best, source, check_rows, 20, precision=precision)
            labels = source.store.labels.take(check_rows)
            line["gap"] = metrics.gap(watched.classes, watched.logits, labels)
        line |= total.tick() | devices.peak_memory(device)
        run.end_epoch(line)
        _note(run)
        if devices.rank() == 0:
            log(_epoch_line(name, line, settings.epochs))
    run.finish()
    return run.history


def _note(run: TrainingRun) -> None:
    """Writes what there is of the run; the first process alone does."""
    if devices.rank() == 0:
        write_log(run.path.parent, run.name, run.settings.epochs, run.history)


def _train_epoch(run: TrainingRun, source: Source, rows, targets: TargetSource, teach) -> float:
    """The epoch that the run has come to; returns the mean loss."""
    settings, device, objective = run.settings, run.device, run.objective
    torch.manual_seed(seed_of(settings.seed, "epoch", run.epoch))
    steps = steps_of(rows, settings)
    mine = slice(devices.rank(), None, devices.world_size())
    run.trained.train()
    sums = torch.zeros((), device=device)
    for number, chosen in enumerate(batches_of(rows, settings, run.epoch)):
        step = run.epoch * steps + number
        run.set_lr(settings.lr * lr_factor(step / (steps * settings.epochs), settings, run.gaps))
        chosen = chosen[mine]
        batch = source.load(chosen, device, training=True)
        wanted = objective.labels(targets(chosen)).to(device)
        if settings.mixup:
            batch, wanted = mixup(batch, wanted, settings.mixup)
        if teach is not None:
            wanted = teach(batch, wanted)
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
    passes: int = 0,
    seed: int = 0,
) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Yields (rows, logits (B, C) float32 on the model's device), in the order of `rows`.

    passes: if not 0, the mean probability of so many with dropout on and all else as in evaluation
    (main paper, section 3), drawn from `seed`. InputError when the model has no dropout.
    """
    device = next(model.parameters()).device
    model.eval()
    if passes:
        use_fast_layers(model)
        for part in dropouts(model, "predict"):
            part.training = True
    for number, chosen in enumerate(batch_rows(rows, batch_size) if len(rows) else []):
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
    batch_size: int = 512,
    passes: int = 0,
    seed: int = 0,
    precision: Precision = "auto",
    folder: Path | None = None,
) -> Predictions:
    """The K best classes of store rows, by a model in evaluation mode; passes: see logits_of.

    folder: where they are kept until they are let go of; in memory, if None.
    """
    kept, start = to_fill(source.store.ids[rows], min(k, source.store.dims.classes), folder), 0
    for some, logits in logits_of(model, source, rows, batch_size, precision, passes, seed):
        place = slice(start, start := start + len(some))
        kept.classes[place], kept.logits[place] = top_k(logits, kept.classes.shape[1])
    return kept


def start_from_frequencies(model: nn.Module, counts: np.ndarray, videos: int) -> None:
    """Lets the classifier begin at the log-odds of each class among the training videos.

    counts: int64 (C,). With thousands of rare classes a start at even odds costs some epochs. Its
    bias is set or, where it has none, its weights are shifted, taking inputs to be ReLU of
    BatchNorm, of mean 0.4. A model without a classifier is left as it is.
    """
    head = _classifier(model, len(counts))
    if head is None:
        return
    share = (counts + 0.5) / (videos + 1)
    odds = torch.from_numpy(np.log(share / (1 - share))).float()
    with torch.no_grad():
        if head.bias is not None:
            head.bias.copy_(odds)
        else:
            head.weight += (odds / (0.4 * head.in_features))[:, None]


def _classifier(model: nn.Module, classes: int) -> nn.Linear | None:
    """The last Linear with C outputs: of those called `classifier`, or else of those whose inputs
    are not the C logits themselves (context gating).
    """
    heads = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    heads = [(name, part) for name, part in heads if part.out_features == classes]
    named = [part for name, part in heads if name.split(".")[-1] == "classifier"]
    others = [part for _, part in heads if part.in_features != classes]
    return next(reversed(named or others or [None]))


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


def _epoch_line(name: str, line: dict, epochs: int) -> str:
    gap = f" gap {line['gap']:.4f}" if "gap" in line else ""
    left = int(line["left"])
    return (
        f"[{name}] epoch {line['epoch']}/{epochs} loss {line['loss']:.4f}{gap} "
        f"{line['examples_per_s']:,.0f} examples/s, {left // 60}:{left % 60:02d} left"
    )
