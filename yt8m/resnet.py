"""ResNetLike: towers of identity blocks for rgb and audio, then for both (main paper, figure 3).

A first-level model, what several frame-level models put behind their pooling, and a student.
(B, R), (B, A) -> (B, C).
"""

import torch
from torch import Tensor, nn

from yt8m.dataset import Batch
from yt8m.store import Dims


def fc(inputs: int, outputs: int, dropout: float) -> nn.Sequential:
    """Linear, BatchNorm, LeakyReLU, Dropout."""
    return nn.Sequential(
        nn.Linear(inputs, outputs),
        nn.BatchNorm1d(outputs),
        nn.LeakyReLU(0.01),
        nn.Dropout(dropout),
    )


class IdentityBlock(nn.Module):
    """y = LeakyReLU(x + Linear(fc(x))), through `inner` units."""

    def __init__(self, width: int, inner: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(fc(width, inner, dropout), nn.Linear(inner, width))
        self.activation = nn.LeakyReLU(0.01)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.layers(x))


class ResNetLike(nn.Module):
    """A video-level batch -> logits (B, C). A modality of width 0 has no tower."""

    def __init__(
        self,
        dims: Dims,
        width: int = 2048,
        tower_blocks: int = 1,
        concat_blocks: int = 1,
        dropout: float = 0.5,
    ):
        super().__init__()

        def tower(inputs: int) -> nn.Module:
            blocks = [IdentityBlock(width, width, dropout) for _ in range(tower_blocks)]
            return nn.Sequential(fc(inputs, width, dropout), *blocks)

        self.rgb = tower(dims.rgb) if dims.rgb else None
        self.audio = tower(dims.audio) if dims.audio else None
        both = width * (bool(dims.rgb) + bool(dims.audio))
        self.concat = nn.Sequential(
            *(IdentityBlock(both, width, dropout) for _ in range(concat_blocks)),
            fc(both, width, dropout),
            nn.Linear(width, dims.classes),
        )

    def forward(self, batch: Batch) -> Tensor:
        towers = [(self.rgb, batch.rgb), (self.audio, batch.audio)]
        parts = [tower(x) for tower, x in towers if tower is not None]
        return self.concat(torch.cat(parts, dim=1))
