"""Losses of logits (B, C) against sparse targets -> scalar; a configuration names one.

BCE needs no dense targets: softplus(x) summed over everything, minus x where the target is. That
is exact for soft, mixed and hard targets, since BCE is linear in them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from yt8m.dataset import Targets


def bce(logits: Tensor, targets: Targets) -> Tensor:
    """Binary cross-entropy, summed over classes, mean over the batch (systems of the papers)."""
    logits = logits.float()
    positive = (logits[targets.rows, targets.classes] * targets.values).sum()
    return (F.softplus(logits).sum() - positive) / len(logits)


def soft_ranking(logits: Tensor, targets: Targets, negatives: int = 30) -> Tensor:
    """Mean of softplus(n_j - p_i + 1) over the pairs of a batch (main paper, "Loss function").

    n_j: each video's `negatives` best-scored classes with target 0; p_i: all positives, each
    weighted by its target, so that mixed and soft targets work.
    """
    logits = logits.float()
    hidden = logits.detach().clone()
    hidden[targets.rows, targets.classes] = -torch.inf
    few = min(negatives, logits.shape[1])
    best = hidden.topk(few, dim=1).indices  # (B, K)
    chosen = logits.gather(1, best)
    worst = chosen[hidden.gather(1, best) > -torch.inf]  # (J,), without classes that are positive
    scores = logits[targets.rows, targets.classes]  # (I,)
    if not len(scores) or not len(worst):
        return logits.sum() * 0
    weights = targets.values / targets.values.sum().clamp_min(1e-6)
    return _PairLoss.apply(scores, weights, worst)


class _PairLoss(torch.autograd.Function):
    """sum_i w_i mean_j softplus(n_j - p_i + 1), with its gradient computed on the way.

    A batch of 512 has some 20 million pairs: blocks of positives keep them from all being in
    memory, and autograd from keeping each of them.
    """

    BLOCK = 128

    @staticmethod
    def forward(ctx, p: Tensor, w: Tensor, n: Tensor) -> Tensor:
        loss, p_grad, n_grad = p.new_zeros(()), torch.empty_like(p), torch.zeros_like(n)
        for block in torch.arange(len(p), device=p.device).split(_PairLoss.BLOCK):
            gaps = n - p[block, None] + 1  # (block, J)
            loss += (F.softplus(gaps).mean(1) * w[block]).sum()
            slopes = gaps.sigmoid_().mul_(w[block, None] / len(n))
            p_grad[block] = -slopes.sum(1)
            n_grad += slopes.sum(0)
        ctx.save_for_backward(p_grad, n_grad)
        return loss

    @staticmethod
    def backward(ctx, grad: Tensor):
        p_grad, n_grad = ctx.saved_tensors
        return grad * p_grad, None, grad * n_grad


def bce_soft_ranking(logits: Tensor, targets: Targets) -> Tensor:
    """BCE + 0.1 x soft ranking."""
    return bce(logits, targets) + 0.1 * soft_ranking(logits, targets)
