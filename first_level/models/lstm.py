"""EarlyConcatLSTM: LSTM layers over frames, rgb and audio side by side (main paper, "Recurrent").

The last (h, c) of every layer and direction, at each video's own last frame, concatenated ->
FC -> C. (B, T, D) -> (B, C); W: width, L: layers, S: directions.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from yt8m.dataset import Batch
from yt8m.store import Dims


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        width: int = 1024,
        layers: int = 2,
        bidirectional: bool = False,
        hidden: int = 2048,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.lstm = nn.LSTM(
            dims.rgb + dims.audio, width, layers, batch_first=True, bidirectional=bidirectional
        )
        states = 2 * width * layers * (1 + bidirectional)
        self.head = nn.Sequential(
            nn.Linear(states, hidden),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, dims.classes),
        )

    def forward(self, batch: Batch) -> Tensor:
        lengths = batch.mask.sum(1).cpu()
        packed = pack_padded_sequence(
            batch.features, lengths, batch_first=True, enforce_sorted=False
        )
        _, (h, c) = self.lstm(packed)  # each (L * S, B, W)
        return self.head(torch.cat([h, c]).transpose(0, 1).flatten(1))
