"""Time-distributed dense layer and max pooling, then ResNetLike (main paper, table 1).

For each kind of features: Linear, BatchNorm and ReLU for each frame, the maximum over time.
(B, T, D) -> (B, W) each -> (B, C); W: width.
"""

from dataclasses import replace

from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import masked_max, pad, real_rows
from yt8m.networks.resnet import ResNetLike
from yt8m.networks.towers import Towers


class Pooled(nn.Sequential):
    """(B, T, D) -> (B, W)."""

    def __init__(self, inputs: int, width: int):
        super().__init__(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU())

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        return masked_max(pad(super().forward(real_rows(frames, mask)), mask), mask)


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        width: Size = 1024,
        tower_blocks: Count = 2,
        concat_blocks: Count = 2,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.towers = Towers(dims, lambda _, inputs: Pooled(inputs, width))
        seen = replace(dims, features=dict.fromkeys(dims.features, width))
        self.trunk = ResNetLike(seen, width, tower_blocks, concat_blocks, dropout)

    def forward(self, batch: Batch) -> Tensor:
        return self.trunk(Batch(self.towers(batch)))
