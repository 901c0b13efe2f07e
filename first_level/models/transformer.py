"""Transformer encoder over frames (main paper, "Attention-based frame-level models", 1).

Each frame to W units, layers of multi-head self-attention and of two dense layers (each behind a
LayerNorm, which needs no warm-up), the mean over time, C. Without position codes it was "much more
successful" there, hence the default. (B, T, D) -> (B, C); H: heads.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import masked_mean


class Layer(nn.Module):
    """(B, T, W) -> (B, T, W); a frame looks at the real frames alone."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.project = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.inner = nn.Sequential(
            nn.Linear(width, inner), nn.ReLU(), nn.Dropout(dropout), nn.Linear(inner, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        parts = self.project(self.before_attention(x)).chunk(3, 2)
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None])
        x = x + self.dropout(self.merge(seen.transpose(1, 2).flatten(2)))  # (B, H, T, W / H) before
        return x + self.dropout(self.inner(self.before_inner(x)))


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        width: Size = 512,
        layers: Size = 1,
        heads: Size = 1,
        inner: Size = 2048,
        positions: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        if width % (2 * heads):
            raise ValueError(f"width = {width}; allowed: multiples of 2 x heads = {2 * heads}")
        self.positions = positions
        self.project = nn.Linear(dims.width, width)
        self.layers = nn.ModuleList(Layer(width, heads, inner, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        x = self.project(batch.joined)
        if self.positions:
            x = x + codes(*x.shape[1:]).to(x)
        for layer in self.layers:
            x = layer(x, batch.mask)
        return self.classifier(masked_mean(self.norm(x), batch.mask))


def codes(frames: int, width: int) -> Tensor:
    """(T, W): sines and cosines of wavelengths from 2 pi to 10,000 times that, side by side."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10000.0) / width))
    angles = torch.arange(frames)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], 1)
