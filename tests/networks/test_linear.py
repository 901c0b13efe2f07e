"""The linear layer against nn.Linear, on whole numbers, which bf16 has exactly."""

import pytest
import torch
from torch import Tensor, nn

from yt8m.networks.linear import Linear


def _layers(bias: bool = True) -> tuple[Linear, nn.Linear]:
    torch.manual_seed(0)
    ours, theirs = Linear(6, 5, bias), nn.Linear(6, 5, bias)
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.copy_(torch.randint(-2, 3, parameter.shape))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def _gradients(layer: nn.Module, x: Tensor, rounded: bool) -> list[Tensor]:
    """Of x and of the parameters, when a third of all outputs counts."""
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
        y = layer(x)
    weights = (torch.arange(y.numel()) % 3 == 0).view(y.shape)
    (y.float() * weights).sum().backward()
    return [x.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("shape", [(1, 6), (70, 6), (2100, 6), (3, 7, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_a_linear_layer(shape, bias):
    ours, theirs = _layers(bias)
    x = torch.randint(-1, 2, shape).float()
    found, expected = _gradients(ours, x, rounded=True), _gradients(theirs, x, rounded=False)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.equal(one, other)


def test_results_are_those_of_autocast():
    ours, theirs = _layers()
    x = torch.randn(9, 6)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours(x), theirs(x))
        assert ours(x).dtype == torch.bfloat16
        assert torch.equal(ours.eval()(x), theirs(x))
    assert torch.equal(ours(x), theirs(x))


def test_what_is_frozen_gets_no_gradient():
    ours, _ = _layers()
    ours.weight.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        ours(torch.randn(4, 6)).sum().backward()
    assert ours.weight.grad is None
    assert torch.equal(ours.bias.grad, torch.full((5,), 4.0))
