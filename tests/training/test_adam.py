"""Our Adam against torch's, number by number."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from yt8m.training.adam import Adam
from yt8m.training.checkpoint import _optimizer
from yt8m.training.settings import Training


def _groups(model: nn.Module) -> list[dict]:
    return [
        {"params": [model.weight], "weight_decay": 0.1},
        {"params": [model.bias], "weight_decay": 0.0},
    ]


def _train(model: nn.Module, optimizer, steps: range) -> None:
    for step in steps:
        torch.manual_seed(step)
        for group in optimizer.param_groups:
            group["lr"] = 0.1 / (1 + step)
        optimizer.zero_grad()
        out = model(torch.randn(7, 5)).square().mean()
        (out if step % 3 else out + model.bias.sum()).backward()
        if step % 4 == 1:
            model.bias.grad = None  # a parameter without a gradient stays, and its steps too
        optimizer.step()


@pytest.mark.parametrize(("decoupled", "kind"), [(True, "AdamW"), (False, "Adam")])
def test_the_numbers_are_those_of_torch(decoupled, kind):
    torch.manual_seed(0)
    ours = nn.Linear(5, 3)
    theirs = copy.deepcopy(ours)
    _train(ours, Adam(_groups(ours), 0.1, decoupled), range(9))
    _train(theirs, getattr(torch.optim, kind)(_groups(theirs), 0.1, fused=True), range(9))
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_it_goes_on_from_what_was_kept(tmp_path):
    torch.manual_seed(0)
    whole = nn.Linear(5, 3)
    half = copy.deepcopy(whole)
    _train(whole, Adam(_groups(whole), 0.1, True), range(6))
    optimizer = Adam(_groups(half), 0.1, True)
    _train(half, optimizer, range(3))
    torch.save(optimizer.state_dict(), tmp_path / "kept.pt")
    resumed = Adam(_groups(half), 0.1, True)
    resumed.load_state_dict(torch.load(tmp_path / "kept.pt", weights_only=True))
    _train(half, resumed, range(3, 6))
    assert torch.equal(whole.weight, half.weight)


def test_it_does_not_import_what_takes_a_second():
    code = (
        "import sys, torch; from yt8m.training.adam import Adam;"
        "p = torch.nn.Parameter(torch.ones(2));"
        "p.grad = torch.ones(2); a = Adam([{'params': [p], 'weight_decay': 0.0}], 0.1, True);"
        "a.step(); a.zero_grad(); assert p.grad is None; print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(("name", "squares"), [("rmsprop", 0.1 * 4.0), ("adagrad", 0.1 + 4.0)])
def test_rmsprop_and_adagrad_begin_as_tensorflows(name, squares):
    """Their published rates are for a decay of 0.9, and for a sum of squares that begins at 0.1."""
    weight = nn.Parameter(torch.zeros(1, 1))
    optimizer = _optimizer([weight], Training(optimizer=name, lr=0.5, weight_decay=0.0))
    weight.grad = torch.full((1, 1), 2.0)
    optimizer.step()
    assert weight.item() == pytest.approx(-0.5 * 2.0 / squares**0.5)
