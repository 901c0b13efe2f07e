"""EarlyConcatFCN: plain hidden layers with ReLU, BatchNorm and dropout. (B, D) -> (B, C)."""

from torch import Tensor, nn

from yt8m.dataset import Batch
from yt8m.store import Dims


class Model(nn.Module):
    level = "video"

    def __init__(self, dims: Dims, widths: list[int] = (4096,), dropout: float = 0.5):
        super().__init__()
        sizes = [dims.rgb + dims.audio, *widths]
        layers: list[nn.Module] = []
        for inputs, outputs in zip(sizes, sizes[1:], strict=False):
            layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
            layers += [nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], dims.classes))

    def forward(self, batch: Batch) -> Tensor:
        return self.layers(batch.features)
