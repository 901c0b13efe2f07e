"""Time-distributed convolutions (main paper, "Time-distributed models").

Per modality, for each of its channel counts: Conv1d over time, ReLU, BatchNorm, max pooling of 2.
Both side by side: the same, the last block without pooling; the maximum over time, C. Padding is
emptied before every convolution. (B, T, D) -> (B, C).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import MaskedBatchNorm, masked_max


class Block(nn.Module):
    """(B, T, D) -> (B, T, W), or (B, T / 2 rounded up, W) with pooling; and the mask."""

    def __init__(self, inputs: int, outputs: int, kernel: int, pool: bool):
        super().__init__()
        self.pool = pool
        self.convolution = nn.Conv1d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = MaskedBatchNorm(outputs)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = self.convolution((x * mask[..., None]).transpose(1, 2)).relu().transpose(1, 2)
        x = self.norm(x, mask)
        if not self.pool:
            return x, mask
        odd = x.shape[1] % 2
        x = x.masked_fill(~mask[..., None], -torch.inf)
        x = F.pad(x, (0, 0, 0, odd), value=-torch.inf).unflatten(1, (-1, 2)).amax(2)
        mask = F.pad(mask, (0, odd)).unflatten(1, (-1, 2)).any(2)
        return x.masked_fill(~mask[..., None], 0), mask


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        rgb_channels: list[Size] = (2048, 2048),
        audio_channels: list[Size] = (512, 512),
        channels: list[Size] = (4096, 8192),
        kernel: Size = 3,
        dropout: float = 0.1,
    ):
        super().__init__()
        if kernel % 2 == 0:
            raise ValueError(f"kernel = {kernel}; allowed: odd numbers")

        def blocks(sizes: list[int], pools: int) -> nn.ModuleList:
            pairs = enumerate(zip(sizes, sizes[1:], strict=False))
            return nn.ModuleList(Block(*pair, kernel, number < pools) for number, pair in pairs)

        rgb = [dims.rgb, *rgb_channels] if dims.rgb else [0]
        audio = [dims.audio, *audio_channels] if dims.audio else [0]
        if len(rgb_channels) != len(audio_channels):
            raise ValueError(
                f"rgb_channels has {len(rgb_channels)} and audio_channels {len(audio_channels)} "
                "blocks; allowed: as many of both"
            )
        self.rgb, self.audio = blocks(rgb, len(rgb)), blocks(audio, len(audio))
        self.both = blocks([rgb[-1] + audio[-1], *channels], len(channels) - 1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear([rgb[-1] + audio[-1], *channels][-1], dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        parts = []
        for blocks, x in ((self.rgb, batch.rgb), (self.audio, batch.audio)):
            mask = batch.mask
            for block in blocks:
                x, mask = block(x, mask)
            if blocks:
                parts.append(x)
                pooled = mask
        x, mask = torch.cat(parts, 2), pooled
        for block in self.both:
            x, mask = block(x, mask)
        return self.classifier(self.dropout(masked_max(x, mask)))
