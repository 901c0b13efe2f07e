"""Dropout that draws few random numbers on a CPU.

torch draws 53 random bits for each element there, one after the other: a tenth of the training
step of a ResNetLike. Here 64 bits are the draws of eight elements, or of four.
"""

import torch
from torch import Tensor, nn


class Dropout(nn.Dropout):
    """nn.Dropout; on a CPU with a mask from 8 random bits an element where p is a multiple of
    1/256, as 0.5 is, and from 16 where it is not and is rounded to one of 1/65,536."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or x.device.type != "cpu":
            return super().forward(x)
        bits, kind = (8, torch.int8) if (self.p * 256).is_integer() else (16, torch.int16)
        words = torch.empty(-(-x.numel() * bits // 64), dtype=torch.int64)
        draws = words.random_(-(1 << 63), None).view(kind)[: x.numel()].view(x.shape)
        kept = draws >= round(self.p * (1 << bits)) - (1 << (bits - 1))
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))
