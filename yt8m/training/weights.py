"""A network's weights: where training starts, and their file."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from yt8m.base.arrays import let_go, open_arrays, write_arrays
from yt8m.base.cli import InputError


def start_from_frequencies(model: nn.Module, counts: np.ndarray, videos: int) -> None:
    """Sets the classifier's first predictions to each class's frequency in the training videos.

    counts: int64 (C,), videos of each class. With thousands of rare classes, starting at even odds
    costs several epochs. The log-odds become the classifier's bias. A classifier without a bias has
    its weights shifted instead; its inputs are taken to have the mean 0.4, that of ReLU after
    BatchNorm. A model without a classifier stays as it is.
    """
    head = _classifier(model, len(counts))
    if head is None:
        return
    share = (counts + 0.5) / (videos + 1)
    odds = torch.from_numpy(np.log(share / (1 - share))).float()
    with torch.no_grad():
        if head.bias is not None:
            head.bias.copy_(odds)
        else:
            head.weight += (odds / (0.4 * head.in_features))[:, None]


def _classifier(model: nn.Module, classes: int) -> nn.Linear | None:
    """The last Linear layer with C outputs that is called `classifier`.

    If none has that name, the last one whose inputs are not C logits, as context gating's are.
    """
    heads = [(name, part) for name, part in model.named_modules() if isinstance(part, nn.Linear)]
    heads = [(name, part) for name, part in heads if part.out_features == classes]
    named = [part for name, part in heads if name.split(".")[-1] == "classifier"]
    others = [part for _, part in heads if part.in_features != classes]
    return next(reversed(named or others or [None]))


def save_weights(model: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes the model's state as safetensors, atomically, with a checksum."""
    state = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    write_arrays(path, state, metadata)


def read_state(path: Path) -> dict[str, Tensor]:
    """What `save_weights` wrote, in memory. InputError when it is absent or damaged."""
    state = {}
    for name, array in open_arrays(path).items():
        state[name] = torch.from_numpy(array.copy())
        let_go()
    return state


def load_weights(model: nn.Module, path: Path) -> None:
    """Reads what `save_weights` wrote; InputError when it is damaged or does not fit the model."""
    try:
        model.load_state_dict(read_state(path))
    except RuntimeError as error:
        text = str(error).splitlines()[0]
        raise InputError(f"{path}: not this model's weights ({text}); delete it") from error


def size_of(model: nn.Module) -> tuple[int, float]:
    """(number of parameters, MB of all values in float32, batch statistics among them)."""
    parameters = sum(p.numel() for p in model.parameters())
    return parameters, sum(t.numel() * t.element_size() for t in model.state_dict().values()) / 1e6
