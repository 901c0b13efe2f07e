"""Logistic regression on each frame, then the mean of the probabilities (benchmark paper, 4.1.1).

Returned as logits, computed in log space. (B, T, D) -> (B, C).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Model(nn.Module):
    level = "frame"

    def __init__(self, dims: Dims):
        super().__init__()
        self.classifier = nn.Linear(dims.width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        logits = self.classifier(batch.joined).float()  # (B, T, C)
        padding = ~batch.mask[..., None]
        # The number of frames divides both sums, and cancels out.
        present, absent = (
            F.logsigmoid(signed).masked_fill(padding, -torch.inf).logsumexp(1)
            for signed in (logits, -logits)
        )
        return present - absent
