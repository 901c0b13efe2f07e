"""Dropout that draws fewer random bits on a CPU.

torch draws 53 random bits for each element there, one element at a time. That takes a tenth of a
training step of ResNetLike. Here 64 bits serve eight elements, or four.
"""

import torch
from torch import Tensor, nn


class FastDropout(nn.Dropout):
    """nn.Dropout with cheaper masks on a CPU; a drop-in by `use_fast_layers`.

    A mask takes 8 random bits an element where p is a multiple of 1/256, as 0.5 is. Otherwise it
    takes 16, and p is rounded to a multiple of 1/65,536.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not 0 < self.p < 1 or x.device.type != "cpu":
            return super().forward(x)
        bits, kind = (8, torch.int8) if (self.p * 256).is_integer() else (16, torch.int16)
        words = torch.empty(-(-x.numel() * bits // 64), dtype=torch.int64)
        draws = words.random_(-(1 << 63), None).view(kind)[: x.numel()].view(x.shape)
        kept = draws >= round(self.p * (1 << bits)) - (1 << (bits - 1))
        return x * kept.to(x.dtype).mul_(1 / (1 - self.p))
