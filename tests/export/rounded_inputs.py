"""What an 8-bit graph computes, by torch: the inputs of every Linear rounded."""

from contextlib import contextmanager

import torch
from torch import nn

from distill.export.integer_products import LEVELS


@contextmanager
def rounded_inputs(network: nn.Module):
    """While it lasts, each row that a Linear of `network` is given is rounded to LEVELS steps."""
    layers = [part for part in network.modules() if isinstance(part, nn.Linear)]
    hooks = [layer.register_forward_pre_hook(_rounded) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _rounded(_: nn.Module, given: tuple[torch.Tensor]) -> torch.Tensor:
    step = given[0].abs().amax(-1, keepdim=True).clamp(min=1e-12) / LEVELS
    return torch.floor(given[0] / step + 0.5) * step
