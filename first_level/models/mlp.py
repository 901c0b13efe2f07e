"""EarlyConcatFCN and BottleFCN1: plain layers with BatchNorm, ReLU, dropout. (B, D) -> (B, C).

Published: widths [8192, 8192], [4096, 4096], [2000] x 3, [200] x 7. BottleFCN1, the hourglass: a
width of 2048 halved 3 to 7 times, then doubled as often. BatchNorm is taken to be in both.
Beyond them, the heads of the strongest single networks of the frame level: context gating and a
mixture of experts (Miech et al. 2017, 1706.06905: gating = 1, experts = 2); gating through fewer
units (NeXtVLAD, Lin et al. 2018, 1811.05014: gating = 8).
"""

from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import ContextGating, classifier, dense


class Model(nn.Module):
    level = "video"

    def __init__(
        self,
        dims: Dims,
        widths: list[Size] = (4096,),
        dropout: float = 0.5,
        halvings: Count = 0,
        gating: Count = 0,  # 0: none; 1: context gating; more: through width / gating units
        experts: Count = 0,  # 0: logistic; else a mixture of so many per class
    ):
        super().__init__()
        sizes = [dims.width, *hourglass(list(widths), halvings)]
        self.hidden = nn.Sequential(*dense(sizes, dropout, batch_norm=True))
        self.gate = ContextGating(sizes[-1], gating) if gating else nn.Identity()
        self.classifier = classifier(sizes[-1], dims.classes, experts)

    def forward(self, batch: Batch) -> Tensor:
        return self.classifier(self.gate(self.hidden(batch.joined)))


def hourglass(widths: list[int], halvings: int) -> list[int]:
    """`widths`, and the last of them halved so many times, then doubled as often."""
    down = [widths[-1] // 2**step for step in range(halvings + 1)]
    if not down[-1]:
        raise ValueError(f"halvings = {halvings}: too many for a width of {widths[-1]}")
    return [*widths[:-1], *down, *down[-2::-1]]
