"""LSTM-Bi-Attention: a bidirectional LSTM and attention over time (main paper, table 1).

For each kind of features: Linear and ReLU for each frame (W; audio_width of audio), a bidirectional
LSTM (2 W) whose outputs are put beside its inputs, softmax attention over time to one vector (3 W).
All side by side: BatchNorm, `hidden` layers, C. (B, T, D) -> (B, C).
"""

import torch
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import Recurrent, dense, masked_softmax
from yt8m.networks.towers import Towers


class Attended(nn.Module):
    """(B, T, D) -> (B, 3 W)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(inputs, width), nn.ReLU())
        self.lstm = Recurrent("lstm", width, width, bidirectional=True)
        self.score = nn.Linear(3 * width, 1)

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        x = self.project(frames)
        x = torch.cat([x, self.lstm(x, mask)[0].to(x.dtype)], 2)
        weights = masked_softmax(self.score(x), mask)[..., 0]
        return torch.einsum("bt,btd->bd", weights.to(x.dtype), x)


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        width: Size = 1024,
        audio_width: Size = 128,
        hidden: list[Size] = (4096, 4096),
        dropout: float = 0.0,
    ):
        super().__init__()
        widths = dict.fromkeys(dims.features, width)
        if "audio" in widths:
            widths["audio"] = audio_width
        self.towers = Towers(dims, lambda name, inputs: Attended(inputs, widths[name]))
        size = 3 * sum(widths.values())
        self.head = nn.Sequential(
            nn.BatchNorm1d(size),
            *dense([size, *hidden], dropout),
            nn.Linear([size, *hidden][-1], dims.classes),
        )

    def forward(self, batch: Batch) -> Tensor:
        return self.head(torch.cat(list(self.towers(batch).values()), 1))
