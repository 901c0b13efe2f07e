"""ResNetLike: towers of identity blocks for rgb and audio, then for both (main paper, figure 3).

Best published: blocks 4/4, dropout 0.4, mixup 0.3. (B, R), (B, A) -> (B, C); W: width.
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
    """The trunk and classifier over two vectors; frame-level models put their pooling before it.

    rgb, audio: widths of the inputs, 0 if absent; logits (B, classes).
    """

    def __init__(
        self,
        rgb: int,
        audio: int,
        classes: int,
        width: int,
        tower_blocks: int,
        concat_blocks: int,
        dropout: float,
    ):
        super().__init__()

        def tower(inputs: int) -> nn.Module:
            blocks = [IdentityBlock(width, width, dropout) for _ in range(tower_blocks)]
            return nn.Sequential(fc(inputs, width, dropout), *blocks)

        self.rgb = tower(rgb) if rgb else None
        self.audio = tower(audio) if audio else None
        both = width * (bool(rgb) + bool(audio))
        self.concat = nn.Sequential(
            *(IdentityBlock(both, width, dropout) for _ in range(concat_blocks)),
            fc(both, width, dropout),
            nn.Linear(width, classes),
        )

    def forward(self, rgb: Tensor, audio: Tensor) -> Tensor:
        towers = [(self.rgb, rgb), (self.audio, audio)]
        parts = [tower(x) for tower, x in towers if tower is not None]
        return self.concat(torch.cat(parts, dim=1))


class Model(ResNetLike):
    level = "video"

    def __init__(
        self,
        dims: Dims,
        width: int = 2048,
        tower_blocks: int = 1,
        concat_blocks: int = 1,
        dropout: float = 0.5,
    ):
        super().__init__(
            dims.rgb, dims.audio, dims.classes, width, tower_blocks, concat_blocks, dropout
        )

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch.rgb, batch.audio)
