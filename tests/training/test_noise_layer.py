"""The noise layer: the matrix that it learns, its dropout, its gradients among processes."""

import torch
import torch.nn.functional as F
from noise_world import CLASSES, FREQUENCY, VIDEOS, some_logits

from yt8m.base import device
from yt8m.training import noise


def test_the_noise_layer_maps_probabilities_by_a_matrix_that_it_learns():
    layer, logits = noise.Adaptation(FREQUENCY, 0.0), some_logits()
    p = logits.double().sigmoid()
    kept, false = layer.kept.sigmoid(), layer.false.sigmoid()
    torch.testing.assert_close(false, 0.1 * FREQUENCY)
    expected = kept * p + false * (1 - p)
    torch.testing.assert_close(layer(logits).sigmoid().double(), expected, atol=1e-6, rtol=1e-4)
    # Truth known, 30 % of the labels lost: the layer finds that out.
    truth = torch.rand(VIDEOS, CLASSES, generator=torch.Generator().manual_seed(0)) < 0.5
    seen = (truth & (torch.arange(VIDEOS) % 10 >= 3)[:, None]).float()
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        out = layer(torch.where(truth, 20.0, -20.0))
        F.binary_cross_entropy_with_logits(out, seen).backward()
        optimizer.step()
    torch.testing.assert_close(
        layer.kept.sigmoid(), (seen * truth).sum(0) / truth.sum(0), atol=0.02, rtol=0
    )
    assert (layer.false.sigmoid() < 0.01).all()


def test_dropout_of_the_noise_layer_leaves_its_flips_out():
    layer = noise.Adaptation(FREQUENCY, 0.5)
    x = torch.zeros(1, CLASSES)
    torch.manual_seed(0)
    outs = torch.stack([layer(x)[0] for _ in range(400)]).sigmoid()
    kept, false = layer.kept.sigmoid().tolist(), layer.false.sigmoid().tolist()
    for c in range(CLASSES):
        values = {round(v, 5) for v in outs[:, c].tolist()}
        combinations = {
            round(0.5 * k + 0.5 * f, 5) for k in (1.0, kept[c]) for f in (0.0, false[c])
        }
        assert values == combinations
    assert torch.equal(noise.Adaptation(FREQUENCY, 0.0)(x), noise.Adaptation(FREQUENCY, 0.0)(x))
    outs.sum().backward()
    assert torch.isfinite(layer.kept.grad).all()
    assert torch.isfinite(layer.false.grad).all()


def test_processes_share_the_noise_layers_gradients(monkeypatch):
    layer = noise.Adaptation(FREQUENCY, 0.0)
    layer(some_logits()).sum().backward()
    before = [parameter.grad.clone() for parameter in layer.parameters()]
    device.average_gradients(layer)
    monkeypatch.setattr(device, "world_size", lambda: 2)
    monkeypatch.setattr(device.dist, "all_reduce", lambda gradient: gradient.add_(5.0))
    device.average_gradients(layer)
    for parameter, old in zip(layer.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.grad, (old + 5) / 2)
