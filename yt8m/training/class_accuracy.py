"""How well each class can be told: two-fold cross-validation of a quick logistic regression.

Only videos that the caller trains on are used, at most VIDEOS of them, so that it takes less than a
minute on one core. Video-level features. B batch, C classes, K labels at most.
"""

import numpy as np
import torch
from torch import Tensor, nn

from yt8m.base import device as devices
from yt8m.data.splits import seed_of
from yt8m.data.store import Store
from yt8m.inputs.batch import Source, TargetSource, batch_rows
from yt8m.inputs.settings import Inputs
from yt8m.training import losses
from yt8m.training.adam import Adam

VIDEOS = 20_000
EPOCHS = 3
BATCH = 512
LR = 1e-2
PRIOR = 10  # labels that a class's accuracy is drawn to the mean with: most have few


def label_accuracies(store: Store, rows: np.ndarray, targets: TargetSource, seed: int) -> Tensor:
    """The accuracy of each class, float32 (C,) in [0, 1]: the F1 score of its predictions.

    Each video is given its best-scored classes, as many as it has labels (targets of 0.5 and more),
    by a model of the other half of the videos. Plain accuracy would be near 1 for every rare class.
    """
    source = Source(store, "video", Inputs())
    rows = np.random.default_rng(seed_of(seed, "accuracy")).permutation(rows)[:VIDEOS]
    halves = np.array_split(rows, 2)
    hits, predicted, actual = torch.zeros(3, store.dims.classes, dtype=torch.float64)
    for learnt, judged in (halves, halves[::-1]):
        model = _regression(source, learnt, targets, seed)
        for chosen in batch_rows(judged, BATCH):
            there = targets(chosen).dense() >= 0.5  # (B, C), dense as the scores are
            counts = there.sum(1, keepdim=True)
            with torch.inference_mode():
                scores = model(source.load(chosen, model.weight.device).joined).cpu()
            best = scores.topk(int(counts.max()), dim=1).indices  # (B, K)
            given = torch.zeros_like(there).scatter_(1, best, torch.arange(best.shape[1]) < counts)
            hits += (given & there).sum(0)
            predicted += given.sum(0)
            actual += there.sum(0)
    overall = 2 * hits.sum() / (predicted + actual).sum().clamp_min(1)
    return ((2 * hits + PRIOR * overall) / (predicted + actual + PRIOR)).float()


def class_counts(targets: TargetSource, rows: np.ndarray) -> Tensor:
    """The sum of each class's targets, float64 (C,)."""
    return sum(
        torch.bincount(part.classes, part.values.double(), minlength=part.shape[1])
        for part in map(targets, batch_rows(rows, 4096))
    )


def frequencies(counts: Tensor, videos: int) -> Tensor:
    """Shares of the videos, float32 in (0, 1), of counts (C,)."""
    return ((counts + 0.5) / (videos + 1)).float()


def _regression(source: Source, rows: np.ndarray, targets: TargetSource, seed: int) -> nn.Linear:
    """Logistic regression of one half, from zero weights and the classes' frequencies."""
    device, dims = devices.pick(), source.dims
    model = nn.Linear(dims.width, dims.classes, device=device)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(frequencies(class_counts(targets, rows), len(rows)).logit())
    groups = [{"params": list(model.parameters()), "weight_decay": 0.01}]
    optimizer = Adam(groups, LR, decoupled=True)
    for epoch in range(EPOCHS):
        for chosen in batch_rows(rows, BATCH, seed_of(seed, "accuracy", epoch)):
            logits = model(source.load(chosen, device).joined)
            optimizer.zero_grad()
            losses.bce(logits, targets(chosen).to(device)).backward()
            optimizer.step()
    return model
