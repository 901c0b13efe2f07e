"""Time-distributed convolutions (main paper, "Time-distributed models").

For each kind of features and each of its channel counts (audio_channels of audio, rgb_channels of
any other kind): Conv1d over time, ReLU, BatchNorm, max pooling of 2. All side by side: the same,
the last block without pooling; the maximum over time, C. Padding is emptied before every
convolution. (B, T, D) -> (B, C).
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import MaskedBatchNorm, masked_max
from yt8m.networks.towers import Towers


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


class Blocks(nn.ModuleList):
    """Blocks from each size to the next, the first `pools` of them with pooling."""

    def __init__(self, sizes: list[int], kernel: int, pools: int):
        pairs = enumerate(pairwise(sizes))
        super().__init__(Block(*pair, kernel, number < pools) for number, pair in pairs)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        for block in self:
            x, mask = block(x, mask)
        return x, mask


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

        if len(rgb_channels) != len(audio_channels):
            raise ValueError(
                f"rgb_channels has {len(rgb_channels)} and audio_channels {len(audio_channels)} "
                "blocks; allowed: as many of both"
            )
        sizes = {
            name: [width, *(audio_channels if name == "audio" else rgb_channels)]
            for name, width in dims.features.items()
        }
        self.towers = Towers(dims, lambda name, _: Blocks(sizes[name], kernel, len(rgb_channels)))
        together = [sum(own[-1] for own in sizes.values()), *channels]
        self.both = Blocks(together, kernel, len(channels) - 1)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(together[-1], dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        parts, masks = zip(*self.towers(batch).values(), strict=True)  # all masks are the same
        x, mask = self.both(torch.cat(parts, 2), masks[0])
        return self.classifier(self.dropout(masked_max(x, mask)))
