"""Logistic regression on the mean features (benchmark paper, table 3: mAP 28.1). (B, D) -> (B, C).

The L2 penalty is `training.weight_decay`.
"""

from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Model(nn.Module):
    level = "video"

    def __init__(self, dims: Dims):
        super().__init__()
        self.classifier = nn.Linear(dims.width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        return self.classifier(batch.joined)
