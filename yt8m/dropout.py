"""Dropout that draws a quarter of the random numbers on a CPU.

torch draws 53 random bits for each element there, one after the other: a tenth of the training
step of a ResNetLike. Here 64 bits are the draws of four elements.
"""

import torch
from torch import Tensor, nn

LEVELS = 1 << 16  # the share is rounded to a multiple of 1 / LEVELS


class Dropout(nn.Dropout):
    """nn.Dropout; on a CPU with a mask from 16 random bits an element."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or x.device.type != "cpu":
            return super().forward(x)
        words = torch.empty(-(-x.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        bits = words.view(torch.int16)[: x.numel()].view(x.shape)
        kept = bits >= round(self.p * LEVELS) - LEVELS // 2
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))
