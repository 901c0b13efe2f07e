"""Targets, logits and objectives that the tests of label noise share; a loss in float64."""

from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F

from yt8m.data.store import Dims
from yt8m.inputs.batch import HardTargets
from yt8m.records.labels import Labels
from yt8m.training.objective import Objective
from yt8m.training.settings import Training

VIDEOS, CLASSES = 40, 7
FREQUENCY = torch.tensor([0.3, 0.2, 0.1, 0.05, 0.02, 0.4, 0.01])


def some_targets(videos=VIDEOS, seed=0) -> HardTargets:
    rng = np.random.default_rng(seed)
    lists = [rng.choice(CLASSES, rng.integers(1, 4), replace=False) for _ in range(videos)]
    return HardTargets(Labels.from_lists(lists), CLASSES)


def objective_of(targets=None, verticals=0, vertical_of=None, **training) -> Objective:
    targets = targets or some_targets()
    vertical_of = np.full(CLASSES, -1) if vertical_of is None else vertical_of
    store = SimpleNamespace(
        dims=Dims({"rgb": 4, "audio": 2}, CLASSES, 0, verticals), vertical_of=vertical_of
    )
    rows = np.arange(len(targets.labels))
    return Objective(Training(**training), store, rows, targets, verticals)


def some_logits(seed=0, classes=CLASSES) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(VIDEOS, classes, generator=generator)).requires_grad_()


def shares_of(targets: HardTargets) -> torch.Tensor:
    counts = torch.from_numpy(targets.labels.class_counts(CLASSES))
    return (counts + 0.5) / (len(targets.labels) + 1)


def agree(loss, logits, expected) -> None:
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-5)
    (one,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (two,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def bce_of(logits, dense) -> torch.Tensor:
    """In float64; targets outside [0, 1] too."""
    x = logits.double()
    return -(dense * F.logsigmoid(x) + (1 - dense) * F.logsigmoid(-x)).sum(1).mean()


ALL = np.arange(VIDEOS)
