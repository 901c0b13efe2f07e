"""Linear combinations of frames, then ResNetLike (main paper, table 1: the best aggregation).

n learnt weights for each frame position, one set for each kind of features; a combination is
divided by the video's number of frames. (B, T, D) -> (B, n D) -> (B, C).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.resnet import ResNetLike
from yt8m.networks.towers import Towers


class Combinations(nn.Module):
    """(B, T, D) -> (B, n D)."""

    def __init__(self, max_frames: int, combinations: int):
        super().__init__()
        # Around the plain mean, each combination with an emphasis of its own.
        self.weights = nn.Parameter(1 + torch.randn(max_frames, combinations))

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        share = mask / mask.sum(1, keepdim=True)  # (B, T)
        weights = self.weights[: frames.shape[1]]
        return torch.einsum("btd,tn->bnd", frames * share[..., None], weights).flatten(1)


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        combinations: Size = 5,
        width: Size = 2048,
        tower_blocks: Count = 1,
        concat_blocks: Count = 1,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.towers = Towers(dims, lambda *_: Combinations(dims.max_frames, combinations))
        widths = {name: combinations * width for name, width in dims.features.items()}
        seen = replace(dims, features=widths)
        self.trunk = ResNetLike(seen, width, tower_blocks, concat_blocks, dropout)

    def forward(self, batch: Batch) -> Tensor:
        return self.trunk(Batch(self.towers(batch)))
