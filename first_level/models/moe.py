"""Mixture of experts per class, with a dummy expert that says "absent" (benchmark paper, 4.3.3).

p(c) = sum_e softmax(gates)_ce sigmoid(experts)_ce over E experts; the dummy gate's logit is 0, its
share adds nothing. Returned as logits, computed in log space. (B, D) -> (B, C).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.dataset import Batch
from yt8m.dropout import Dropout
from yt8m.linear import Linear
from yt8m.settings import Size
from yt8m.store import Dims


class Model(nn.Module):
    level = "video"

    def __init__(self, dims: Dims, experts: Size = 2, dropout: float = 0.0):
        super().__init__()
        width = dims.rgb + dims.audio
        self.num_experts = experts
        self.dropout = Dropout(dropout)
        self.gates = Linear(width, dims.classes * experts)
        self.experts = Linear(width, dims.classes * experts)
        nn.init.constant_(self.gates.bias, -4.0)  # most classes are absent

    def forward(self, batch: Batch) -> Tensor:
        x = self.dropout(batch.features)
        experts = self.experts(x).float().unflatten(1, (self.num_experts, -1))  # (B, E, C)
        gates = self.gates(x).float().unflatten(1, (self.num_experts, -1))
        shares = F.log_softmax(F.pad(gates, (0, 0, 0, 1)), dim=1)  # (B, E + 1, C), the dummy last
        present = torch.logsumexp(shares[:, :-1] + F.logsigmoid(experts), dim=1)
        absent = torch.cat([shares[:, :-1] + F.logsigmoid(-experts), shares[:, -1:]], dim=1)
        return present - torch.logsumexp(absent, dim=1)
