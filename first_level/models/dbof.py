"""Deep Bag of Frames (benchmark paper, 4.1.2), gated or not, and BoF_4096 (LSTM-MoE paper, 4.1).

Each frame to P units with ReLU and BatchNorm, the maximum over time, hidden layers with BatchNorm,
C. projection = 0 takes the maximum of the frames themselves, with BatchNorm; dropout is then of the
frames and of all hidden layers but the last: hidden = [4096, 4096], dropout = 0.3 is BoF_4096
(Hit@1 0.78, GAP 0.66 there). gating: context gating behind the hidden layers; experts: mixture of
experts as the classifier (Miech et al. 2017, 1706.06905, gated DBoF: both). (B, T, D) -> (B, C).
"""

from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import ContextGating, classifier, dense, masked_max, pad, real_rows


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        projection: Count = 8192,
        hidden: list[Size] = (1024,),
        gating: bool = False,
        experts: Count = 0,
        dropout: float = 0.0,
    ):
        super().__init__()
        size = dims.width
        self.frame = (
            nn.Sequential(nn.Linear(size, projection), nn.ReLU(), nn.BatchNorm1d(projection))
            if projection
            else nn.Sequential(nn.BatchNorm1d(size), nn.Dropout(dropout))
        )
        sizes = [projection or size, *hidden]
        layers = dense(sizes, dropout, batch_norm=True)
        self.head = nn.Sequential(
            *(layers if projection else layers[:-1]),
            ContextGating(sizes[-1]) if gating else nn.Identity(),
            classifier(sizes[-1], dims.classes, experts),
        )

    def forward(self, batch: Batch) -> Tensor:
        mask = batch.mask
        rows = self.frame(real_rows(batch.joined, mask))
        return self.head(masked_max(pad(rows, mask), mask))
