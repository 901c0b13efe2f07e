"""NetVLAD (Miech et al. 2017, 1706.06905) and NeXtVLAD (Lin et al. 2018, 1811.05014).

Frames are shared out among K clusters; a cluster's vector is the sum of its shares of (frame -
centre), normalised. groups > 0 (NeXtVLAD): frames are first widened `expansion` times and cut into
G groups of F units, shared out on their own and weighed by an attention, which makes the vectors
G / expansion times shorter. Audio has half of K and G. Then dropout, a hidden layer, gating, C.
(B, T, D) -> (B, C); N: real frames.

Best single networks published for this data. NeXtVLAD, 0.8723 with 89M parameters: clusters = 128,
groups = 8, hidden = 2048, gating = 8. Gated NetVLAD: clusters = 256, gating = 1, experts = 2.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.config import Count, Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.blocks import ContextGating, classifier, pad, real_rows
from yt8m.networks.towers import Towers


class SoftClusters(nn.Module):
    """(B, T, D) -> (B, K F); F = D and G = 1 without groups."""

    def __init__(self, inputs: int, clusters: int, groups: int, expansion: int):
        super().__init__()
        units = inputs * expansion if groups else inputs
        self.groups, parts = groups, max(1, groups)
        self.expand = nn.Linear(inputs, units) if groups else nn.Identity()
        self.attention = nn.Linear(units, groups) if groups else None
        self.assign = nn.Sequential(
            nn.Linear(units, parts * clusters, bias=False), nn.BatchNorm1d(parts * clusters)
        )
        self.centres = nn.Parameter(torch.randn(clusters, units // parts) / (units // parts) ** 0.5)
        self.size = self.centres.numel()

    def forward(self, frames: Tensor, mask: Tensor) -> Tensor:
        rows = self.expand(real_rows(frames, mask))  # (N, G F)
        clusters, units = self.centres.shape
        shares = self.assign(rows).float().unflatten(1, (-1, clusters)).softmax(2)  # (N, G, K)
        if self.attention is not None:
            shares = shares * self.attention(rows).float().sigmoid()[..., None]
        shares = pad(shares.flatten(1), mask).unflatten(2, (-1, clusters)).flatten(1, 2)
        parts = pad(rows, mask).unflatten(2, (-1, units)).flatten(1, 2)  # (B, T G, F)
        sums = torch.einsum("bsk,bsf->bkf", shares.to(parts.dtype), parts).float()
        residuals = F.normalize(sums - shares.sum(1)[..., None] * self.centres, dim=2)
        return residuals.flatten(1) if self.groups else F.normalize(residuals.flatten(1))


class Model(nn.Module):
    level = "frame"

    def __init__(
        self,
        dims: Dims,
        clusters: Size = 256,
        groups: Count = 0,  # 0: NetVLAD
        expansion: Size = 2,
        hidden: Size = 1024,
        gating: Count = 0,  # 0: none; 1: context gating; more: through hidden / gating units
        experts: Count = 0,  # 0: logistic; else a mixture of so many per class
        dropout: float = 0.5,
    ):
        super().__init__()

        def tower(name: str, width: int) -> SoftClusters:
            halves = max(1, clusters // 2), (groups + 1) // 2
            number, parts = halves if name == "audio" else (clusters, groups)
            if parts and width * expansion % parts:
                raise ValueError(
                    f"groups = {groups}; allowed: what divides expansion x {name} features = "
                    f"{expansion * width} (for audio: what has such a half)"
                )
            return SoftClusters(width, number, parts, expansion)

        self.towers = Towers(dims, tower)
        size = sum(self.towers[name].size for name in dims.features)
        # Published so: NetVLAD's hidden layer has a ReLU, NeXtVLAD's has none.
        self.head = nn.Sequential(
            nn.BatchNorm1d(size) if groups else nn.Identity(),
            nn.Dropout(dropout),
            nn.Linear(size, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.Identity() if groups else nn.ReLU(),
            ContextGating(hidden, gating) if gating else nn.Identity(),
            classifier(hidden, dims.classes, experts),
        )

    def forward(self, batch: Batch) -> Tensor:
        return self.head(torch.cat(list(self.towers(batch).values()), 1))
