"""ResNetLike: towers of identity blocks for rgb and audio, then for both (main paper, figure 3).

It is a first-level model, a student, and the part behind the pooling of several frame-level models.
The variants of its published configurations are arguments, off by default. Any other kind of
features has a tower of its own, of width W.
(B, D) of each kind -> (B, C), and in training (B, C + V) with verticals. W: width, V: verticals.
"""

import torch
from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.towers import Towers


class GaussianNoise(nn.Module):
    """Adds Gaussian noise with a standard deviation, in training only."""

    def __init__(self, deviation: float):
        super().__init__()
        self.deviation = deviation

    def forward(self, x: Tensor) -> Tensor:
        return x + self.deviation * torch.randn_like(x) if self.training else x


def fc(inputs: int, outputs: int, dropout: float, noise: float = 0.0) -> nn.Sequential:
    """Linear, BatchNorm (whose outputs have deviation 1), noise if any, LeakyReLU, Dropout."""
    return nn.Sequential(
        nn.Linear(inputs, outputs),
        nn.BatchNorm1d(outputs),
        *([GaussianNoise(noise)] if noise else []),
        nn.LeakyReLU(0.01),
        nn.Dropout(dropout),
    )


class IdentityBlock(nn.Module):
    """y = LeakyReLU(x + Linear(fc(x))), through `inner` units."""

    def __init__(self, width: int, inner: int, dropout: float, noise: float = 0.0):
        super().__init__()
        self.layers = nn.Sequential(fc(width, inner, dropout, noise), nn.Linear(inner, width))
        self.activation = nn.LeakyReLU(0.01)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x + self.layers(x))


class ResNetLike(nn.Module):
    """A video-level batch -> logits (B, C).

    rgb_share: the rgb tower's share of the width 2 W; audio has the rest (published: 10/16). Alone,
    either has W. noise: its deviation, in the identity blocks before the activation (published: 1
    to 3, and not where). gating: logits * sigmoid(BatchNorm(Linear(logits))). verticals: V more
    outputs, the logits of the verticals. hierarchy: the same, and the classifier sees [features;
    the verticals' scores]. ValueError for values out of range, or when the data has no verticals.
    """

    def __init__(
        self,
        dims: Dims,
        width: Size = 2048,
        tower_blocks: Count = 1,
        concat_blocks: Count = 1,
        dropout: float = 0.5,
        rgb_share: float = 0.5,
        noise: float = 0.0,
        gating: bool = False,
        verticals: bool = False,
        hierarchy: bool = False,
    ):
        super().__init__()
        _check(dims, rgb_share, noise, verticals or hierarchy)
        sizes = dict.fromkeys(dims.features, width)
        if {"rgb", "audio"} <= sizes.keys():
            sizes["rgb"] = round(2 * width * rgb_share)
            sizes["audio"] = 2 * width - sizes["rgb"]

        def tower(name: str, inputs: int) -> nn.Module:
            size = sizes[name]
            blocks = [IdentityBlock(size, size, dropout, noise) for _ in range(tower_blocks)]
            return nn.Sequential(fc(inputs, size, dropout), *blocks)

        self.towers = Towers(dims, tower)
        together = sum(sizes.values())
        self.concat = nn.Sequential(
            *(IdentityBlock(together, width, dropout, noise) for _ in range(concat_blocks)),
            fc(together, width, dropout),
        )
        self.hierarchy = hierarchy
        self.verticals = dims.verticals if verticals or hierarchy else 0
        self.vertical_head = nn.Linear(width, self.verticals) if self.verticals else None
        # Before the classifier: the last Linear with C outputs starts from class frequencies.
        self.gate = _open_gate(dims.classes) if gating else None
        self.classifier = nn.Linear(width + self.verticals * hierarchy, dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        x = self.concat(torch.cat(list(self.towers(batch).values()), dim=1))  # (B, W)
        above = self.vertical_head(x) if self.verticals else None  # (B, V)
        if self.hierarchy:
            x = torch.cat([x, above.sigmoid().to(x.dtype)], dim=1)
        logits = self.classifier(x)
        if self.gate is not None:
            logits = logits * self.gate(logits).sigmoid()
        return torch.cat([logits, above], dim=1) if self.verticals and self.training else logits


def _open_gate(classes: int) -> nn.Module:
    """Linear(C -> C) and BatchNorm (as in Miech et al., arXiv 1706.06905); it starts open.

    Without BatchNorm one step of Adam moves a gate by C times the learning rate times the mean
    logit, -8. On 28,792 videos GAP was then 0.37 after two epochs, 0.55 with it, 0.53 ungated.
    """
    norm = nn.BatchNorm1d(classes)
    nn.init.constant_(norm.bias, 3.0)  # sigmoid(3) = 0.95
    return nn.Sequential(nn.Linear(classes, classes, bias=False), norm)


def _check(dims: Dims, rgb_share: float, noise: float, verticals: bool) -> None:
    if not 0 < rgb_share < 1:
        raise ValueError(f"rgb_share = {rgb_share}: between 0 and 1 is allowed")
    if noise < 0:
        raise ValueError(f"noise = {noise}: 0 or more is allowed")
    if verticals and not dims.verticals:
        raise ValueError("the data's vocabulary has no verticals")
