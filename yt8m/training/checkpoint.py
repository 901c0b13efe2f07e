"""A training run: everything that changes from step to step, and its checkpoint.

A checkpoint is written after an epoch, at most one every CHECKPOINT_SECONDS. It includes the
average of the weights (EMA) and the best epoch's weights (early stopping). It ends with a checksum:
torch compares none. One that is damaged is removed, and training starts anew.
"""

import copy
import os
import re
import time
from pathlib import Path

import numpy as np
import torch
from crc32c import crc32c
from torch import Tensor, nn

from yt8m.base import device as devices
from yt8m.base.cli import InputError, log
from yt8m.base.files import writing
from yt8m.base.paths import CHECKPOINT
from yt8m.training.adam import Adam

CHECKPOINT_SECONDS = 20.0  # the variable YT8M_CHECKPOINT_SECONDS says otherwise
LAST_LINE = b"crc32c:%08x\n"
LAST_BYTES = len(LAST_LINE % 0)
BLOCK = 1 << 20
FORMAT = 2  # of checkpoint.pt; checkpoints of another format are ignored


class TrainingRun:
    """One model with its optimiser, average and history; resumes from a checkpoint in `folder`.

    The objective's parameters are trained too. A checkpoint with another fingerprint is ignored.
    """

    def __init__(
        self,
        model: nn.Module,
        objective: nn.Module,
        settings,
        device,
        folder: Path,
        name: str,
        fingerprint: str,
    ):
        self.model, self.objective, self.settings = model, objective, settings
        self.device, self.name = device, name
        self.trained = model
        if devices.world_size() > 1:
            self.trained = nn.parallel.DistributedDataParallel(model)
        self.averaged = copy.deepcopy(model).requires_grad_(False) if settings.ema else None
        self.optimizer = _optimizer(self.parameters(), settings)
        self.path = folder / CHECKPOINT
        self.fingerprint = f"format {FORMAT} {fingerprint} {settings.model_dump_json()}"
        self.epoch, self.updates, self.lr = 0, 0, settings.lr
        self.history: list[dict] = []
        self.best: dict[str, Tensor] | None = None  # with patience: the best epoch's weights
        self.saved = time.monotonic()
        self._resume()

    def parameters(self) -> list[nn.Parameter]:
        """Those of the model and of the objective."""
        return [*self.model.parameters(), *self.objective.parameters()]

    @property
    def gaps(self) -> list[float]:
        """The watched videos' GAP after each epoch; 0 if no videos are watched."""
        return [line.get("gap", 0.0) for line in self.history]

    def set_lr(self, lr: float) -> None:
        self.lr = lr
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def step(self) -> None:
        """Takes an optimiser step and updates the average of the weights.

        The average's decay grows from 0.18 to settings.ema, so that it forgets the first weights.
        """
        self.optimizer.step()
        self.updates += 1
        if self.averaged is None:
            return
        decay = min(self.settings.ema, (1 + self.updates) / (10 + self.updates))
        with torch.no_grad():
            for mean, now in zip(_state(self.averaged), _state(self.model), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - decay)
                else:
                    mean.copy_(now)

    def check_finite(self, value: Tensor, step: int) -> None:
        if not torch.isfinite(value):
            raise InputError(
                f"[{self.name}] loss is {float(value)} at epoch {self.epoch + 1}, step {step + 1}; "
                f"lr is {self.lr:g}; lower lr or clip"
            )

    def best_weights(self) -> nn.Module:
        """The model to keep if training ended now."""
        return self.model if self.averaged is None else self.averaged

    def stale(self) -> bool:
        """Whether the last `patience` epochs brought no better GAP."""
        patience, gaps = self.settings.patience, self.gaps
        return bool(patience and gaps) and len(gaps) - 1 - int(np.argmax(gaps)) >= patience

    def end_epoch(self, line: dict) -> None:
        self.history.append(line)
        self.epoch += 1
        if self.settings.patience and line["gap"] >= max(e["gap"] for e in self.history):
            self.best = {k: v.clone() for k, v in self.best_weights().state_dict().items()}
        late = time.monotonic() - self.saved > seconds_between()
        if late and self.epoch < self.settings.epochs and devices.rank() == 0:
            self._save()
            self.saved = time.monotonic()

    def finish(self) -> None:
        """Puts the weights to keep into the model, in evaluation mode. InputError when one is not
        finite."""
        if self.best is not None:
            self.model.load_state_dict(self.best)
        elif self.averaged is not None:
            self.model.load_state_dict(self.averaged.state_dict())
        self.model.eval()
        for name, value in self.model.state_dict().items():  # the last step may be the one too far
            if not torch.isfinite(value).all():
                raise InputError(
                    f"[{self.name}] weights {name} are not finite after epoch {self.epoch}; lr is "
                    f"{self.settings.lr:g}; lower lr or clip"
                )

    def _save(self) -> None:
        state = {name: getattr(self, name) for name in ("epoch", "updates", "history", "best")}
        state["model"] = self.model.state_dict()
        state["objective"] = self.objective.state_dict()
        state["optimizer"] = self.optimizer.state_dict()
        state["averaged"] = self.averaged.state_dict() if self.averaged is not None else None
        state["fingerprint"] = self.fingerprint
        with writing(self.path) as temporary, open(temporary, "wb") as file:
            torch.save(state, out := _Summing(file))
            file.write(LAST_LINE % out.checksum)

    def _resume(self) -> None:
        if not self.path.is_file():
            return
        state = self._read()
        if state is None or state["fingerprint"] != self.fingerprint:
            return  # damaged, or from other data or settings: start anew
        self.model.load_state_dict(state["model"])
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.averaged is not None:
            self.averaged.load_state_dict(state["averaged"])
        for name in ("epoch", "updates", "history", "best"):
            setattr(self, name, state[name])
        log(f"[{self.name}] resuming after epoch {self.epoch}")

    def _read(self) -> dict | None:
        """What `_save` wrote. None of a file that is anything else, which is removed."""
        try:
            _compare(self.path)
            return torch.load(self.path, map_location=self.device, weights_only=True)
        except Exception as error:  # torch, pickle and zip have many of their own
            if devices.rank() == 0:
                text = " ".join(str(error).split()[:12])
                log(f"[{self.name}] warning: {self.path} is damaged ({text}); starting anew")
                self.path.unlink(missing_ok=True)
            return None


