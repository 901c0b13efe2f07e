"""Wrong labels: flipping, noise matrices, dropout while predicting (main paper, section 3).

A class's noise matrix holds P(label | truth): `kept`, the probability of a label where the class is
present, and `false`, of a label where it is absent, each (C,). A class of probability p then has a
label with the probability kept p + false (1 - p). B batch, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from yt8m.base.cli import InputError
from yt8m.inputs.batch import Batch, Targets


def flip_labels(targets: Targets, drop: Tensor, add: Tensor) -> Targets:
    """Leaves out some labels and adds some false ones, by torch's global random state.

    targets: on the CPU. drop: the chance that a label of each class is left out, (C,). add: false
    labels of each class that a video gets on average, (C,), less those that it already has.
    """
    stay = torch.rand(len(targets.values)) >= drop[targets.classes]
    videos, classes = targets.shape
    count = int(torch.poisson(add.sum() * videos))
    new = torch.multinomial(add, count, replacement=True) if count else torch.zeros(0).long()
    keys = (torch.randint(videos, (count,)) * classes + new).unique()
    keys = keys[~torch.isin(keys, targets.rows * classes + targets.classes)]
    kept = targets.map(lambda part: part[stay])
    return kept.plus(keys // classes, keys % classes, torch.ones(len(keys)))


def matrix(frequency: Tensor, precision: float, recall: float) -> tuple[Tensor, Tensor]:
    """(kept, false) of labels with a frequency (C,), a precision and a recall.

    The recall is at least twice a class's frequency: a label must speak for the class.
    """
    kept = (2 * frequency).clamp(min=recall, max=1.0)
    present = frequency * precision / kept  # share of videos that truly show the class
    return kept, frequency * (1 - precision) / (1 - present)


def logits_of_labels(logits: Tensor, kept: Tensor, false: Tensor) -> Tensor:
    """Log-odds of kept p + false (1 - p), from the log-odds of p (B, C): exact in the tails.

    Forward correction is a loss of these (Patrini et al. 2017, theorem 2).
    """
    return _noisy_logits(
        logits.float(), kept.log(), (1 - kept).log(), false.log(), (1 - false).log()
    )


def backward_targets(kept: Tensor, false: Tensor) -> tuple[Tensor, Tensor]:
    """(scale, shift): BCE's backward correction is BCE against scale t + shift, each (C,).

    The correction weighs the losses of both labels by the inverse of the matrix (Patrini et al.
    2017, theorem 1); BCE is linear in its target, which may leave [0, 1].
    """
    return 1 / (kept - false), -false / (kept - false)


class Adaptation(nn.Module):
    """A noise matrix for each class, learnt on top of the model, in training only.

    It is the simple noise layer of Goldberger and Ben-Reuven (2017) for two outcomes. At the start
    `kept` is 0.9 and `false` a tenth of the class's frequency. In each batch dropout switches off
    some of the two flips of each class, so that the model cannot leave the labels to this layer
    (Jindal et al. 2016).
    """

    def __init__(self, frequency: Tensor, dropout: float):
        super().__init__()
        self.dropout = dropout
        self.kept = nn.Parameter(torch.full_like(frequency, 0.9).logit())
        self.false = nn.Parameter((0.1 * frequency).logit())

    def forward(self, logits: Tensor) -> Tensor:
        lose, invent = (torch.rand(2, len(self.kept)) >= self.dropout).to(logits.device)
        zero, never = logits.new_zeros((), dtype=torch.float32), -torch.inf
        return _noisy_logits(
            logits.float(),
            torch.where(lose, F.logsigmoid(self.kept), zero),
            torch.where(lose, F.logsigmoid(-self.kept), never),
            torch.where(invent, F.logsigmoid(self.false), never),
            torch.where(invent, F.logsigmoid(-self.false), zero),
        )


def _noisy_logits(x: Tensor, kept: Tensor, lost: Tensor, false: Tensor, absent: Tensor) -> Tensor:
    """log((kept e^x + false) / (lost e^x + absent)), from the logarithms of the four."""
    return torch.logaddexp(x + kept, false) - torch.logaddexp(x + lost, absent)


def dropouts(model: nn.Module, where) -> list[nn.Module]:
    """The layers of a model that have dropout. InputError when none has."""
    found = [m for m in model.modules() if isinstance(m, nn.Dropout) and m.p > 0]
    found += [m for m in model.modules() if isinstance(m, nn.RNNBase) and m.dropout > 0]
    if not found:
        raise InputError(f"{where}: noise.test_passes needs a model with dropout; it has none")
    return found


def mean_of_passes(model: nn.Module, batch: Batch, passes: int) -> Tensor:
    """Logits (B, C) of the mean probability over several passes of a model with dropout on."""
    present = absent = None
    for _ in range(passes):
        logits = model(batch).float()
        yes, no = F.logsigmoid(logits), F.logsigmoid(-logits)  # sums in log space: exact tails
        present = yes if present is None else torch.logaddexp(present, yes)
        absent = no if absent is None else torch.logaddexp(absent, no)
    return present - absent
