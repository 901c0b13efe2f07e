"""Logistic regression on each frame, then the mean of the probabilities (benchmark paper, 4.1.1).

Returned as logits, computed in log space. each_frame: in training each frame learns the video's
labels by itself, as published (there 20 random frames of a video; needs loss = "bce"). Without,
the mean probability learns them. (B, T, D) -> (B, C).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Model(nn.Module):
    level = "frame"

    def __init__(self, dims: Dims, each_frame: bool = False):
        super().__init__()
        self.each_frame = each_frame
        self.classifier = nn.Linear(dims.width, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        logits = self.classifier(batch.joined).float()  # (B, T, C)
        if self.each_frame and self.training:
            return self._mean_logits(logits, batch.mask)
        padding = ~batch.mask[..., None]
        # The number of frames divides both sums, and cancels out.
        present, absent = (
            F.logsigmoid(signed).masked_fill(padding, -torch.inf).logsumexp(1)
            for signed in (logits, -logits)
        )
        return present - absent

    def _mean_logits(self, logits: Tensor, mask: Tensor) -> Tensor:
        """(B, T, C) -> (B, C), whose BCE, with `penalty`, is the mean of the frames' BCE.

        That of logits z and labels y is softplus(z) - y z: only the first term is not linear in z.
        """
        share = (mask / mask.sum(1, keepdim=True))[..., None]
        mean = (logits * share).sum(1)
        self.penalty = ((F.softplus(logits) * share).sum(1) - F.softplus(mean)).sum(1).mean()
        return mean
