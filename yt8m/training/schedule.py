"""The learning rate over a training run, and which batches an epoch has.

Both depend only on the settings, the step and the epochs' figures: resumed runs equal others.
"""

import math
from collections.abc import Iterator

import numpy as np

from yt8m.data.splits import seed_of
from yt8m.inputs.batch import batch_rows
from yt8m.training.settings import Training


def lr_factor(progress: float, settings: Training, gaps: list[float]) -> float:
    """The factor of lr after a share `progress` of all steps: linear warm-up, then the schedule.

    gaps: of the inner split, after each epoch so far.
    """
    if progress < settings.warmup:
        return min(1.0, max(progress, 1e-3) / settings.warmup)
    if settings.schedule == "plateau":
        return 0.5 ** halvings(gaps, settings.plateau_patience)
    if settings.schedule == "constant":
        return 1.0
    return 0.5 + 0.5 * math.cos(math.pi * (progress - settings.warmup) / (1 - settings.warmup))


def halvings(gaps: list[float], patience: int) -> int:
    """How often torch's ReduceLROnPlateau would have acted on 1 - GAP, with its threshold 1e-4."""
    best, bad, count = math.inf, 0, 0
    for error in (1 - gap for gap in gaps):
        better = error < best * (1 - 1e-4)
        best, bad = (error, 0) if better else (best, bad + 1)
        if bad > patience:
            count, bad = count + 1, 0
    return count


def steps_of(rows: np.ndarray, settings: Training) -> int:
    """Batches of an epoch."""
    least = math.ceil(settings.least_steps / max(settings.epochs, 1))
    return settings.steps_per_epoch or max(_per_pass(rows, settings), least)


def videos_of(rows: np.ndarray, settings: Training) -> int:
    """Videos of an epoch; a video that comes twice counts twice."""
    return steps_of(rows, settings) * len(rows) // _per_pass(rows, settings)


def batches_of(rows: np.ndarray, settings: Training, epoch: int) -> Iterator[np.ndarray]:
    """The batches of an epoch: a stretch of an endless stream of passes, each in a new order."""
    steps, size, current = steps_of(rows, settings), _per_pass(rows, settings), None
    for step in range(epoch * steps, (epoch + 1) * steps):
        if step // size != current:
            current = step // size
            order = seed_of(settings.seed, "order", current)
            batches = batch_rows(rows, settings.batch_size, order)
        yield batches[step % size]


def _per_pass(rows: np.ndarray, settings: Training) -> int:
    return len(batch_rows(rows, settings.batch_size))
