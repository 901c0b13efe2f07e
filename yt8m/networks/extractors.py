"""The six feature extractors of the student (main paper, section 3).

"Simple fully-connected models with different depth, width and activation functions": every layer is
Linear without bias, BatchNorm, activation. At scale 1, for 1024 + 128 inputs:
  a  1152 - 1024 - 1024 - 1024                                            swish
  b  1152 - 1024 - 1024                                                   ReLU
  c  rgb 1024 - 1024, audio 128 - 256, both -> 1024                       LeakyReLU(0.2)
  d  rgb 1024 - 1024 - 1024, audio 128 - 256 - 256, both -> 1024          swish
  e  1152 - 4096 - 4096 - 4096 - 4096 - 2048                              ReLU
  f  1152 - 2048 - 2048 - 2048 - 2048 - 2048 - 2048                       ReLU
A modality of width 0 has no tower. Letters: B batch, R rgb, A audio, C classes, W width.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch


@dataclass(frozen=True)
class Layout:
    """Widths at scale 1: towers over one modality each (may be none), then layers over both."""

    activation: partial
    joint: tuple[int, ...]
    rgb: tuple[int, ...] = ()
    audio: tuple[int, ...] = ()


RELU, SWISH, LEAKY = partial(nn.ReLU), partial(nn.SiLU), partial(nn.LeakyReLU, 0.2)
LAYOUTS = {
    "a": Layout(SWISH, (1024, 1024, 1024)),
    "b": Layout(RELU, (1024, 1024)),
    "c": Layout(LEAKY, (1024,), rgb=(1024,), audio=(256,)),
    "d": Layout(SWISH, (1024,), rgb=(1024, 1024), audio=(256, 256)),
    "e": Layout(RELU, (4096, 4096, 4096, 4096, 2048)),
    "f": Layout(RELU, (2048,) * 6),
}


def scaled(width: int, scale: float) -> int:
    """A width of the paper times a plan's scale; at least 4."""
    return max(4, round(width * scale))


def layers(width: int, widths: tuple[int, ...], activation: partial) -> nn.Sequential:
    """Linear without bias, BatchNorm and activation for each of `widths`."""
    modules = []
    for out in widths:
        modules += [nn.Linear(width, out, bias=False), nn.BatchNorm1d(out), activation()]
        width = out
    return nn.Sequential(*modules)


class Extractor(nn.Module):
    """Batch -> penultimate features (B, W). `letter` is a key of LAYOUTS; W is `self.width`."""

    def __init__(self, letter: str, dims: Dims, scale: float):
        super().__init__()
        layout = LAYOUTS[letter]
        self.rgb = self._tower(dims.rgb, layout.rgb, layout.activation, scale)
        self.audio = self._tower(dims.audio, layout.audio, layout.activation, scale)
        joint = tuple(scaled(width, scale) for width in layout.joint)
        self.joint = layers(self._joint_input(dims, layout, scale), joint, layout.activation)
        self.width = joint[-1]

    @staticmethod
    def _tower(width: int, widths: tuple[int, ...], activation: partial, scale: float) -> nn.Module:
        if not width:
            return nn.Identity()  # the data lacks this modality
        return layers(width, tuple(scaled(out, scale) for out in widths), activation)

    @staticmethod
    def _joint_input(dims: Dims, layout: Layout, scale: float) -> int:
        ends = ((dims.rgb, layout.rgb), (dims.audio, layout.audio))
        return sum(scaled(tower[-1], scale) if width and tower else width for width, tower in ends)

    def forward(self, batch: Batch) -> Tensor:
        parts = [self.rgb(batch.rgb), self.audio(batch.audio)]  # without towers: the input itself
        return self.joint(torch.cat(parts, dim=1))  # (B, W)


class WithHead(nn.Module):
    """An extractor with the classifier that it is trained under and then leaves behind."""

    def __init__(self, extractor: Extractor, num_classes: int, dropout: float):
        super().__init__()
        self.extractor = extractor
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(extractor.width, num_classes)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.dropout(self.extractor(batch)))  # (B, C) logits
