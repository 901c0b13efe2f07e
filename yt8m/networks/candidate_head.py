"""A network over the columns of (video, candidate) rows: the stack's learner beside trees.

F columns of a row.
"""

import torch
from torch import Tensor, nn

CLIP = 6.0  # standard deviations: no column of an odd video is beyond


class CandidateHead(nn.Module):
    """Columns (..., F), as stacking makes them -> logits (...). It scales them itself."""

    def __init__(self, columns: int, width: int = 96, layers: int = 3):
        super().__init__()
        self.register_buffer("centre", torch.zeros(columns))
        self.register_buffer("scale", torch.ones(columns))
        sizes = [columns, *[width] * layers]
        hidden = [
            part
            for inputs, outputs in zip(sizes, sizes[1:], strict=False)
            for part in (nn.Linear(inputs, outputs), nn.GELU())
        ]
        self.layers = nn.Sequential(*hidden, nn.Linear(sizes[-1], 1))

    def fit_scale(self, columns: Tensor) -> None:
        """Takes the mean and the standard deviation of each column of rows (R, F).

        A constant column counts as 0, also where it is another value later.
        """
        mean, spread = columns.double().mean(0), columns.double().std(0, correction=0)
        known = spread > 1e-6 * mean.abs().clamp_min(1e-6)
        self.centre.copy_(mean)
        self.scale.copy_(torch.where(known, 1 / spread.clamp_min(1e-12), 0))

    def forward(self, columns: Tensor) -> Tensor:
        scaled = ((columns - self.centre) * self.scale).clamp(-CLIP, CLIP)
        return self.layers(scaled).squeeze(-1)
