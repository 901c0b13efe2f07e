"""Time-distributed dense sorting (main paper, "Time-distributed models").

A ResNetLike scores the classes of every frame; each class' scores are sorted over time and read at
`length` even steps from the highest to the lowest, whatever the video's own length; two dense
layers, the same for all classes, make one score of them, which is added to their mean.
(B, T, D) -> (B, C); L: length.
"""

import torch
from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import pad, real_rows
from yt8m.networks.resnet import ResNetLike


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        width: Size = 1024,
        tower_blocks: Count = 1,
        concat_blocks: Count = 1,
        dropout: float = 0.5,
        length: Size = 16,
        hidden: Size = 32,
    ):
        super().__init__()
        self.length = length
        self.layers = nn.Sequential(nn.Linear(length, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        self.frame = ResNetLike(dims, width, tower_blocks, concat_blocks, dropout)

    def forward(self, batch: Batch) -> Tensor:
        mask = batch.mask
        rows = Batch({name: real_rows(x, mask) for name, x in batch.features.items()})
        scores = pad(self.frame(rows).float(), mask, fill=-torch.inf)  # (B, T, C)
        # Padding is sorted behind the real frames, where nothing is read.
        ordered = scores.sort(1, descending=True).values
        read = resample(ordered, mask.sum(1), self.length).transpose(1, 2)  # (B, C, L)
        return read.mean(2) + self.layers(read)[..., 0]


def resample(x: Tensor, lengths: Tensor, count: int) -> Tensor:
    """(B, T, C), of which the first `lengths` (B,) are real -> (B, count, C), linearly between."""
    steps = torch.linspace(0, 1, count, device=x.device)
    places = (lengths[:, None] - 1) * steps  # (B, count)
    below = places.floor().long()
    above = torch.minimum(below + 1, lengths[:, None] - 1)
    low, high = (
        x.gather(1, index[..., None].expand(-1, -1, x.shape[2])) for index in (below, above)
    )
    return torch.lerp(low, high, (places - below)[..., None])
