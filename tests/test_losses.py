"""Losses and mixup against direct, slow definitions; values and gradients."""

import math
import typing

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from yt8m import losses
from yt8m.dataset import Batch, HardTargets, Targets
from yt8m.labels import Labels
from yt8m.mixup import mixed, mixup
from yt8m.settings import Training


def _case(seed=0, videos=7, classes=11):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(videos, classes, generator=generator, dtype=torch.float32)
    rng = np.random.default_rng(seed)
    lists = [rng.choice(classes, rng.integers(1, 4), replace=False) for _ in range(videos)]
    targets = HardTargets(Labels.from_lists(lists), classes)(np.arange(videos))
    return logits.requires_grad_(), targets


def _soft(targets: Targets, seed=3) -> Targets:
    values = torch.rand(len(targets.values), generator=torch.Generator().manual_seed(seed))
    return Targets(targets.rows, targets.classes, values, targets.shape)


def _mixed_twice(targets: Targets) -> Targets:
    """The same (row, class) listed twice, as mixup of two videos that share a label gives."""
    return Targets(
        targets.rows.repeat(2),
        targets.classes.repeat(2),
        targets.values.repeat(2) / 2,
        targets.shape,
    )


@pytest.mark.parametrize("change", [lambda t: t, _soft, _mixed_twice])
def test_bce_equals_the_dense_definition(change):
    logits, targets = _case()
    targets = change(targets)
    dense = F.binary_cross_entropy_with_logits(logits, targets.dense(), reduction="none")
    expected = dense.sum(1).mean()
    assert losses.bce(logits, targets).item() == pytest.approx(expected.item(), rel=1e-5)
    (one,) = torch.autograd.grad(losses.bce(logits, targets), logits)
    (two,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(one, two)


def _slow_ranking(logits, targets, negatives):
    dense, pairs, weights = targets.dense(), [], []
    worst = []
    for row in range(len(logits)):
        outside = [logits[row, c] for c in range(logits.shape[1]) if dense[row, c] == 0]
        worst += sorted(outside, key=lambda v: -v.item())[:negatives]
    for row, c, value in zip(targets.rows, targets.classes, targets.values, strict=True):
        for n in worst:
            pairs.append(value * torch.log1p(torch.exp(n - logits[row, c] + 1)))
        weights.append(value * len(worst))
    return sum(pairs) / sum(weights)


@pytest.mark.parametrize("negatives", [2, 30])
@pytest.mark.parametrize("change", [lambda t: t, _soft])
def test_soft_ranking_equals_a_loop_over_pairs(negatives, change):
    logits, targets = _case()
    targets = change(targets)
    expected = _slow_ranking(logits, targets, negatives)
    loss = losses.soft_ranking(logits, targets, negatives)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    (one,) = torch.autograd.grad(loss, logits)
    (two,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(one, two)


def test_soft_ranking_of_a_batch_without_labels_is_zero():
    logits = torch.randn(3, 5, requires_grad=True)
    targets = HardTargets(Labels.from_lists([[], [], []]), 5)(np.arange(3))
    losses.soft_ranking(logits, targets).backward()
    assert logits.grad.abs().sum() == 0


def test_bce_soft_ranking_is_their_sum():
    logits, targets = _case()
    expected = losses.bce(logits, targets) + 0.1 * losses.soft_ranking(logits, targets)
    torch.testing.assert_close(losses.bce_soft_ranking(logits, targets), expected)


def test_mixup_mixes_inputs_and_labels_with_one_share():
    _, targets = _case()
    batch = Batch(torch.randn(7, 4), torch.randn(7, 2))
    share, other = torch.rand(7), torch.tensor([1, 2, 3, 4, 5, 6, 0])
    batch_mixed, targets_mixed = mixed(batch, targets, share, other)
    for row in range(7):
        s, o = share[row], other[row]
        for name in ("rgb", "audio"):
            x = getattr(batch, name)
            expected = s * x[row] + (1 - s) * x[o]
            torch.testing.assert_close(getattr(batch_mixed, name)[row], expected)
        expected = s * targets.dense()[row] + (1 - s) * targets.dense()[o]
        torch.testing.assert_close(targets_mixed.dense()[row], expected)


def test_mixup_of_frames_keeps_the_longer_video_alone_where_the_other_has_ended():
    _, targets = _case(videos=2)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    rgb = torch.randn(2, 3, 4) * mask[..., None]
    batch = Batch(rgb, torch.zeros(2, 3, 0), mask)
    out, _ = mixed(batch, targets, torch.tensor([0.3, 0.3]), torch.tensor([1, 0]))
    torch.testing.assert_close(out.rgb[0, 0], 0.3 * rgb[0, 0] + 0.7 * rgb[1, 0])
    torch.testing.assert_close(out.rgb[0, 1:], rgb[0, 1:])
    torch.testing.assert_close(out.rgb[1, 1:], rgb[0, 1:])
    assert out.mask.all()


def test_mixup_shares_follow_the_beta_distribution():
    torch.manual_seed(0)
    videos, alpha = 4000, 0.4
    batch = Batch(torch.eye(1).repeat(videos, 1), torch.zeros(videos, 0))
    labels = Labels.from_lists([[0]] * videos)
    _, out = mixup(batch, HardTargets(labels, 1)(np.arange(videos)), alpha)
    shares = out.values[:videos]
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.02)
    assert math.isclose(out.values.sum().item(), videos, rel_tol=1e-4)


def test_every_loss_of_a_configuration_exists():
    for name in typing.get_args(Training.model_fields["loss"].annotation):
        logits, targets = _case()
        assert torch.isfinite(getattr(losses, name)(logits, targets))
