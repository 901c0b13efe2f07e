"""The labels of the most similar training videos: k nearest neighbours, weighted by similarity.

p(c) = (sum_k w_k y_kc + s prior_c) / (sum_k w_k + s), w_k = exp((v_k - v_1) / T), where v is the
mixed cosine of all kinds of features of the K nearest videos and v_1 the largest. T, the mix, s and
the calibration of log-odds are learnt; each training video is then predicted without itself. Votes
are relative to the nearest video: absolute ones lose 0.06 of GAP (docs/models.md).

`fit` calls `remember` with training videos, which are the model's buffers from then on.
(B, D) -> (B, C). N remembered videos, K neighbours, L most labels of a remembered video.
"""

import math
from collections.abc import Iterable
from functools import reduce
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from yt8m.base.config import Size
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch, Targets

Share = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]


class Model(nn.Module):
    level = "video"

    def __init__(
        self,
        dims: Dims,
        neighbours: Size = 60,
        videos: Size = 50_000,
        temperature: Positive = 0.06,
        audio_share: Share = 0.2,
        smoothing: Positive = 0.5,
    ):
        """audio_share: of the mix, for audio; the other kinds have the rest in equal parts.
        videos: remembered at most; a batch takes 12 bytes for each of them and its own."""
        super().__init__()
        self.num_classes, self.neighbours, self.videos = dims.classes, neighbours, videos
        self.temperature = nn.Parameter(torch.tensor(math.log(temperature)))  # log T
        self.audio_odds = nn.Parameter(torch.tensor(math.log(audio_share / (1 - audio_share))))
        self.smoothing = nn.Parameter(torch.tensor(math.log(smoothing)))  # log s
        self.scale = nn.Parameter(torch.ones(()))
        self.bias = nn.Parameter(torch.zeros(dims.classes))
        self.kinds = list(dims.features)
        for name, width in dims.features.items():
            self.register_buffer(f"of_{name}", torch.zeros(1, width))  # (N, W), unit norm
        self.register_buffer("classes", torch.full((1, 1), dims.classes, dtype=torch.int32))
        self.register_buffer("values", torch.zeros(1, 1))  # (N, L), of `classes`; 0 beyond a list
        self.register_buffer("prior", torch.full((dims.classes,), 0.5))  # (C,)

    def remember(self, batch: Batch, targets: Targets) -> None:
        """Keeps videos and what is true of them; those without any label too."""
        kept = targets.values > 0
        order = torch.argsort(targets.rows[kept], stable=True)
        rows, classes, values = (
            part[kept][order] for part in (targets.rows, targets.classes, targets.values)
        )
        counts = torch.bincount(rows, minlength=len(batch))
        place = torch.arange(len(rows)) - (counts.cumsum(0) - counts)[rows]
        shape = (len(batch), max(1, int(counts.max())))
        for name in self.kinds:
            setattr(self, f"of_{name}", F.normalize(batch.features[name], dim=1))
        self.classes = torch.full(shape, self.num_classes, dtype=torch.int32)
        self.values = torch.zeros(shape)
        self.classes[rows, place] = classes.int()
        self.values[rows, place] = values
        sums = torch.zeros(self.num_classes).index_add_(0, classes, values)
        self.prior = (sums + 0.5) / (len(batch) + 1)

    def forward(self, batch: Batch) -> Tensor:
        smoothing, shares = self.smoothing.exp(), self._shares()
        cosines = [
            F.normalize(batch.features[name], dim=1) @ getattr(self, f"of_{name}").T  # (B, N)
            for name in self.kinds
        ]
        mixed = _sum(share * x for share, x in zip(shares, cosines, strict=True))
        nearest = self._nearest(mixed)  # (B, K)
        found = (cosine.float().gather(1, nearest) for cosine in cosines)
        similarity = _sum(share * x for share, x in zip(shares, found, strict=True))
        weights = ((similarity - similarity[:, :1]) / self.temperature.exp()).exp()
        votes = weights[:, :, None] * self.values[nearest]  # (B, K, L)
        sums = votes.new_zeros(votes.shape[0], self.num_classes + 1)  # the last: beyond a list
        at = self.classes[nearest].long()
        sums = sums.scatter_add(1, at.flatten(1), votes.flatten(1))[:, :-1]
        present = sums + smoothing * self.prior
        absent = weights.sum(1, keepdim=True) - sums + smoothing * (1 - self.prior)
        return self.scale * (present / absent).log() + self.bias

    def _shares(self) -> list[Tensor]:
        """Of each kind in the mix."""
        audio = self.audio_odds.sigmoid()
        others = sum(name != "audio" for name in self.kinds)
        return [audio if name == "audio" else (1 - audio) / others for name in self.kinds]

    def _nearest(self, similarity: Tensor) -> Tensor:
        """The K most similar videos, best first; in training without the first, a video itself."""
        first = int(self.training and similarity.shape[1] > 1)
        k = min(self.neighbours + first, similarity.shape[1])
        return similarity.detach().float().topk(k, dim=1).indices[:, first:]

    def _load_from_state_dict(self, state, prefix, *args) -> None:
        """Takes a memory of any size."""
        for name in ("classes", "values", *(f"of_{kind}" for kind in self.kinds)):
            own, loaded = getattr(self, name), state.get(prefix + name)
            if loaded is not None and loaded.ndim == 2 and loaded.shape != own.shape:
                setattr(self, name, own.new_empty(loaded.shape))
        super()._load_from_state_dict(state, prefix, *args)


def _sum(parts: Iterable[Tensor]) -> Tensor:
    """Without the 0 that `sum` begins with."""
    return reduce(torch.add, parts)
