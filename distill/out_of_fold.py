"""What the last layers see of a video: features by extractors that have not learnt from it.

Main paper, section 3: "split the training set into five folds again and train simple [...] models
[...] make out-of-fold predictions again, take each model's features on the penultimate layer". The
folds are new ones. Copies of an extractor differ by the fold that they leave out. The student keeps
a sixth, which has learnt from all folds: the published size has room for one. All six start from
the same weights, so that a unit means the same in each (docs/distill.md measures it).
B batch, N store rows, W width of an extractor.
"""

import copy
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from distill.config import DistillConfig
from yt8m.base import device as devices
from yt8m.base.files import require
from yt8m.base.paths import WEIGHTS, fold_folder
from yt8m.data.splits import NUM_FOLDS, uniform
from yt8m.inputs.batch import Batch, Source
from yt8m.networks.cpu import use_fast_layers
from yt8m.networks.extractors import LAYOUTS
from yt8m.training.weights import load_weights

REMEDY = "run `make distill` to train the extractors"


def new_folds(keys: np.ndarray, seed: int) -> np.ndarray:
    """A fold of each video, of another split than the first level's: int8 (N,). keys: of Splits."""
    return (uniform(keys, f"distill folds {seed}") * NUM_FOLDS).astype(np.int8)


def fold_without(part: str, settings: DistillConfig, fold: int | None) -> int | None:
    """The new fold that a part does not learn from; fold: that of a copy. None: it learns all."""
    if settings.extractor_videos == "leave_one" and part in LAYOUTS:
        return list(LAYOUTS).index(part) % NUM_FOLDS
    return fold


def extractor_files(out: Path, settings: DistillConfig) -> list[Path]:
    """The weights that part "last", in folder `out`, builds on; InputError when one is missing.

    First the six extractors'. With extractor_videos = "folds" their copies' follow, fold by fold.
    """
    folders = [out.parent / f"extractor_{letter}" for letter in LAYOUTS]
    if settings.extractor_videos == "folds":
        folders += [fold_folder(one, k) for k in range(NUM_FOLDS) for one in folders[:]]
    return [require(folder / WEIGHTS, REMEDY) for folder in folders]


class LastLayers(nn.Module):
    """Batch of features, as OutOfFold gives them -> logits (B, C); the layers of a student."""

    def __init__(self, last: nn.Module):
        super().__init__()
        self.last = last

    def forward(self, batch: Batch) -> Tensor:
        return self.last(batch.joined)


@dataclass(frozen=True)
class OutOfFold(Source):
    """A source of what `Student.features` gives, each video's by the copies that left it out.

    folds: int8 (N,) of `new_folds`; copies: of the six extractors, by the fold that they left out.
    """

    folds: np.ndarray = field(kw_only=True)
    copies: list[nn.ModuleDict] = field(kw_only=True)

    def load(self, rows: np.ndarray, device: torch.device, training: bool = False) -> Batch:
        """Features of store rows on `device`: of the extractors, then those of the records."""
        batch = super().load(rows, device, training)
        folds, found = torch.from_numpy(self.folds[rows]).to(device), {}
        for k, copies in enumerate(self.copies):
            here = torch.nonzero(folds == k)[:, 0]
            part = batch.map(lambda x, here=here: x[here])
            for letter, extractor in copies.items() if len(here) else ():
                with torch.no_grad():
                    values = extractor(part)
                name = f"extractor {letter}"  # no kind of a record has such a name
                found.setdefault(name, values.new_empty(len(rows), extractor.width))[here] = values
        return Batch(found | batch.features)


def read_copies(extractors: nn.ModuleDict, paths: list[Path]) -> list[nn.ModuleDict]:
    """Copies of frozen extractors by fold, with weights of `paths`, the copies of fold 0 first."""
    copies, device = [copy.deepcopy(extractors) for _ in range(NUM_FOLDS)], devices.pick()
    every = [extractor for of_fold in copies for extractor in of_fold.values()]
    for extractor, path in zip(every, paths, strict=True):
        load_weights(extractor, path)
        use_fast_layers(extractor.to(device)).eval()
    return copies