class _Summing:
    """A file that torch writes into, and the checksum of what it wrote."""

    def __init__(self, file):
        self.file, self.checksum = file, 0

    def write(self, data) -> int:
        self.checksum = crc32c(data, self.checksum)
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _compare(path: Path) -> None:
    """ValueError unless a checkpoint ends with its checksum."""
    checksum, left = 0, path.stat().st_size - LAST_BYTES
    with open(path, "rb") as file:
        while left > 0:
            block = file.read(min(left, BLOCK))
            checksum, left = crc32c(block, checksum), left - len(block)
        if left < 0 or file.read() != LAST_LINE % checksum:
            raise ValueError("its checksum differs")


def seconds_between() -> float:
    """Between two checkpoints, at least. InputError when the environment says no number."""
    text = os.environ.get("YT8M_CHECKPOINT_SECONDS")
    if text is None:
        return CHECKPOINT_SECONDS
    if not re.fullmatch(r"\d+(\.\d*)?", text):
        raise InputError(f"YT8M_CHECKPOINT_SECONDS {text}: a number, 0 or more, is needed")
    return float(text)


def _state(model: nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]


def _optimizer(parameters: list[nn.Parameter], settings) -> Adam | torch.optim.Optimizer:
    matrices = [p for p in parameters if p.requires_grad and p.ndim > 1]
    vectors = [p for p in parameters if p.requires_grad and p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if settings.optimizer == "rmsprop":
        return torch.optim.RMSprop(groups, lr=settings.lr, alpha=0.9)
    if settings.optimizer == "adagrad":
        # TensorFlow's start, for which rates were published. From 0 the first step would be lr.
        return torch.optim.Adagrad(groups, lr=settings.lr, initial_accumulator_value=0.1)
    return Adam(groups, settings.lr, decoupled=settings.optimizer == "adamw")
