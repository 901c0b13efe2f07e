"""Losses of logits (B, C) against sparse targets -> scalar; a configuration names one.

Some judge each label alone: the sum over classes, the mean over the batch. Others judge pairs of a
positive and a negative. Targets may be hard or soft. A target t costs t times what a present label
costs, plus 1 - t times what an absent one costs. In pairs, negatives are the classes with target 0,
and a positive counts by its target.
Letters: B batch, C classes, I positives and J negatives of a batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from yt8m.inputs.batch import Targets


def bce(logits: Tensor, targets: Targets) -> Tensor:
    """Binary cross-entropy (systems of the papers).

    It needs no dense targets: softplus(x) over all classes, minus t x where there is a target. BCE
    is linear in its target, so that is exact for soft targets too.
    """
    logits = logits.float()
    positive = (logits[targets.rows, targets.classes] * targets.values).sum()
    return (F.softplus(logits).sum() - positive) / len(logits)


def rated_bce(logits: Tensor, targets: Targets) -> Tensor:
    """BCE of the listed (video, class) pairs alone; their values may be 0.

    For rated segments: raters were asked about one or two classes, and nothing else is known.
    """
    scores = logits[targets.rows, targets.classes].float()
    return F.binary_cross_entropy_with_logits(scores, targets.values, reduction="sum") / len(logits)


def balanced_bce(logits: Tensor, targets: Targets, weights: Tensor) -> Tensor:
    """BCE in which a missed label costs its class's weight, (C,) (LSTM-MoE paper, 5: it hurt).

    The paper adds a cost inverse to the number of the class's training labels: `balancing_weights`.
    """
    logits = logits.float()
    scores = logits[targets.rows, targets.classes]
    missed = weights[targets.classes] * F.softplus(-scores) - F.softplus(scores)
    return (F.softplus(logits).sum() + (targets.values * missed).sum()) / len(logits)


def balancing_weights(counts: Tensor) -> Tensor:
    """1 + a cost inverse to counts (C,), of mean 1 over all labels; counts are at least 1."""
    return 1 + counts.sum() / ((counts > 0).sum() * counts.clamp_min(1))


def rank_weighted_bce(logits: Tensor, targets: Targets) -> Tensor:
    """BCE weighted by rank violations: 1 + log of their number (main paper, "Loss function").

    A positive violates the order with every negative of the batch above it; a negative with every
    positive below it. The weights have no gradient. The paper weights by the bare number, but then
    the worst label outweighs the rest of the batch. The logarithm is this project's choice.
    """
    logits = logits.float()
    weights = 1 + rank_violations(logits.detach(), targets).clamp_min_(1).log_()  # (B, C)
    at = (targets.rows, targets.classes)
    positive = (weights[at] * logits[at] * targets.values).sum()
    return ((weights * F.softplus(logits)).sum() - positive) / len(logits)


def rank_violations(logits: Tensor, targets: Targets) -> Tensor:
    """How many of the batch's labels of the other kind are on a logit's wrong side: (B, C)."""
    positive = torch.zeros_like(logits, dtype=torch.bool)  # dense, as the result is
    targets = _positives(targets)
    positive[targets.rows, targets.classes] = True
    scores = logits[positive].sort().values  # (I,)
    below = torch.searchsorted(scores, logits)  # positives strictly below: (B, C)
    # A negative above k positives is above the k lowest of them.
    above = torch.bincount(below[~positive], minlength=len(scores) + 1)
    above = above.flip(0).cumsum(0).flip(0)[1:]  # negatives above each of `scores`
    below[positive] = above[torch.searchsorted(scores, logits[positive])]
    return below.float()


def mse(logits: Tensor, targets: Targets) -> Tensor:
    """Squared error of probabilities. Dense: the parts of a target are added, then squared."""
    return (logits.float().sigmoid() - targets.dense()).square().sum() / len(logits)


def hinge(logits: Tensor, targets: Targets) -> Tensor:
    """max(0, 1 - y x) with y = +1 for a present label, -1 for an absent one (benchmark paper, 4.3).

    A soft target mixes the two.
    """
    logits = logits.float()
    scores = logits[targets.rows, targets.classes]
    positive = (targets.values * (F.relu(1 - scores) - F.relu(1 + scores))).sum()
    return (F.relu(1 + logits).sum() + positive) / len(logits)


def soft_ranking(logits: Tensor, targets: Targets, negatives: int = 30) -> Tensor:
    """Mean of softplus(n_j - p_i + 1) over the pairs of a batch (main paper, "Loss function").

    n_j: each video's `negatives` best-scored classes with target 0; p_i: positives, by target.
    """
    return _over_pairs(logits, targets, negatives, _worst_of_each, 1.0, _softplus)


def soft_ranking_batch(logits: Tensor, targets: Targets, negatives: int = 30) -> Tensor:
    """`soft_ranking` against the 30 B best-scored negatives of the whole batch, as published."""
    return _over_pairs(logits, targets, negatives, _worst_of_all, 1.0, _softplus)


def bce_soft_ranking(logits: Tensor, targets: Targets) -> Tensor:
    """BCE + 0.1 x soft ranking."""
    return bce(logits, targets) + 0.1 * soft_ranking(logits, targets)


def sigmoid_ranking(logits: Tensor, targets: Targets, negatives: int = 30) -> Tensor:
    """Mean of log(1 + sigmoid(n_j - p_i)), as in the paper's code; pairs of `soft_ranking_batch`.

    A pair costs less than log 2.
    """
    return _over_pairs(logits, targets, negatives, _worst_of_all, 0.0, _log_sigmoid)


def hinge_ranking(logits: Tensor, targets: Targets, negatives: int = 30) -> Tensor:
    """Mean of max(0, n_j - p_i + 1), pairs as in `soft_ranking` (main paper: it hurt)."""
    return _over_pairs(logits, targets, negatives, _worst_of_each, 1.0, _hinge)


def lsep(logits: Tensor, targets: Targets) -> Tensor:
    """Log-sum-exp pairwise loss, mean over the batch (Li et al. 2017, equation 4).

    Each video costs log(1 + sum over pairs of exp(n_j - p_i)); that sum is a product of two sums.
    """
    logits, targets = logits.float(), _positives(targets)
    rows, scores = targets.rows, logits[targets.rows, targets.classes]
    outside = torch.ones_like(logits, dtype=torch.bool)  # a dense mask: C - 3 of C are negatives
    outside[rows, targets.classes] = False
    lowest = torch.finfo(logits.dtype).min / 4  # not -inf: a row may have none
    negatives = logits.where(outside, lowest).logsumexp(1)  # (B,)
    exponents = targets.values.log() - scores
    largest = torch.full_like(negatives, lowest)
    largest.scatter_reduce_(0, rows, exponents.detach(), "amax")
    sums = torch.zeros_like(negatives).index_add(0, rows, (exponents - largest[rows]).exp())
    positives = sums.clamp_min(torch.finfo(sums.dtype).tiny).log() + largest
    return F.softplus(negatives + positives).mean()


def _positives(targets: Targets) -> Targets:
    """The targets above 0."""
    kept = targets.values > 0
    return targets.map(lambda part: part[kept])


def _worst_of_each(logits: Tensor, hidden: Tensor, most: int) -> Tensor:
    """The best-scored negatives of each video, `most` of each: (J,). hidden: positives are -inf."""
    best = hidden.topk(min(most, logits.shape[1]), dim=1).indices
    return logits.gather(1, best)[hidden.gather(1, best) > -torch.inf]


def _worst_of_all(logits: Tensor, hidden: Tensor, most: int) -> Tensor:
    """The best-scored negatives of the batch, `most` times B: (J,)."""
    hidden = hidden.flatten()
    best = hidden.topk(min(most * len(logits), len(hidden))).indices
    return logits.flatten()[best][hidden[best] > -torch.inf]


def _over_pairs(logits: Tensor, targets: Targets, most: int, choose, margin: float, cost) -> Tensor:
    """sum_i t_i mean_j cost(n_j - p_i + margin) / sum_i t_i; 0 without pairs.

    choose: `_worst_of_each` or `_worst_of_all`.
    """
    targets, hidden = _positives(targets), logits.detach().float().clone()
    hidden[targets.rows, targets.classes] = -torch.inf
    worst = choose(logits.float(), hidden, most)
    scores = logits.float()[targets.rows, targets.classes]  # (I,)
    if not len(scores) or not len(worst):
        return logits.float().sum() * 0
    weights = targets.values / targets.values.sum()
    return _PairLoss.apply(scores - margin, weights, worst, cost)


# Costs of gaps n_j - p_i + margin -> (values, slopes). They may overwrite the gaps.


def _softplus(gaps: Tensor) -> tuple[Tensor, Tensor]:
    return F.softplus(gaps), gaps.sigmoid_()


def _hinge(gaps: Tensor) -> tuple[Tensor, Tensor]:
    return gaps.relu(), (gaps > 0).to(gaps.dtype)


def _log_sigmoid(gaps: Tensor) -> tuple[Tensor, Tensor]:
    share = gaps.sigmoid_()
    return share.log1p(), share * (1 - share) / (1 + share)


class _PairLoss(torch.autograd.Function):
    """sum_i w_i mean_j cost(n_j - p_i); computes its gradient in the forward pass.

    A batch of 512 has about 20 million pairs: too many for memory and autograd, hence blocks.
    """

    BLOCK = 128

    @staticmethod
    def forward(ctx, p: Tensor, w: Tensor, n: Tensor, cost) -> Tensor:
        loss, p_grad, n_grad = p.new_zeros(()), torch.empty_like(p), torch.zeros_like(n)
        for block in torch.arange(len(p), device=p.device).split(_PairLoss.BLOCK):
            values, slopes = cost(n - p[block, None])  # (block, J)
            loss += (values.mean(1) * w[block]).sum()
            slopes = slopes.mul_(w[block, None] / len(n))
            p_grad[block] = -slopes.sum(1)
            n_grad += slopes.sum(0)
        ctx.save_for_backward(p_grad, n_grad)
        return loss

    @staticmethod
    def backward(ctx, grad: Tensor):
        p_grad, n_grad = ctx.saved_tensors
        return grad * p_grad, None, grad * n_grad, None
