"""A classifier that starts from the frequencies of the labels."""

import numpy as np
import pytest
import torch

from yt8m.training.weights import start_from_frequencies


class _Gated(torch.nn.Module):
    def __init__(self, width: int, name: str = "head"):
        super().__init__()
        self.before = torch.nn.Linear(5, width)
        setattr(self, name, torch.nn.Linear(width, 8))
        self.gate = torch.nn.Linear(8, 8)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (_Gated(6), "head"),
        (_Gated(8, "classifier"), "classifier"),
        (torch.nn.ModuleDict({"trunk": _Gated(8, "classifier")}), "trunk.classifier"),
        (torch.nn.Sequential(torch.nn.Linear(5, 8, bias=False)), "0"),
    ],
    ids=["gating", "same width", "nested", "no bias"],
)
def test_the_classifier_alone_starts_from_the_frequencies(model, name):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    counts = np.array([1, 2, 4, 8, 16, 32, 64, 99])
    start_from_frequencies(model, counts, 100)
    changed = {key for key, value in model.state_dict().items() if not value.equal(before[key])}
    head = model.get_submodule(name)
    share = torch.from_numpy((counts + 0.5) / 101)
    if head.bias is None:
        assert changed == {f"{name}.weight"}
        moved = (head.weight - before[f"{name}.weight"]).sum(1) * 0.4
        torch.testing.assert_close(moved.sigmoid().double(), share, atol=1e-5, rtol=0)
    else:
        assert changed == {f"{name}.bias"}
        torch.testing.assert_close(head.bias.sigmoid().double(), share)


def test_a_model_without_a_classifier_is_left_as_it_is():
    model = torch.nn.Linear(8, 3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    start_from_frequencies(model, np.ones(8, np.int64), 100)
    assert all(value.equal(before[key]) for key, value in model.state_dict().items())
