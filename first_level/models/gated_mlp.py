"""AttentiveFCN: a hidden layer that gates itself, x * sigmoid(Linear(x)). (B, D) -> (B, C).

Main paper, "Compact representations": widths from 1 to 16,000; 4 neurons reach GAP 0.41. Published
under numbers; the variants are known, which number is which is taken to be, in the order told:
  AttentiveFCN       the defaults: one hidden layer
  2, 3               layers = 2, without and with dropout
  5                  layers = 2, sort: gates see the layer's activations in order of size (sorting
                     the layer itself did not learn: GAP 0.35 against 0.55 on 28,792 videos)
  6                  layers = 2, residual: x + ReLU(BatchNorm(Linear(x))), BatchNorm in every layer
  7                  heads = 5: five gates of the layer, side by side; all classes read all five
W: width, H: heads.
"""

from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Model(nn.Module):
    level = "video"

    def __init__(
        self,
        dims: Dims,
        width: Size = 4096,
        layers: Size = 1,
        dropout: float = 0.0,
        sort: bool = False,
        residual: bool = False,
        heads: Size = 1,
    ):
        super().__init__()

        def layer(inputs: int) -> nn.Module:
            norm = [nn.BatchNorm1d(width)] if residual else []
            return nn.Sequential(nn.Linear(inputs, width), *norm, nn.ReLU())

        self.hidden = layer(dims.width)
        self.deeper = nn.ModuleList(layer(width) for _ in range(layers - 1))
        self.sort, self.residual, self.heads = sort, residual, heads
        self.gate = nn.Linear(width, heads * width)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(heads * width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        x = self.hidden(batch.joined)  # (B, W)
        for layer in self.deeper:
            x = x + layer(x) if self.residual else layer(x)
        seen = x.sort(dim=1, descending=True).values if self.sort else x
        x = x.repeat(1, self.heads) * self.gate(seen).sigmoid()  # (B, H W)
        return self.classifier(self.dropout(x))
