"""Predictions by passes with dropout on."""

import numpy as np
import pytest
import torch

from yt8m.base.cli import InputError
from yt8m.inputs.batch import Batch, Source
from yt8m.inputs.settings import Inputs
from yt8m.training import loop, noise
from yt8m.training.loop import predict


def _net(dropout: float = 0.5) -> torch.nn.Module:
    torch.manual_seed(1)
    layers = [torch.nn.Linear(24 + 8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU()]
    layers += [torch.nn.Dropout(dropout), torch.nn.Linear(16, 30)]

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(*layers)

        def forward(self, batch: Batch) -> torch.Tensor:
            return self.layers(batch.joined)

    return Net()


def test_passes_average_probabilities_with_dropout_alone_on(store):
    net, source, rows = _net(), Source(store, "video", Inputs()), np.arange(50)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    plain = predict(net, source, rows, 30)
    passed = predict(net, source, rows, 30, passes=4, seed=7)
    again = predict(net, source, rows, 30, passes=4, seed=7)
    assert passed.logits.tobytes() == again.logits.tobytes()
    assert passed.logits.tobytes() != predict(net, source, rows, 30, passes=4).logits.tobytes()
    assert passed.logits.tobytes() != plain.logits.tobytes()
    for key, value in net.state_dict().items():
        assert torch.equal(state[key], value), f"{key}: batch statistics must not move"
    assert predict(net, source, rows, 30).logits.tobytes() == plain.logits.tobytes()
    batch = source.load(rows, "cpu")
    net.eval()
    net.layers[3].train()
    with torch.no_grad():
        torch.manual_seed(3)
        expected = torch.stack([net(batch).double().sigmoid() for _ in range(4)]).mean(0)
        torch.manual_seed(3)
        found = noise.mean_of_passes(net, batch, 4)
    torch.testing.assert_close(found.double(), expected.logit(), atol=1e-5, rtol=1e-4)


def test_each_batch_of_videos_has_passes_of_its_own(store, monkeypatch):
    monkeypatch.setattr(loop, "PREDICTED", 10)
    net, source = _net(), Source(store, "video", Inputs())
    found = predict(net, source, np.tile(np.arange(10), 2), 30, passes=3)
    assert found.logits[:10].tolist() != found.logits[10:].tolist()


def test_many_passes_come_near_the_network_without_dropout(store):
    net, source, rows = _net(0.1), Source(store, "video", Inputs()), np.arange(20)
    plain = predict(net, source, rows, 30)
    order = plain.classes.argsort(1)
    passed = predict(net, source, rows, 30, passes=200)
    one = np.take_along_axis(plain.logits, order, 1)
    two = np.take_along_axis(passed.logits, passed.classes.argsort(1), 1)
    assert np.abs(one - two).mean() < 0.05


def test_passes_of_a_model_without_dropout_are_refused(store):
    source = Source(store, "video", Inputs())
    with pytest.raises(InputError, match=r"noise.test_passes needs a model with dropout"):
        predict(_net(0.0), source, np.arange(5), 20, passes=2)
