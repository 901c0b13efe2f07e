"""LSTM_MoE: a sparse mixture of experts between two LSTM layers (LSTM-MoE paper, 4.3).

Each frame goes to the `active` best of E experts; one is two layers of `expert_width`. The noisy
gate and its two losses are Shazeer et al.'s (1701.06538), which that paper takes over; the losses
are left in `penalty` in training. Read-out as in lstm.py: the mean of the outputs, frame i weighing
i / n. (B, T, D) -> (B, C); N: real frames, W: width, k: active.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import MaskedBatchNorm, Recurrent, pad, ramp, real_rows


class SparseExperts(nn.Module):
    """(N, W) -> (N, expert width), and in training (2,): the squared coefficients of variation of
    the experts' importance (sum of shares) and load (expected number of rows)."""

    def __init__(self, inputs: int, experts: int, active: int, width: int):
        super().__init__()
        if not 1 <= active <= experts:
            raise ValueError(f"active = {active}; allowed: 1 to experts = {experts}")
        self.active = active
        self.gate = nn.Linear(inputs, experts, bias=False)
        self.noise = nn.Linear(inputs, experts, bias=False)
        nn.init.zeros_(self.gate.weight)  # all experts alike at first
        nn.init.zeros_(self.noise.weight)
        self.into = nn.Parameter(torch.empty(experts, inputs, width))
        self.out = nn.Parameter(torch.empty(experts, width, width))
        self.into_bias = nn.Parameter(torch.zeros(experts, width))
        self.out_bias = nn.Parameter(torch.zeros(experts, width))
        nn.init.normal_(self.into, std=(2 / inputs) ** 0.5)
        nn.init.normal_(self.out, std=(1 / width) ** 0.5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        clean = self.gate(x).float()  # (N, E)
        spread = F.softplus(self.noise(x).float())
        noisy = clean + torch.randn_like(clean) * spread if self.training else clean
        best, chosen = noisy.topk(self.active, 1)  # (N, k)
        shares = best.softmax(1)
        mixed = torch.einsum("nk,nkw->nw", shares, self.experts_of(x, chosen).float())
        if not self.training:
            return mixed, clean.new_zeros(2)
        importance = torch.zeros_like(clean).scatter(1, chosen, shares).sum(0)
        load = chances(clean, spread, noisy, self.active).sum(0)
        return mixed, torch.stack([variation(importance), variation(load)])

    def experts_of(self, x: Tensor, chosen: Tensor) -> Tensor:
        """(N, W), expert numbers (N, k) -> (N, k, expert width); no other expert is computed."""
        order = chosen.flatten().argsort(stable=True)  # rows of one expert together
        counts = chosen.flatten().bincount(minlength=len(self.into)).tolist()
        groups = x.index_select(0, order // self.active).split(counts)
        weights = zip(self.into, self.into_bias, self.out, self.out_bias, strict=True)
        results = [
            (rows @ into + into_bias).relu() @ out + out_bias
            for rows, (into, into_bias, out, out_bias) in zip(groups, weights, strict=True)
        ]
        return torch.cat(results).index_select(0, order.argsort()).unflatten(0, chosen.shape)


def chances(clean: Tensor, spread: Tensor, noisy: Tensor, active: int) -> Tensor:
    """(N, E): how probable it is that new noise on an expert, the others' kept, makes it active."""
    if active == clean.shape[1]:
        return torch.ones_like(clean)
    best = noisy.topk(active + 1, 1).values
    last_in, first_out = best[:, -2:-1], best[:, -1:]
    bar = torch.where(noisy >= last_in, first_out, last_in)  # the k-th best of the others
    return torch.special.ndtr((clean - bar) / spread)


def variation(x: Tensor) -> Tensor:
    """The squared coefficient of variation."""
    return x.var(correction=0) / (x.mean() ** 2 + 1e-10)


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        width: Size = 512,
        experts: Size = 64,
        active: Size = 4,
        expert_width: Size = 1024,
        importance: float = 0.1,  # weight of its loss (w_importance, equation 4)
        load: float = 0.1,  # the same (w_load, equation 6)
        dropout: float = 0.4,
    ):
        super().__init__()
        self.importance, self.load = importance, load
        self.norm = MaskedBatchNorm(dims.width)
        self.first = Recurrent("lstm", dims.width, width)
        self.experts = SparseExperts(width, experts, active, expert_width)
        self.second = Recurrent("lstm", expert_width, width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        x, mask = batch.joined, batch.mask
        x = self.dropout(self.first(self.norm(x, mask), mask)[0])
        rows, unbalance = self.experts(real_rows(x, mask))
        self.penalty = self.importance * unbalance[0] + self.load * unbalance[1]
        x = self.dropout(self.second(pad(rows, mask), mask)[0])
        return self.classifier(ramp(x, mask))
