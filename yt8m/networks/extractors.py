"""The six feature extractors of the student (main paper, section 3).

"Simple fully-connected models with different depth, width and activation functions". Every layer is
a Linear without bias, BatchNorm and the activation. At scale 1, with 1024 + 128 inputs:
  a  1152 - 1024 - 1024 - 1024                                            swish
  b  1152 - 1024 - 1024                                                   ReLU
  c  rgb 1024 - 1024, audio 128 - 256, both -> 1024                       LeakyReLU(0.2)
  d  rgb 1024 - 1024 - 1024, audio 128 - 256 - 256, both -> 1024          swish
  e  1152 - 4096 - 4096 - 4096 - 4096 - 2048                              ReLU
  f  1152 - 2048 - 2048 - 2048 - 2048 - 2048 - 2048                       ReLU
Any other kind of features has a tower like rgb's in c and d. B batch, C classes, W width.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.towers import Towers


@dataclass(frozen=True)
class Layers:
    """Widths of an extractor's layers at scale 1.

    audio, tower: of the tower over audio, over any other kind; joint: of the layers over all kinds.
    """

    activation: partial
    joint: tuple[int, ...]
    tower: tuple[int, ...] = ()
    audio: tuple[int, ...] = ()


RELU, SWISH, LEAKY = partial(nn.ReLU), partial(nn.SiLU), partial(nn.LeakyReLU, 0.2)
LAYOUTS = {
    "a": Layers(SWISH, (1024, 1024, 1024)),
    "b": Layers(RELU, (1024, 1024)),
    "c": Layers(LEAKY, (1024,), tower=(1024,), audio=(256,)),
    "d": Layers(SWISH, (1024,), tower=(1024, 1024), audio=(256, 256)),
    "e": Layers(RELU, (4096, 4096, 4096, 4096, 2048)),
    "f": Layers(RELU, (2048,) * 6),
}


def scale_width(width: int, scale: float) -> int:
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

        def widths(name: str) -> tuple[int, ...]:
            published = layout.audio if name == "audio" else layout.tower
            return tuple(scale_width(width, scale) for width in published)

        self.towers = Towers(dims, lambda name, n: layers(n, widths(name), layout.activation))
        ends = ((n, *widths(name))[-1] for name, n in dims.features.items())
        joint = tuple(scale_width(width, scale) for width in layout.joint)
        self.joint = layers(sum(ends), joint, layout.activation)
        self.width = joint[-1]

    def forward(self, batch: Batch) -> Tensor:
        parts = self.towers(batch).values()  # a tower without layers gives its input
        return self.joint(torch.cat(list(parts), dim=1))  # (B, W)


class WithHead(nn.Module):
    """An extractor with a classifier for its training; only the extractor is kept."""

    def __init__(self, extractor: Extractor, num_classes: int, dropout: float):
        super().__init__()
        self.extractor = extractor
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(extractor.width, num_classes)

    def forward(self, batch: Batch) -> Tensor:
        return self.head(self.dropout(self.extractor(batch)))  # (B, C) logits
