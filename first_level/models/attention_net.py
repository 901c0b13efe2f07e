"""AttentionNet: stacked attention over frames (main paper, "Attention-based", model 2).

Each layer: v = ReLU(Linear(x)) per frame, weights = softmax over time of Linear(v), their sum is
appended to every frame. Then the mean over time, BatchNorm, two hidden layers. heads > 1: each
head weighs its own H / heads units of v. (B, T, D) -> (B, C); H: width of a layer.
"""

import torch
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import dense, masked_mean, masked_softmax


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        width: Size = 1024,
        layers: Size = 3,
        heads: Size = 1,
        hidden: Size = 4096,
        dropout: float = 0.0,
    ):
        super().__init__()
        if width % heads:
            raise ValueError(f"heads = {heads}; allowed: what divides width = {width}")
        size = dims.width
        sizes = [size + width * number for number in range(layers)]
        self.values = nn.ModuleList(nn.Linear(inputs, width) for inputs in sizes)
        self.scores = nn.ModuleList(nn.Linear(width, heads) for _ in sizes)
        self.head = nn.Sequential(
            nn.BatchNorm1d(size + width * layers),
            *dense([size + width * layers, hidden, hidden], dropout),
            nn.Linear(hidden, dims.classes),
        )

    def forward(self, batch: Batch) -> Tensor:
        x, mask = batch.joined, batch.mask
        summaries: list[Tensor] = []
        for value, score in zip(self.values, self.scores, strict=True):
            # The appended vectors are the same for all frames: project them once, not T times.
            own = value.weight[:, : x.shape[2]]
            v = nn.functional.linear(x, own, value.bias)  # (B, T, H)
            if summaries:
                rest = value.weight[:, x.shape[2] :]
                v = v + nn.functional.linear(torch.cat(summaries, 1), rest)[:, None]
            v = v.relu()
            weights = masked_softmax(score(v), mask).to(v.dtype)  # (B, T, heads)
            parts = v.unflatten(2, (weights.shape[2], -1))
            summaries.append(torch.einsum("bth,bthd->bhd", weights, parts).flatten(1))
        mean = masked_mean(x, mask)
        return self.head(torch.cat([mean, *(s.to(mean.dtype) for s in summaries)], 1))
