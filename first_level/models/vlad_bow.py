"""VLAD bag of words with a learnable power (main paper, "Recurrent frame-level models").

y_i = relu(W x_i + b)^p; BOW(k) = sum over frames of softmax_k(y_i), for each kind of features ->
ResNetLike. The published p ends at 0.628. (B, T, D) -> (B, C); K: words of each kind.
"""

import math
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.resnet import ResNetLike
from yt8m.networks.towers import Towers


class Words(nn.Module):
    """(B, T, D) -> (B, K): how many frames show each word."""

    def __init__(self, inputs: int, words: int, power: float):
        super().__init__()
        self.project = nn.Linear(inputs, words)
        self.raw_power = nn.Parameter(torch.tensor(math.log(math.expm1(power))))

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        power = F.softplus(self.raw_power)  # stays above 0
        # The small term keeps the gradient of p and of y finite where relu is 0.
        y = (self.project(frames).float().relu() + 1e-6) ** power
        return (y.softmax(dim=-1) * mask[..., None]).sum(dim=1)


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        words: Size = 4096,
        power: float = 1.0,
        width: Size = 1024,
        tower_blocks: Count = 1,
        concat_blocks: Count = 1,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.towers = Towers(dims, lambda _, inputs: Words(inputs, words, power))
        self.dropout = nn.Dropout(dropout)
        bags = replace(dims, features=dict.fromkeys(dims.features, words))
        self.trunk = ResNetLike(bags, width, tower_blocks, concat_blocks, dropout)

    def forward(self, batch: Batch) -> Tensor:
        return self.trunk(Batch(self.towers(batch)).map(self.dropout))
