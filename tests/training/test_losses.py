"""Losses and mixup against direct, slow definitions; values and gradients."""

import math
import typing

import numpy as np
import pytest
import torch
from torch import Tensor

from yt8m.inputs.batch import Batch, HardTargets, Targets
from yt8m.records.labels import Labels
from yt8m.training import losses
from yt8m.training.mixup import mix, mixup
from yt8m.training.settings import Training


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


def _mixed(targets: Targets) -> Targets:
    """Targets after mixup: two videos that share a label list its (row, class) twice."""
    videos = targets.shape[0]
    batch = Batch({"rgb": torch.zeros(videos, 1)})
    share = torch.rand(videos, generator=torch.Generator().manual_seed(5))
    return mix(batch, targets, share, torch.arange(videos).roll(1))[1]


KINDS = {"hard": lambda targets: targets, "soft": _soft, "mixed": _mixed}
LOSSES = typing.get_args(Training.model_fields["loss"].annotation)
WEIGHTS = torch.linspace(0.5, 4, 11)  # of the classes, for balanced_bce


def _loss(name: str, logits: Tensor, targets: Targets) -> Tensor:
    function = getattr(losses, name)
    if name == "balanced_bce":
        return function(logits, targets, WEIGHTS[: logits.shape[1]])
    return function(logits, targets)


def _present_and_absent(name: str, x: Tensor, c: int) -> tuple[Tensor, Tensor]:
    """The cost of one logit where the label is there and where it is not."""
    if name == "hinge":
        return (1 - x).clamp(min=0), (1 + x).clamp(min=0)
    weight = WEIGHTS[c].double() if name == "balanced_bce" else 1.0
    return -weight * x.sigmoid().log(), -(1 - x.sigmoid()).log()


def _violations(logits: Tensor, dense: Tensor, row: int, c: int) -> float:
    """Elements of the other kind on the wrong side of one, counted one by one."""
    wrong = 0
    for x, t in zip(logits.flatten(), dense.flatten(), strict=True):
        if dense[row, c] > 0:
            wrong += bool(t == 0 and x > logits[row, c])
        else:
            wrong += bool(t > 0 and x < logits[row, c])
    return max(1, wrong)


def _slow_each(name: str, logits: Tensor, dense: Tensor) -> Tensor:
    """A loss of single labels: a loop over all of them."""
    total = 0.0
    for row in range(len(logits)):
        for c in range(logits.shape[1]):
            x, t = logits[row, c], dense[row, c]
            if name == "mse":
                total = total + (x.sigmoid() - t) ** 2
                continue
            present, absent = _present_and_absent(name, x, c)
            weight = 1.0
            if name == "rank_weighted_bce":
                weight = 1 + math.log(_violations(logits, dense, row, c))
            total = total + weight * (t * present + (1 - t) * absent)
    return total / len(logits)


COSTS = {
    "soft_ranking": lambda gap: (1 + (gap + 1).exp()).log(),
    "soft_ranking_batch": lambda gap: (1 + (gap + 1).exp()).log(),
    "sigmoid_ranking": lambda gap: (1 + gap.sigmoid()).log(),
    "hinge_ranking": lambda gap: (gap + 1).clamp(min=0),
}


def _slow_pairs(name: str, logits: Tensor, dense: Tensor, negatives: int) -> Tensor:
    """A loss of pairs: a loop over all of them."""

    def best(scores: list[Tensor], count: int) -> list[Tensor]:
        return sorted(scores, key=lambda x: -x.item())[:count]

    places = [(row, c) for row in range(dense.shape[0]) for c in range(dense.shape[1])]
    each = [
        best([logits[row, c] for c in range(dense.shape[1]) if dense[row, c] == 0], negatives)
        for row in range(len(dense))
    ]
    worst = [x for row in each for x in row]
    if name in ("soft_ranking_batch", "sigmoid_ranking"):
        outside = [logits[place] for place in places if dense[place] == 0]
        worst = best(outside, negatives * len(logits))
    costs, weights = 0.0, 0.0
    for place in places:
        for n in worst:
            costs = costs + dense[place] * COSTS[name](n - logits[place])
            weights = weights + dense[place]
    return costs / weights


def _slow_lsep(logits: Tensor, dense: Tensor) -> Tensor:
    total = 0.0
    for x, t in zip(logits, dense, strict=True):
        pairs = [
            t[i] * (x[j] - x[i]).exp() for i in range(len(t)) for j in range(len(t)) if not t[j]
        ]
        total = total + torch.log(1 + sum(pairs))
    return total / len(logits)


def _slow(name: str, logits: Tensor, dense: Tensor) -> Tensor:
    if name in COSTS:
        return _slow_pairs(name, logits, dense, 30)
    if name == "lsep":
        return _slow_lsep(logits, dense)
    if name == "bce_soft_ranking":
        pairs = _slow_pairs("soft_ranking", logits, dense, 30)
        return _slow_each("bce", logits, dense) + 0.1 * pairs
    return _slow_each(name, logits, dense)


