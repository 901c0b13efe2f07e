"""The last layer of a re-ranked student: a network over columns of a video's best classes.

It makes the columns of stacking/features.py and stacking/label_features.py from the logits of all
classes, by operators that a graph has. Those two files define the columns; a test holds both to the
same values.

B batch, m models, C classes, K of a model's list, M candidates, k of them that give evidence, F
columns, P pairs of classes that some video has, W width of a kind of features.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from yt8m.data.predictions import COLUMN_PLACES, RANK_OFFSET
from yt8m.networks.candidate_head import CandidateHead


@dataclass(frozen=True)
class Columns:
    """How the columns are made. kept: the length K of each model's list, of which a class beyond
    counts with the last value; evidence: k; videos: those that the counts of labels are of."""

    kept: tuple[int, ...]
    candidates: int
    rank_by: str
    evidence: int
    smoothing: float
    videos: int


class Reranker(nn.Module):
    """Logits (B, C) of each model and raw features (B, W) -> classes and logits (B, M), best first.

    `counts` (C,) are of the labels of the training videos, `pair_counts` (P,) of pairs of labels,
    at `pair_at` = C x first + second: few of the C x C are ever seen.
    """

    def __init__(self, columns: Columns, classes: int, inputs: int, width: int, layers: int):
        super().__init__()
        self.columns, self.classes = columns, classes
        self.head = CandidateHead(inputs, width, layers)
        self.register_buffer("counts", torch.zeros(classes))
        self.register_buffer("pair_at", torch.zeros(1, dtype=torch.int32))
        self.register_buffer("pair_counts", torch.zeros(1))

    def forward(self, models: list[Tensor], video: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        classes, columns = self.rows(models, video)
        logits = self.head(columns)
        logits, order = logits.topk(logits.shape[1])
        return classes.gather(1, order), logits

    def rows(self, models: list[Tensor], video: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """The candidates (B, M), and their columns (B, M, F)."""
        lists = [_List(x, keep) for x, keep in zip(models, self.columns.kept, strict=True)]
        votes = torch.stack([one.votes(self.columns.rank_by) for one in lists]).mean(0)
        if self.columns.candidates == max(self.columns.kept):  # else the lists have more to give
            listed = [x >= one.values[:, -1:] for x, one in zip(models, lists, strict=True)]
            votes = votes.masked_fill(torch.stack(listed).float().sum(0) == 0, float("-inf"))
        classes = votes.topk(self.columns.candidates).indices
        logits = torch.stack([one.logits.gather(1, classes) for one in lists])  # (m, B, M)
        tops = [torch.stack([one.in_top(n, classes) for one in lists]).sum(0) for n in (5, 20)]
        mean, probability = logits.mean(0), logits.sigmoid().mean(0)
        columns = [
            *logits,
            *_agreement(logits, mean, probability, *tops),
            *_of_video(mean, probability),
            *(values.square().sum(1, keepdim=True).sqrt() for values in video.values()),
            *self._of_labels(classes, probability),
        ]
        return classes, torch.stack([column.expand_as(mean) for column in columns], 2)

    def _of_labels(self, classes: Tensor, probability: Tensor) -> list[Tensor]:
        """The columns of stacking.label_features, (B, M) each."""
        counts, known = self.counts, self.columns
        videos, s = float(known.videos), known.smoothing
        first = classes[:, : known.evidence]  # (B, k)
        flat = torch.zeros(self.classes**2, device=counts.device)
        flat = flat.scatter(0, self.pair_at.long(), self.pair_counts)
        pairs = flat[first[:, :, None] * self.classes + classes[:, None]]  # (B, k, M)
        own, of_class = counts[first][:, :, None], counts[classes][:, None]
        forward = (pairs + s / videos * of_class) / (own + s)
        back = (pairs + s / videos * own) / (of_class + s)
        lift = ((pairs + s) / (own * of_class / videos + s)).log()
        others = 1 - torch.eye(first.shape[1], classes.shape[1], device=counts.device)
        forward, back, lift = forward * others, back * others, lift * others
        weight = probability[:, : first.shape[1], None]
        prior = ((counts + 0.5) / (videos - counts + 0.5)).log()
        return [
            prior[classes],
            (weight * lift).sum(1),
            (weight * lift).amin(1),
            (weight * forward).amax(1),
            (weight * back).sum(1),
            ((1 - weight) * back).sum(1),
            _of_best_other(forward),
            _of_best_other(lift),
        ]

    def _load_from_state_dict(self, state, prefix, *args) -> None:
        """Takes any number of pairs."""
        for name in ("pair_at", "pair_counts"):
            if (loaded := state.get(prefix + name)) is not None and loaded.ndim == 1:
                setattr(self, name, getattr(self, name).new_empty(loaded.shape))
        super()._load_from_state_dict(state, prefix, *args)


class _List:
    """What a model's list of its K best classes says of all classes: logits (B, C)."""

    def __init__(self, logits: Tensor, keep: int):
        keep = min(keep, logits.shape[1])
        self.values, self.classes = logits.topk(keep)  # (B, K)
        self.logits = logits.maximum(self.values[:, -1:])

    def in_top(self, number: int, classes: Tensor) -> Tensor:
        """Whether classes (B, M) are among the first of the list: 0 or 1, float (B, M)."""
        return (classes[:, :, None] == self.classes[:, None, :number]).float().sum(2)

    def votes(self, rank_by: str) -> Tensor:
        """The vote for each class (B, C): stacking.candidates.votes_of."""
        if rank_by == "probability":
            return self.logits.sigmoid()
        if rank_by == "logit":
            return self.logits
        places = 1 / (RANK_OFFSET + torch.arange(self.classes.shape[1], device=self.logits.device))
        votes = torch.full_like(self.logits, float(1 / (RANK_OFFSET + self.classes.shape[1] - 1)))
        return votes.scatter(1, self.classes, places.expand_as(self.values))


def _agreement(
    logits: Tensor, mean: Tensor, probability: Tensor, in_top5: Tensor, in_top20: Tensor
) -> list[Tensor]:
    """The columns of stacking.features.AGREEMENT from logits (m, B, M)."""
    rank = torch.arange(mean.shape[1], device=mean.device).float()[None]
    return [
        mean,
        logits.amax(0),
        logits.amin(0),
        (logits - mean).square().mean(0).sqrt(),
        probability,
        in_top5,
        in_top20,
        rank,
        mean - mean.amax(1, keepdim=True),
        functional.pad(mean[:, :-1] - mean[:, 1:], (0, 1)),
        probability.sum(1, keepdim=True),
    ]


def _of_video(mean: Tensor, probability: Tensor) -> list[Tensor]:
    """The columns of stacking.features.OF_VIDEO, (B, 1) each."""
    falling, last = mean.topk(mean.shape[1]).values, mean.shape[1] - 1
    top5 = probability.topk(min(5, last + 1)).values.sum(1, keepdim=True)
    over_half = (probability > 0.5).float().sum(1, keepdim=True)
    entropy = -(probability * (probability + 1e-6).log()).sum(1, keepdim=True)
    largest = [falling[:, min(place - 1, last), None] for place in COLUMN_PLACES]
    return [*largest, top5, over_half, entropy]


def _of_best_other(table: Tensor) -> Tensor:
    """(B, k, M) -> (B, M): the values of the best candidate; for itself, of the second best."""
    second = table[:, min(1, table.shape[1] - 1), :1]
    return torch.cat([second, table[:, 0, 1:]], 1)
