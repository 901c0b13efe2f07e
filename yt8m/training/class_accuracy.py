"""How well each class can be predicted: two-fold cross-validation of a quick logistic regression.

It uses video-level features of at most VIDEOS of the training videos, and takes less than a minute
on one core. Letters: B batch, C classes, K labels at most.
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
PRIOR = 10  # labels at the mean accuracy, added to each class's own: most classes have few


def label_accuracies(store: Store, rows: np.ndarray, targets: TargetSource, seed: int) -> Tensor:
    """The accuracy of each class, float32 (C,) in [0, 1]: the F1 score of its predictions.

    A model trained on the other half of the videos predicts, for each video, as many classes as it
    has labels (targets of at least 0.5). Plain accuracy would be near 1 for every rare class.
    """
    source = Source(store, "video", Inputs())
    rows = np.random.default_rng(seed_of(seed, "accuracy")).permutation(rows)[:VIDEOS]
    halves = np.array_split(rows, 2)
    hits, predicted, actual = torch.zeros(3, store.dims.classes, dtype=torch.float64)
    for training, other in (halves, halves[::-1]):
        model = _regression(source, training, targets, seed)
        for chosen in batch_rows(other, BATCH):
            labels = targets(chosen).dense() >= 0.5  # (B, C), dense as the scores are
            counts = labels.sum(1, keepdim=True)
            with torch.inference_mode():
                scores = model(source.load(chosen, model.weight.device).joined).cpu()
            best = scores.topk(int(counts.max()), dim=1).indices  # (B, K)
            found = torch.zeros_like(labels).scatter_(1, best, torch.arange(best.shape[1]) < counts)
            hits += (found & labels).sum(0)
            predicted += found.sum(0)
            actual += labels.sum(0)
    overall = 2 * hits.sum() / (predicted + actual).sum().clamp_min(1)
    return ((2 * hits + PRIOR * overall) / (predicted + actual + PRIOR)).float()


def class_counts(targets: TargetSource, rows: np.ndarray) -> Tensor:
    """The sum of each class's targets, float64 (C,)."""
    return sum(
        torch.bincount(part.classes, part.values.double(), minlength=part.shape[1])
        for part in map(targets, batch_rows(rows, 4096))
    )


def frequencies(counts: Tensor, videos: int) -> Tensor:
    """The share of videos with each class, float32 in (0, 1), from counts (C,)."""
    return ((counts + 0.5) / (videos + 1)).float()


def _regression(source: Source, rows: np.ndarray, targets: TargetSource, seed: int) -> nn.Linear:
    """Logistic regression on one half; it starts with zero weights and class frequencies."""
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
