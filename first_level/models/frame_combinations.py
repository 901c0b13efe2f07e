"""Linear combinations of frames, then ResNetLike (main paper, table 1: the best aggregation).

n learnt weights for each frame position, one set for rgb and one for audio; a combination is
divided by the video's number of frames, so that its scale does not depend on the length.
(B, T, D) -> (B, n D) -> (B, C).
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.resnet import ResNetLike


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
        # Around the plain mean, each combination with an emphasis of its own.
        shape = (dims.max_frames, combinations)
        self.rgb_weights = nn.Parameter(1 + torch.randn(shape)) if dims.rgb else None
        self.audio_weights = nn.Parameter(1 + torch.randn(shape)) if dims.audio else None
        seen = replace(dims, rgb=combinations * dims.rgb, audio=combinations * dims.audio)
        self.trunk = ResNetLike(seen, width, tower_blocks, concat_blocks, dropout)

    def forward(self, batch: Batch) -> Tensor:
        share = batch.mask / batch.mask.sum(1, keepdim=True)  # (B, T)
        parts = []
        pairs = ((self.rgb_weights, batch.rgb), (self.audio_weights, batch.audio))
        for weights, frames in pairs:
            if weights is None:
                parts.append(frames[:, 0])
                continue
            scaled = frames * share[..., None]
            parts.append(torch.einsum("btd,tn->bnd", scaled, weights[: frames.shape[1]]).flatten(1))
        return self.trunk(Batch(*parts))
