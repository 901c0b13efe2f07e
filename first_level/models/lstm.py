"""EarlyConcatLSTM and its kin: recurrent layers over frames, all kinds of features side by side.

readout "last" (main paper, "Recurrent frame-level models"): every layer's state at the video's own
last frame. "ramp" (LSTM-MoE paper, 4.2, and benchmark paper, 4.1.3, which both let frame i of n
count i / n): the so weighted mean of the last layer's outputs. The former sums instead; its videos
all have 90 frames, for which that is a constant factor. Then `hidden` layers, and C.
(B, T, D) -> (B, C); W: width. 3 x 2048 with ramp, hidden = []: Hit@1 0.87, GAP 0.79 there.
"""

import torch
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import MaskedBatchNorm, Recurrent, dense, ramp


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        cell: str = "lstm",  # or "gru"
        width: Size = 1024,
        layers: Size = 2,
        bidirectional: bool = False,
        residual: bool = False,  # a layer's input is added to its output
        batch_norm: bool = False,  # of the frames
        layer_dropout: float = 0.0,  # of a layer's outputs
        readout: str = "last",
        hidden: list[Size] = (2048,),
        dropout: float = 0.1,  # of the hidden layers
    ):
        super().__init__()
        if readout not in ("last", "ramp"):
            raise ValueError(f"readout = {readout!r}; allowed: last, ramp")
        size, outputs = dims.width, width * (1 + bidirectional)
        sizes = [size, *[outputs] * (layers - 1)]
        self.norm = MaskedBatchNorm(size) if batch_norm else None
        self.layers = nn.ModuleList(Recurrent(cell, n, width, bidirectional) for n in sizes)
        # Where widths differ, the shortcut is a projection.
        shortcuts = [nn.Linear(n, outputs, bias=False) if n != outputs else None for n in sizes]
        self.shortcuts = nn.ModuleList(nn.Identity() if s is None else s for s in shortcuts)
        if not residual:
            self.shortcuts = None
        self.dropout = nn.Dropout(layer_dropout)
        self.readout = readout
        states = outputs * layers * (2 if cell == "lstm" else 1)
        read = states if readout == "last" else outputs
        self.head = nn.Sequential(
            *dense([read, *hidden], dropout), nn.Linear([read, *hidden][-1], dims.classes)
        )

    def forward(self, batch: Batch) -> Tensor:
        x, mask = batch.joined, batch.mask
        if self.norm is not None:
            x = self.norm(x, mask)
        states = []
        for number, layer in enumerate(self.layers):
            out, state = layer(x, mask)
            if self.shortcuts is not None:
                out = out + self.shortcuts[number](x)
            x = self.dropout(out)
            states.append(state)
        return self.head(torch.cat(states, 1) if self.readout == "last" else ramp(x, mask))
