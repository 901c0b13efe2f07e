"""Time-distributed dense layer and max pooling, then ResNetLike (main paper, table 1).

Per modality: Linear, BatchNorm and ReLU for each frame, the maximum over time.
(B, T, D) -> (B, W) each -> (B, C); W: width.
"""

from dataclasses import replace

from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import masked_max, padded, real_rows
from yt8m.networks.resnet import ResNetLike


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

        def layer(inputs: int) -> nn.Module:
            return nn.Sequential(nn.Linear(inputs, width), nn.BatchNorm1d(width), nn.ReLU())

        self.rgb = layer(dims.rgb) if dims.rgb else None
        self.audio = layer(dims.audio) if dims.audio else None
        seen = replace(dims, rgb=width * bool(dims.rgb), audio=width * bool(dims.audio))
        self.trunk = ResNetLike(seen, width, tower_blocks, concat_blocks, dropout)

    def forward(self, batch: Batch) -> Tensor:
        mask = batch.mask
        pooled = [
            frames[:, 0]
            if layer is None
            else masked_max(padded(layer(real_rows(frames, mask)), mask), mask)
            for layer, frames in ((self.rgb, batch.rgb), (self.audio, batch.audio))
        ]
        return self.trunk(Batch(*pooled))
