"""The networks that are handed over: what an export names and how it is built again.

A `Network` is one student or several with their logits averaged; as JSON, a list of `Member`.
Letters: B batch, R rgb, A audio, C classes.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from distill.config import DistillConfig, ResnetModel
from distill.student import Student
from yt8m.config import Config
from yt8m.dataset import prepared
from yt8m.resnet import ResNetLike
from yt8m.settings import Inputs
from yt8m.store import Dims


class Member(Config):
    """One student: the six-extractor one at a scale, or a ResNetLike."""

    kind: Literal["student", "resnet"]
    scale: float = 1.0
    resnet: ResnetModel | None = None


def member_of(kind: str, settings: DistillConfig) -> Member:
    """The member that a configuration describes."""
    if kind == "resnet":
        return Member(kind="resnet", resnet=settings.resnet.model)
    return Member(kind="student", scale=settings.scale)


def build_member(member: Member, dims: Dims, dropout: float = 0.0) -> nn.Module:
    """An untrained student for data of these dims. `dropout` is for training the last layers."""
    if member.kind == "resnet":
        return ResNetLike(dims, **member.resnet.model_dump())
    return Student(dims, member.scale, dropout)


class Network(nn.Module):
    """Raw features rgb (B, R) and audio (B, A) -> logits (B, C); normalises them itself."""

    def __init__(self, members: list[nn.Module], inputs: Inputs):
        super().__init__()
        self.members, self.inputs = nn.ModuleList(members), inputs

    def forward(self, rgb: Tensor, audio: Tensor) -> Tensor:
        batch = prepared(self.inputs, rgb, audio)
        logits = [member(batch) for member in self.members]
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(0)


def build_network(members: list[Member], inputs: Inputs, dims: Dims) -> Network:
    """An untrained network in evaluation mode. `dims`: of the data, every modality included."""
    seen = inputs.dims(dims)
    return Network([build_member(member, seen) for member in members], inputs).eval()
