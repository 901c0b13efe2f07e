"""An export's network without its classifier, and a new one: transfer to other classes.

The export (distill/export/) is named by [start] weights, which also gives the values; [inputs]
must be the export's. The features are what its classifier saw: the penultimate layer, of several
members side by side. (B, D) of each kind -> (B, C); W: width of the features.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from first_level.bundle.manifest import read_manifest
from first_level.bundle.network import build_member
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


class Model(nn.Module):
    level = "video"

    def __init__(self, dims: Dims, export: str):
        super().__init__()
        manifest = read_manifest(Path(export))
        theirs = manifest.inputs.dims(manifest.dims, "video")
        if theirs.features != dims.features:
            raise ValueError(
                f"start.weights = {export!r} takes {theirs.sizes}; the data gives {dims.sizes}"
            )
        if manifest.reranker:
            raise ValueError(
                f"start.weights = {export!r} is a re-ranked student, whose last layer knows only "
                "its own classes; export --name resnet, or begin with a first-level model's weights"
            )
        self.members = nn.ModuleList(build_member(member, theirs) for member in manifest.members)
        for description, member in zip(manifest.members, self.members, strict=True):
            if description.kind == "student":
                member.freeze(False)  # that is [start] freeze
        widths = [_without_classifier(member, manifest.classes) for member in self.members]
        self.classifier = nn.Linear(sum(widths), dims.classes)

    def forward(self, batch: Batch) -> Tensor:
        return self.classifier(torch.cat([member(batch) for member in self.members], 1))  # (B, W)


def _without_classifier(member: nn.Module, classes: int) -> int:
    """Takes the last layer with C outputs out; returns the width of what it saw."""
    heads = [name for name, part in member.named_modules() if isinstance(part, nn.Linear)]
    name = [name for name in heads if member.get_submodule(name).out_features == classes][-1]
    width = member.get_submodule(name).in_features
    member.set_submodule(name, nn.Identity())
    return width
