"""A mixture of experts per class (benchmark paper, section 4.3.3). (B, D) -> (B, C)."""

from torch import Tensor

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import MixtureOfExperts


class Model(MixtureOfExperts):
    level = "video"

    def __init__(self, dims: Dims, experts: Size = 2, dropout: float = 0.0):
        super().__init__(dims.width, dims.classes, experts, dropout)

    def forward(self, batch: Batch) -> Tensor:
        return super().forward(batch.joined)