def _agree(loss: Tensor, logits: Tensor, expected: Tensor, exact: Tensor) -> None:
    """Values and gradients, the expected ones in float64."""
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    (one,) = torch.autograd.grad(loss, logits)
    (two,) = torch.autograd.grad(expected, exact)
    torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_equals_its_definition(name, kind):
    logits, targets = _case(videos=4, classes=7)
    targets = KINDS[kind](targets)
    exact = logits.detach().double().requires_grad_()
    expected = _slow(name, exact, targets.dense().double())
    _agree(_loss(name, logits, targets), logits, expected, exact)


@pytest.mark.parametrize("name", COSTS)
def test_a_loss_of_pairs_takes_the_hardest_negatives(name):
    logits, targets = _case()
    exact = logits.detach().double().requires_grad_()
    expected = _slow_pairs(name, exact, targets.dense().double(), 2)
    _agree(getattr(losses, name)(logits, targets, 2), logits, expected, exact)


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_stays_finite_at_the_edges(name):
    for lists in ([[], [], []], [[0, 1, 2, 3, 4], [0], []], [[0, 1, 2, 3, 4]] * 3):
        targets = HardTargets(Labels.from_lists(lists), 5)(np.arange(3))
        for scale in (1.0, 60.0):
            logits = (scale * torch.linspace(-1, 1, 15).view(3, 5)).bfloat16().requires_grad_()
            loss = _loss(name, logits, targets)
            assert loss.dtype == torch.float32
            (slope,) = torch.autograd.grad(loss, logits)
            assert torch.isfinite(loss)
            assert torch.isfinite(slope).all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_step_against_the_gradient_raises_labels_above_the_rest(name):
    logits, targets = _case()
    x = logits.detach().requires_grad_()
    for _ in range(200):
        (slope,) = torch.autograd.grad(_loss(name, x, targets), x)
        x = (x - 5 * slope / slope.norm().clamp_min(1e-9)).detach().requires_grad_()
    inside = targets.dense() > 0
    assert x[inside].mean() > x[~inside].mean() + 1


def test_rare_classes_weigh_more_and_labels_two_on_average():
    counts = torch.tensor([1.0, 4.0, 0.0, 95.0])
    weights = losses.balancing_weights(counts)
    torch.testing.assert_close((weights * counts).sum() / counts.sum(), torch.tensor(2.0))
    torch.testing.assert_close((weights - 1) * counts.clamp_min(1), torch.full((4,), 100 / 3))


def test_mixup_mixes_inputs_and_labels_with_one_share():
    _, targets = _case()
    batch = Batch({"rgb": torch.randn(7, 4), "audio": torch.randn(7, 2)})
    share, other = torch.rand(7), torch.tensor([1, 2, 3, 4, 5, 6, 0])
    batch_mixed, targets_mixed = mix(batch, targets, share, other)
    for row in range(7):
        s, o = share[row], other[row]
        for name in ("rgb", "audio"):
            x = batch.features[name]
            expected = s * x[row] + (1 - s) * x[o]
            torch.testing.assert_close(batch_mixed.features[name][row], expected)
        expected = s * targets.dense()[row] + (1 - s) * targets.dense()[o]
        torch.testing.assert_close(targets_mixed.dense()[row], expected)


def test_mixup_of_frames_keeps_the_longer_video_alone_where_the_other_has_ended():
    _, targets = _case(videos=2)
    mask = torch.tensor([[True, True, True], [True, False, False]])
    rgb = torch.randn(2, 3, 4) * mask[..., None]
    batch = Batch({"rgb": rgb}, mask)
    out, _ = mix(batch, targets, torch.tensor([0.3, 0.3]), torch.tensor([1, 0]))
    torch.testing.assert_close(out.features["rgb"][0, 0], 0.3 * rgb[0, 0] + 0.7 * rgb[1, 0])
    torch.testing.assert_close(out.features["rgb"][0, 1:], rgb[0, 1:])
    torch.testing.assert_close(out.features["rgb"][1, 1:], rgb[0, 1:])
    assert out.mask.all()


def test_mixup_shares_follow_the_beta_distribution():
    torch.manual_seed(0)
    videos, alpha = 4000, 0.4
    batch = Batch({"rgb": torch.eye(1).repeat(videos, 1)})
    labels = Labels.from_lists([[0]] * videos)
    _, out = mixup(batch, HardTargets(labels, 1)(np.arange(videos)), alpha)
    shares = out.values[:videos]
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), abs=0.02)
    assert math.isclose(out.values.sum().item(), videos, rel_tol=1e-4)
