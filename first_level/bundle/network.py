"""The networks that are handed over: what an export names and how it is built again.

A `Network` is one student, or several with their logits averaged, or the refitted models of a
re-ranked student. B batch, T frames (padded), W width of a kind of features, C classes.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from first_level.bundle.manifest import Manifest, Member, RerankerAbout, groups_of
from first_level.bundle.rounding import load_rounded
from first_level.bundle.sums import check_sums
from first_level.config import build
from yt8m.base.paths import EXPORT_WEIGHTS
from yt8m.data.predictions import TOP_K
from yt8m.data.store import Dims
from yt8m.inputs.batch import prepare
from yt8m.inputs.settings import Inputs, Level
from yt8m.networks.blocks import masked_mean
from yt8m.networks.reranker import Columns, Reranker
from yt8m.networks.resnet import ResNetLike
from yt8m.networks.student import Student


def build_member(member: Member, dims: Dims, dropout: float = 0.0) -> nn.Module:
    """An untrained student for data of these dims (as it sees them; a refitted model: as the data
    has them). `dropout` is for training the last layers."""
    if member.kind == "resnet":
        return ResNetLike(dims, **member.resnet.model_dump())
    if member.kind == "refit":
        return build(member.refit, dims, member.name)
    return Student(dims, member.scale, dropout)


Features = dict[str, Tensor]  # by kind, in the order of the export's


class Network(nn.Module):
    """Raw features (B, W) of each kind -> logits (B, C); normalises them itself.

    With frame-level members: frames (B, T, W) of each kind that has some, and lengths (B,), how
    many frames are real. The other members then see their mean. `reranker` is the last layer of a
    re-ranked student.
    """

    reranker: Reranker | None

    def __init__(self, members: list[nn.Module], descriptions: list[Member], inputs: Inputs):
        super().__init__()
        self.reranker = None
        self.members, self.inputs = nn.ModuleList(members), inputs
        self.groups, self.of_member = groups_of(descriptions)
        self.seen = [one.refit.inputs if one.refit else inputs for one in descriptions]
        self.by_frame = [level_of(member) == "frame" for member in members]

    def of_models(self, features: Features, lengths: Tensor | None = None) -> list[Tensor]:
        """Logits (B, C) of each model, its copies averaged."""
        video, frames, mask = split(features, lengths)
        found = [[] for _ in self.groups]
        members = zip(self.members, self.seen, self.by_frame, self.of_member, strict=True)
        for member, inputs, by_frame, group in members:
            batch = prepare(inputs, frames, mask) if by_frame else prepare(inputs, video)
            found[group].append(member(batch))
        return [mean_of(logits) for logits in found]

    def forward(self, features: Features, lengths: Tensor | None = None) -> Tensor:
        return mean_of(self.of_models(features, lengths))

    def best(self, features: Features, lengths: Tensor | None = None, k: int = TOP_K):
        """The k best classes, and what they are of: classes int64 (B, k) and logits (B, k), best
        first; logits (B, C), the models' mean before any re-ranking."""
        models = self.of_models(features, lengths)
        logits = mean_of(models)
        if self.reranker is None:
            values, classes = logits.topk(min(k, logits.shape[1]))
        else:
            classes, values = self.reranker(models, split(features, lengths)[0])
        return classes[:, :k], values[:, :k], logits


def split(features: Features, lengths: Tensor | None):
    """Features of whole videos, those of frames, and which frames are real (B, T)."""
    if lengths is None:
        return features, {}, None
    frames = {name: x for name, x in features.items() if x.ndim == 3}
    first = next(iter(frames.values()))
    mask = torch.arange(first.shape[1], device=first.device) < lengths[:, None]
    return features | {name: masked_mean(x, mask) for name, x in frames.items()}, frames, mask


def load_network(folder: Path, manifest: Manifest) -> Network:
    """The network of an export folder, with its values. InputError when they do not fit."""
    check_sums(folder, EXPORT_WEIGHTS)
    with torch.device("meta"):  # without memory for values: those come from the file
        network = build_network(manifest.members, manifest.inputs, manifest.dims)
        if manifest.reranker:
            network.reranker = build_reranker(manifest.reranker, manifest.classes)
    load_rounded(network, folder / EXPORT_WEIGHTS)
    return network


def build_reranker(about: RerankerAbout, classes: int) -> Reranker:
    """An untrained last layer of a re-ranked student."""
    columns = Columns(
        tuple(about.kept),
        about.candidates,
        about.rank_by,
        about.evidence,
        about.smoothing,
        about.videos,
    )
    return Reranker(columns, classes, len(about.columns), about.width, about.layers).eval()


def level_of(model: nn.Module) -> Level:
    """What a first-level model or a student takes."""
    return getattr(model, "level", "video")


def mean_of(logits: list[Tensor]) -> Tensor:
    """Of (B, C) each; of a single one itself, which keeps graphs small."""
    return logits[0] if len(logits) == 1 else torch.stack(logits).mean(0)


def build_network(members: list[Member], inputs: Inputs, dims: Dims) -> Network:
    """An untrained network in evaluation mode. `dims`: of the data, every kind included."""
    seen = inputs.dims(dims, "video")
    built = [build_member(one, dims if one.kind == "refit" else seen) for one in members]
    return Network(built, members, inputs).eval()
