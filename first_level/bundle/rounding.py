"""A network's values as exports store them: float16, float32, or 8 bits with a step a row."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from yt8m.base.cli import InputError
from yt8m.base.paths import EXPORT_MANIFEST

STEP = ".step"  # ends the name of what one unit of a row of an int8 matrix stands for
COUNTER = "num_batches_tracked"
EXACT = "reranker."  # begins the names of values that are few, and stay as they are
DTYPES = {"float16": torch.float16, "float32": torch.float32, "int8": torch.float16}  # of vectors


def least_mb(values: int, dtype: str) -> float:
    """MB that an export of so many values takes at least, with its graph."""
    return 2 * values * {"float32": 4, "float16": 2, "int8": 1}[dtype] / 1e6


def rounded_state(network: torch.nn.Module, dtype: str) -> dict[str, torch.Tensor]:
    """Its values as `dtype` (a key of DTYPES), to be stored.

    int8: a matrix as bytes and, for each of its rows, the float32 step `<name>.step` that one unit
    stands for; all else float16, as is a matrix that is `spread`. Whole numbers stay as they are,
    but BatchNorm's step counters are left out: nothing reads them. What float16 cannot hold stays
    float32.
    """
    rounded = {}
    for name, value in network.state_dict().items():
        if name.endswith(COUNTER):
            continue
        value = value.detach().cpu()
        if name.startswith(EXACT) or not value.is_floating_point():
            rounded[name] = value.contiguous()
        elif dtype == "int8" and value.ndim == 2 and value.numel() and not spread(value):
            step = value.abs().amax(dim=1).clamp_min(1e-12) / 127  # (rows,)
            rounded[name] = torch.round(value / step[:, None]).to(torch.int8)
            rounded[name + STEP] = step
        else:
            rounded[name] = value.to(DTYPES[dtype]).contiguous()
            if not torch.isfinite(rounded[name]).all():  # beyond 65504, as of very large features
                rounded[name] = value.contiguous()
    return rounded


def spread(matrix: torch.Tensor) -> bool:
    """Whether a value makes the rest of its row 0 in 8 bits, as the constants of Recurrent do."""
    rows = matrix.abs()
    return bool((rows.amax(1) > 1000 * rows.median(1).values).any())


def load_rounded(network: torch.nn.Module, path: Path) -> None:
    """Loads what `rounded_state` gave, in float32. InputError when it does not fit the network."""
    try:
        state = load_file(path)
        steps = {name: state.pop(name) for name in list(state) if name.endswith(STEP)}
        for name in state:  # one by one: never all values three times
            if name + STEP in steps:
                state[name] = state[name].float() * steps[name + STEP][:, None]
            elif state[name].is_floating_point():
                state[name] = state[name].float()
        for name in network.state_dict():
            if name.endswith(COUNTER):
                state[name] = torch.tensor(0)
        network.load_state_dict(state, assign=True)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        text = " ".join(str(error).split()[:24])
        message = f"{path}: does not fit {EXPORT_MANIFEST} ({text}); export again"
        raise InputError(message) from error
