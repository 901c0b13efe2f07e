"""Recurrent layers in padding and in bf16; what sparse experts are in training."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from frame_world import MASK, model_of, padded_batch, videos_of
from torch import nn

from first_level.models.lstm_moe import SparseExperts, chances, variation
from yt8m.networks import blocks as layers
from yt8m.networks import recurrence
from yt8m.networks.cpu import use_fast_layers

# Recurrent


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_what_holds_the_state_in_padding_is_never_learnt_nor_worn_away(cell):
    layer = layers.Recurrent(cell, 3, 4, bidirectional=True)
    x, optimizer = torch.randn(4, 12, 3), torch.optim.AdamW(layer.parameters(), 0.1, weight_decay=9)
    for _ in range(3):
        optimizer.zero_grad()
        layer(x, MASK)[1].sum().backward()
        for net in layer.nets:
            assert (net.weight_ih_l0.grad[:, -1] == 0).all()
            assert (net.weight_ih_l0.grad[:, 0] != 0).any()
        optimizer.step()
    together = layer(x, MASK)[1]
    for row, video in enumerate(videos_of(x)):
        alone = layer(video[None], torch.ones(1, len(video), dtype=torch.bool))[1]
        torch.testing.assert_close(together[row], alone[0])


@pytest.mark.parametrize("frames", [1, 4])
def test_the_recurrence_of_training_in_bf16_is_that_of_pytorch(frames):
    """In float64 here, so that what differs is no rounding; cells alone are float32."""
    net = nn.LSTM(3, 5, batch_first=True).double()
    x = torch.randn(2, frames, 3, dtype=torch.double, requires_grad=True)
    weights = [net.weight_ih_l0, net.weight_hh_l0]
    asked = [x, *weights, net.bias_ih_l0]
    of_out, of_cell = torch.randn(2, frames, 5), torch.randn(2, 5)

    def gradients(out, cell):
        return torch.autograd.grad((out * of_out).sum() + (cell * of_cell).sum(), asked)

    out, (_, cell) = net(x)
    ours = recurrence.LSTMFunction.apply(x, *weights, net.bias_ih_l0 + net.bias_hh_l0)
    torch.testing.assert_close(ours, (out, cell[0].float()), rtol=0, atol=1e-6)
    expected = gradients(out, cell[0])
    torch.testing.assert_close(gradients(*ours), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("readout", ["last", "ramp"])
def test_training_in_bf16_takes_the_recurrence_and_learns_as_in_float32(readout, monkeypatch):
    model = use_fast_layers(model_of("lstm", width=64, readout=readout, hidden=[])).train()
    batch, calls = padded_batch(), []
    apply = recurrence.LSTMFunction.apply
    monkeypatch.setattr(
        recurrence.LSTMFunction, "apply", lambda *given: calls.append(1) or apply(*given)
    )

    def gradients(rounded: bool):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            model(batch).float().square().sum().backward()
        assert len(calls) == 2 * rounded  # layers
        return torch.cat([p.grad.flatten() for p in model.parameters()])

    exact, rounded = gradients(False), gradients(True)
    assert float(F.cosine_similarity(exact, rounded, dim=0)) > 0.999


def test_a_state_outlasts_300_frames_of_padding_in_bf16():
    layer = layers.Recurrent("lstm", 3, 8, bidirectional=True)
    mask = torch.arange(305) < torch.tensor([[5], [305]])
    x = torch.randn(2, 305, 3)
    exact = layer(x[:1, :5], mask[:1, :5])[1]
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x, mask)[1]
    torch.testing.assert_close(found[:1].float(), exact, atol=0.02, rtol=0.02)


# Mixture of experts


def _experts(**arguments) -> SparseExperts:
    torch.manual_seed(0)
    experts = SparseExperts(**{"inputs": 6, "experts": 7, "active": 3, "width": 5} | arguments)
    nn.init.normal_(experts.gate.weight)
    nn.init.normal_(experts.noise.weight)
    nn.init.normal_(experts.into_bias)
    return experts.eval()


def test_experts_that_are_not_active_are_not_computed():
    experts, x = _experts(active=1), torch.randn(1, 6)
    chosen = int(experts.gate(x).argmax())
    with torch.no_grad():
        expected, _ = experts(x)
        experts.into[[e for e in range(7) if e != chosen]] = torch.nan
        assert torch.equal(experts(x)[0], expected)
        experts.into[chosen] = torch.nan
        assert experts(x)[0].isnan().all()


def test_the_load_is_the_chance_to_be_among_the_best_with_new_noise():
    torch.manual_seed(0)
    clean, spread = torch.randn(4, 6), torch.rand(4, 6) + 0.2
    noisy = clean + torch.randn(4, 6) * spread
    counts = torch.zeros(4, 6)
    for expert in range(6):
        again = noisy.expand(20000, 4, 6).clone()
        again[..., expert] = clean[:, expert] + torch.randn(20000, 4) * spread[:, expert]
        counts[:, expert] = (again.topk(2, 2).indices == expert).any(2).float().mean(0)
    torch.testing.assert_close(chances(clean, spread, noisy, 2), counts, atol=0.02, rtol=0)
    assert (chances(clean, spread, noisy, 6) == 1).all()


def test_the_balance_losses_are_the_squared_coefficients_of_variation():
    experts, x = _experts().train(), torch.randn(50, 6)
    torch.manual_seed(3)
    _, found = experts(x)
    torch.manual_seed(3)
    clean, spread = experts.gate(x), F.softplus(experts.noise(x))
    noisy = clean + torch.randn(50, 7) * spread
    importance = np.zeros(7)
    for row in noisy:
        best = row.argsort(descending=True)[:3]
        importance[best.numpy()] += row[best].softmax(0).detach().numpy()
    load = chances(clean, spread, noisy, 3).sum(0).detach().numpy()
    expected = [(part.std() / part.mean()) ** 2 for part in (importance, load)]
    assert found.tolist() == pytest.approx(expected, rel=1e-4)
    assert variation(torch.full((5,), 3.0)) == 0


def test_the_penalty_spreads_frames_over_the_experts():
    experts, x = _experts(active=1).train(), torch.rand(50, 6)
    with torch.no_grad():
        experts.gate.weight.zero_()[2] = 1.5  # most frames go to one expert
    optimizer = torch.optim.Adam([experts.gate.weight, experts.noise.weight], 0.05)
    penalties = []
    for _ in range(60):
        _, penalty = experts(x)
        penalties.append(penalty.sum().item())
        optimizer.zero_grad()
        penalty.sum().backward()
        optimizer.step()
    assert penalties[0] > 3
    assert max(penalties[-10:]) < 1


def test_lstm_moe_leaves_its_penalty_in_training():
    found = []
    for weights in ({"importance": 0.5, "load": 0.0}, {"importance": 0.0, "load": 2.0}):
        sizes = {"width": 6, "experts": 5, "active": 2, "expert_width": 4}
        model, seen = model_of("lstm_moe", **sizes, **weights).train(), []
        model.experts.register_forward_hook(lambda _, __, out: seen.append(out[1]))  # noqa: B023
        torch.manual_seed(0)
        model(padded_batch())
        found.append((model.penalty.item(), seen[0].tolist()))
    (of_importance, parts), (of_load, same) = found
    assert parts == same
    assert of_importance == pytest.approx(0.5 * parts[0])
    assert of_load == pytest.approx(2 * parts[1])
    assert min(parts) > 0
