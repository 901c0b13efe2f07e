"""The student: frozen extractors, their features beside the input, three layers on top.

Main paper, section 3: "take each model's features on the penultimate layer, concatenate,
and feed them into a new trainable classification layer. The feature extractors are frozen".
  concat(a..f, input) 9344 - 8192 - 6000 - C
Which layers have biases and BatchNorm was never published; the published size decides. With
1024 + 128 inputs and 3,862 classes the student has exactly 247,233,888 values (parameters, running
means and variances, no step counters of BatchNorm). That is so when no Linear has a bias, and
BatchNorm follows each Linear but the 9344 - 8192 one and the classifier. W: width.
"""

import torch
from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.extractors import LAYOUTS, Extractor, scale_width

HIDDEN = (8192, 6000)


class Student(nn.Module):
    """Batch (video level, normalised) -> logits (B, C)."""

    def __init__(self, dims: Dims, scale: float, dropout: float = 0.0):
        super().__init__()
        self.extractors = nn.ModuleDict({x: Extractor(x, dims, scale) for x in LAYOUTS})
        width = sum(x.width for x in self.extractors.values()) + dims.width
        wide, narrow = (scale_width(hidden, scale) for hidden in HIDDEN)
        self.last = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(width, wide, bias=False),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(wide, narrow, bias=False),
            nn.BatchNorm1d(narrow),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(narrow, dims.classes, bias=False),
        )
        self.freeze(True)

    def freeze(self, frozen: bool) -> None:
        """Freezes the extractors, their batch statistics too, or lets them train."""
        self.frozen = frozen
        self.extractors.requires_grad_(not frozen)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Student":
        super().train(mode)
        if self.frozen:
            self.extractors.eval()
        return self

    def features(self, batch: Batch) -> Tensor:
        """The input of the last layers: all extractors' features, then the batch's."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            parts = [extractor(batch) for extractor in self.extractors.values()]
        return torch.cat([*parts, batch.joined], dim=1)  # (B, W)

    def forward(self, batch: Batch) -> Tensor:
        return self.last(self.features(batch))


def num_values(model: nn.Module) -> int:
    """The number of values that an export stores: parameters, running means and variances."""
    return sum(t.numel() for t in model.state_dict().values() if t.is_floating_point())
