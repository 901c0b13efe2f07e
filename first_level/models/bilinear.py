"""MondayFCN1 and 5: the input times a small code of itself. (B, D) -> (B, C).

z = tanhshrink(Linear(x)) of Z `code` units; h = Bilinear(x, z), W wide; ReLU, dropout, Linear.
Published: W 1024 with 32 or 128 (1), 32 or 64 with dropout 0 to 0.5 (5: taken to differ in that).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Model(nn.Module):
    level = "video"

    def __init__(self, dims: Dims, width: Size = 1024, code: Size = 32, dropout: float = 0.0):
        super().__init__()
        inputs = dims.width
        self.code = nn.Linear(inputs, code)
        # Bilinear(x, z) as one matrix product and a small sum: nn.Bilinear is far slower.
        self.bilinear = nn.Linear(inputs, code * width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        x = batch.joined
        z = F.tanhshrink(self.code(x))  # (B, Z)
        each = self.bilinear(x).unflatten(1, (z.shape[1], -1))  # (B, Z, W)
        h = torch.einsum("bzw,bz->bw", each, z) + self.bias
        return self.classifier(self.dropout(h.relu()))
