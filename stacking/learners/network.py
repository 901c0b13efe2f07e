"""A network over rows (yt8m/networks/candidate_head.py): its training, and its predictions.

It reads the rows batch by batch, so it learns from any number of them. It needs no inner split: a
fixed number of passes is enough for so few weights.

M candidates, F columns, R rows.
"""

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from stacking.config import Stacking
from stacking.table import FoldRows, title_of
from yt8m.base import device as devices
from yt8m.base import processor
from yt8m.base.arrays import blocks, let_go, read_metadata
from yt8m.base.cli import InputError, log
from yt8m.base.files import require
from yt8m.data.origins import Origin
from yt8m.data.splits import seed_of, uniform
from yt8m.networks.candidate_head import CandidateHead
from yt8m.networks.cpu import use_fast_layers
from yt8m.training.checkpoint import TrainingRun
from yt8m.training.schedule import batches_of, lr_factor, steps_of
from yt8m.training.weights import load_weights, save_weights

SAMPLE = 1024  # videos of each fold that the scale of the columns is taken from
CHUNK = 1 << 14  # rows predicted at a time


class GroupedRows:
    """The rows of several folds, a video at a time: one sequence of videos."""

    def __init__(self, groups: list[FoldRows]):
        self.groups = groups
        self.starts = np.cumsum([0, *(len(group.rows.ids) for group in groups)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def load(self, videos: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Columns float32 (B, M, F) and labels float32 (B, M) of ascending places (B,)."""
        columns, labels = [], []
        ends = np.searchsorted(videos, self.starts)
        for group, start, first, last in zip(
            self.groups, self.starts, ends, ends[1:], strict=False
        ):
            own = videos[first:last] - start
            rows = group.rows
            known = rows.label_features[group.variant]
            columns.append(np.concatenate([rows.features[own], known[own]], axis=2))
            labels.append(rows.labels[own])
        both = np.concatenate(columns), np.concatenate(labels).astype(np.float32)
        return torch.from_numpy(both[0]), torch.from_numpy(both[1])

    def sample(self, salt: str) -> torch.Tensor:
        """Columns (R, F) of at most SAMPLE videos of each fold, chosen by their ids."""
        parts = []
        for group, start in zip(self.groups, self.starts, strict=False):
            order = np.argsort(uniform(group.rows.ids, salt), kind="stable")
            parts.append(self.load(np.sort(start + order[:SAMPLE]))[0])
        return torch.cat(parts).flatten(0, 1)


def fit_head(
    groups: list[FoldRows], columns: int, settings: Stacking, fold: int, out: Path, made_from: str
) -> tuple[CandidateHead, list[dict]]:
    """Trains a head on all rows of the groups; returns it and a line for each epoch.

    A killed training goes on from its checkpoint in the folder `out`, unless that was made from
    something else. InputError without rows, or when the loss is not finite.
    """
    rows, options = GroupedRows(groups), settings.network.training
    if not len(rows):
        raise InputError(f"{out}: no rows to learn from; give more records")
    seed = seed_of(settings.seed, "stacking network", fold, options.seed)
    options = options.model_copy(update={"seed": seed})
    torch.manual_seed(seed)
    head = CandidateHead(columns, settings.network.width, settings.network.layers)
    head.fit_scale(rows.sample(f"stacking network {settings.seed}"))
    device = devices.pick()
    devices.use_deterministic_kernels()
    use_fast_layers(head.to(device))
    title = f"stack {title_of(fold)} network"
    run = TrainingRun(head, nn.Module(), options, device, out, title, made_from)
    while run.epoch < options.epochs:
        run.end_epoch({"epoch": run.epoch + 1, "loss": _train_epoch(run, rows)})
        log(f"[{title}] epoch {run.epoch}/{options.epochs} loss {run.history[-1]['loss']:.5f}")
    run.finish()
    return head.cpu(), run.history


def _train_epoch(run: TrainingRun, rows: GroupedRows) -> float:
    """Trains one epoch, the next one of the run; returns the mean loss of a row."""
    options, videos = run.settings, np.arange(len(rows))
    torch.manual_seed(seed_of(options.seed, "epoch", run.epoch))
    steps, total = steps_of(videos, options), torch.zeros((), device=run.device)
    run.model.train()
    for number, chosen in enumerate(batches_of(videos, options, run.epoch)):
        step = run.epoch * steps + number
        run.set_lr(options.lr * lr_factor(step / (steps * options.epochs), options, []))
        columns, labels = (part.to(run.device) for part in rows.load(np.sort(chosen)))
        with devices.autocast(run.device, options.precision):
            logits = run.model(columns)
        loss = F.binary_cross_entropy_with_logits(logits.float(), labels)
        run.optimizer.zero_grad()
        loss.backward()
        devices.clip_gradients(run.parameters(), options.clip)
        run.step()
        total += loss.detach()
        let_go()
    run.check_finite(total, steps - 1)
    return float(total) / steps


def save_head(
    head: CandidateHead, path: Path, columns: list[str], origin: Origin | None = None
) -> None:
    """Writes the weights, the names of the columns, and what they were made from."""
    header = origin.header if origin else {}
    save_weights(head, path, {"columns": json.dumps(columns)} | header)


def load_head(head: CandidateHead, path: Path, columns: list[str]) -> None:
    """Reads what `save_head` wrote. InputError when it is absent, damaged or of other columns."""
    load_weights(head, require(path, "run `make` to build it"))
    if read_metadata(path).get("columns") != json.dumps(columns):
        raise InputError(f"{path}: was trained on other columns than these rows have; run `make`")


class NetworkOfRows:
    """A trained head as a learner of the stack. threads: of this process."""

    def __init__(self, head: CandidateHead):
        self.head = head.eval()

    @classmethod
    def read(
        cls, path: Path, settings: Stacking, columns: list[str], threads: int = 1
    ) -> "NetworkOfRows":
        """InputError when the file is absent or damaged, or of other columns."""
        processor.set_threads(threads)
        head = CandidateHead(len(columns), settings.network.width, settings.network.layers)
        load_head(head, path, columns)
        return cls(head)

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Logits float32 (R,) of rows (R, F)."""
        found = np.empty(len(matrix), np.float32)
        with torch.inference_mode():
            for part in blocks(len(matrix), CHUNK):
                found[part] = self.head(torch.from_numpy(matrix[part])).numpy()
        return found

    def shares(self) -> np.ndarray:
        """Of the absolute weights of the first layer: float (F,)."""
        weights = self.head.layers[0].weight.detach().abs().sum(0).double()
        return (weights / weights.sum()).numpy()
