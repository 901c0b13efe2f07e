"""Video-level architectures against slow definitions, and against what is published of them."""

import pytest
import torch
import torch.nn.functional as F
from kinds import FOUR, named

from first_level.config import ModelConfig, build
from yt8m.base.cli import InputError
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.resnet import IdentityBlock
from yt8m.training.weights import start_from_frequencies

DIMS = Dims({"rgb": 6, "audio": 3}, classes=9, max_frames=0, verticals=3)
YOUTUBE_8M = Dims({"rgb": 1024, "audio": 128}, 3862, 0, 25)


def _model(arch: str, dims: Dims = DIMS, **arguments) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(ModelConfig(arch=arch, model=arguments), dims, "x.toml")


def _batch(videos: int = 5) -> Batch:
    torch.manual_seed(1)
    return Batch(named(torch.randn(videos, 6), torch.randn(videos, 3)))


def _millions(arch: str, **arguments) -> float:
    with torch.device("meta"):
        model = _model(arch, YOUTUBE_8M, **arguments)
    return round(sum(parameter.numel() for parameter in model.parameters()) / 1e6, 1)


def _widths(model: torch.nn.Module) -> list[int]:
    """Outputs of the Linear layers, in their order."""
    return [m.out_features for m in model.modules() if isinstance(m, torch.nn.Linear)]


@pytest.mark.parametrize(("blocks", "millions"), [(1, 52.3), (4, 153.0)])
def test_resnet_has_the_published_sizes(blocks, millions):
    assert _millions("resnet", tower_blocks=blocks, concat_blocks=blocks) == millions


def test_towers_share_twice_the_width_in_the_published_ratio():
    model = _model("resnet", YOUTUBE_8M, width=64, rgb_share=10 / 16, dropout=0.0).eval()
    assert _widths(model.towers["rgb"]) == [80, 80, 80]
    assert _widths(model.towers["audio"]) == [48, 48, 48]
    assert _widths(model.concat) == [64, 128, 64]


@pytest.mark.parametrize(("kinds", "widths"), [({"rgb": 6}, [8]), (FOUR, [4, 12, 8, 8])])
def test_one_kind_alone_and_other_kinds_have_the_whole_width(kinds, widths):
    model = _model("resnet", Dims(kinds, 9, 0), width=8, rgb_share=0.25)
    assert model.towers.names == list(kinds)
    assert [_widths(model.towers[name])[0] for name in kinds] == widths
    assert _widths(model.concat) == [8, sum(widths), 8]


def test_gating_weighs_each_logit_by_a_gate_that_sees_all():
    model, batch = _model("resnet", width=8, gating=True).eval(), _batch()
    with torch.no_grad():
        gated = model(batch)
        gate, model.gate = model.gate, None
        plain = model(batch)
    linear, norm = gate
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    for video in range(5):
        for c in range(9):
            seen = sum(linear.weight[c, other] * plain[video, other] for other in range(9))
            opened = torch.sigmoid((seen - norm.running_mean[c]) * scale[c] + norm.bias[c])
            assert gated[video, c].item() == pytest.approx((plain[video, c] * opened).item(), 1e-4)


def test_noise_is_of_the_given_deviation_in_training_and_nowhere_else():
    torch.manual_seed(0)
    block = IdentityBlock(4, 4, 0.0, noise=3.0)
    norm = block.layers[0][1]
    seen = []
    block.layers[0][3].register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    x = torch.randn(20000, 4)
    with torch.no_grad():
        block(x)
        added = seen[0] - norm(block.layers[0][0](x))
        block.eval()
        assert torch.equal(block(x), block(x))
    assert added.std().item() == pytest.approx(3.0, rel=0.02)
    assert added.mean().item() == pytest.approx(0.0, abs=0.05)


def test_the_hierarchy_gives_the_classes_what_the_verticals_score():
    model, batch = _model("resnet", width=8, dropout=0.0, hierarchy=True), _batch()
    assert model.classifier.in_features == 8 + 3
    seen = []
    model.classifier.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    out = model(batch)
    assert out.shape == (5, 9 + 3)
    torch.testing.assert_close(seen[0][:, 8:], out[:, 9:].sigmoid())
    torch.testing.assert_close(model.classifier(seen[0]), out[:, :9])


def test_verticals_as_outputs_leave_the_classes_as_they_are():
    model, batch = _model("resnet", width=8, dropout=0.0, verticals=True), _batch()
    out = model(batch)
    assert out.shape == (5, 9 + 3)
    model.eval()
    alone = model(batch)
    assert alone.shape == (5, 9)
    with torch.no_grad():
        model.vertical_head.bias += 5
    assert torch.equal(model(batch), alone)


@pytest.mark.parametrize("option", ["gating", "verticals", "hierarchy"])
def test_options_of_resnet_start_at_the_frequencies_of_the_classes(option):
    """The classifier starts there, not the gate or another layer with as many outputs."""
    model = _model("resnet", **{option: True, "width": 9})
    start_from_frequencies(model, torch.arange(9).numpy() * 100, 1000)
    assert model.classifier.bias[8].item() == pytest.approx(1.386, abs=0.01)
    assert model.classifier.bias[0].item() < -7


@pytest.mark.parametrize(
    ("arch", "arguments", "text"),
    [
        ("resnet", {"dropout": 1.0}, "model.dropout = 1.0: 0 to below 1 is allowed"),
        ("mlp", {"dropout": 2}, "model.dropout = 2: 0 to below 1 is allowed"),
        ("resnet", {"rgb_share": 1.0}, "rgb_share = 1.0: between 0 and 1 is allowed"),
        ("resnet", {"noise": -1.0}, "noise = -1.0: 0 or more is allowed"),
        ("mlp", {"widths": [4], "halvings": 3}, "halvings = 3: too many for a width of 4"),
        ("recurrent_mlp", {"cell": "rnn"}, "cell = 'rnn'; allowed: gru, lstm"),
    ],
)
def test_arguments_out_of_range_are_told(arch, arguments, text):
    with pytest.raises(InputError, match=f"x.toml: {text}"):
        _model(arch, **arguments)


@pytest.mark.parametrize("option", ["verticals", "hierarchy"])
def test_verticals_need_a_vocabulary_that_has_some(option):
    with pytest.raises(InputError, match="x.toml: the data's vocabulary has no verticals"):
        _model("resnet", Dims({"rgb": 6, "audio": 3}, 9, 0), **{option: True})


def test_the_gate_of_a_gated_mlp_weighs_each_unit():
    model, batch = _model("gated_mlp", width=4, layers=2), _batch()
    x = model.deeper[0](model.hidden(batch.joined))
    for video in range(5):
        seen = model.gate.weight @ x[video] + model.gate.bias
        gated = torch.stack([x[video, i] * torch.sigmoid(seen[i]) for i in range(4)])
        torch.testing.assert_close(model.classifier(gated), model(batch)[video])


def test_five_heads_are_five_gates_whose_logits_add_up():
    model, batch = _model("gated_mlp", width=4, heads=5), _batch()
    x = model.hidden(batch.joined)
    total = model.classifier.bias
    for head in range(5):
        part = slice(4 * head, 4 * head + 4)
        gate = torch.sigmoid(x @ model.gate.weight[part].T + model.gate.bias[part])
        total = total + (x * gate) @ model.classifier.weight[:, part].T
    torch.testing.assert_close(model(batch), total)


def test_sorted_gates_see_how_large_activations_are_and_not_whose():
    model, batch = _model("gated_mlp", width=4, sort=True), _batch()
    x = model.hidden(batch.joined)
    for video in range(5):
        ranked = torch.tensor(sorted(x[video].tolist(), reverse=True))
        expected = model.classifier(x[video] * torch.sigmoid(model.gate(ranked)))
        torch.testing.assert_close(model(batch)[video], expected)


def test_residual_layers_add_to_what_they_are_given():
    model, batch = _model("gated_mlp", width=4, layers=3, residual=True).eval(), _batch()
    x = model.hidden(batch.joined)
    for linear, norm, _ in model.deeper:
        x = x + F.relu(norm(linear(x)))
    torch.testing.assert_close(model(batch), model.classifier(x * model.gate(x).sigmoid()))


@pytest.mark.parametrize(("halvings", "bottleneck"), [(3, 256), (4, 128), (7, 16)])
def test_an_hourglass_halves_and_doubles(halvings, bottleneck):
    with torch.device("meta"):
        widths = _widths(_model("mlp", YOUTUBE_8M, widths=[2048], halvings=halvings))[:-1]
    assert len(widths) == 2 * halvings + 1
    assert widths[0] == widths[-1] == 2048
    assert min(widths) == widths[halvings] == bottleneck
    assert widths == widths[::-1]
    steps = zip(widths[:halvings], widths[1:], strict=False)
    assert all(wide == 2 * narrow for wide, narrow in steps)


def test_the_head_of_an_mlp_is_gating_then_a_mixture():
    model, batch = _model("mlp", widths=[8], gating=1, experts=2).eval(), _batch()
    h = model.hidden(batch.joined)
    gated = h * model.gate.gate(h).sigmoid()
    gates = model.classifier.gates(gated).unflatten(1, (2, 9)).exp()
    experts = model.classifier.experts(gated).unflatten(1, (2, 9)).sigmoid()
    expected = (gates * experts).sum(1) / (1 + gates.sum(1))
    torch.testing.assert_close(model(batch).sigmoid(), expected)


def test_a_cyclic_network_applies_one_layer_again_and_again():
    once, often = (_model("cyclic", width=8, times=times) for times in (1, 6))
    weights = [name for name, p in often.named_parameters() if p.dim() == 2]
    assert weights == [name for name, p in once.named_parameters() if p.dim() == 2]
    batch = _batch()
    often.eval()
    x = often.hidden(batch.joined)
    for step in range(6):
        x = often.norms[step](x @ often.again.weight.T + often.again.bias).relu()
    torch.testing.assert_close(often(batch), often.classifier(x))


def test_bilinear_equals_torchs():
    model, batch = _model("bilinear", width=8, code=4), _batch()
    slow = torch.nn.Bilinear(9, 4, 8)
    with torch.no_grad():
        model.bias.normal_()
        slow.bias.copy_(model.bias)
        slow.weight.copy_(model.bilinear.weight.view(4, 8, 9).permute(1, 2, 0))  # (W, D, Z)
    x = batch.joined
    code = x @ model.code.weight.T + model.code.bias
    h = slow(x, code - torch.tanh(code)).relu()
    torch.testing.assert_close(model(batch), model.classifier(h))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_recurrent_mlp_reads_its_vector_step_by_step(cell):
    model, batch = _model("recurrent_mlp", width=8, layers=2, steps=4, cell=cell), _batch()
    state = None
    for _ in range(4):
        out, state = model.recurrent(batch.joined[None], state)
    torch.testing.assert_close(model(batch), model.classifier(out[0]))


@pytest.mark.parametrize("experts", [1, 2, 4])
def test_moe_equals_its_definition(experts):
    """The benchmark paper's: exp(w_h x) / (1 + sum exp(w_h' x)) of each expert's probability."""
    model, batch = _model("moe", experts=experts), _batch()
    x, classes = batch.joined, 9
    for c in range(classes):
        rows = [expert * classes + c for expert in range(experts)]
        weights = [torch.exp(x @ model.gates.weight[r] + model.gates.bias[r]) for r in rows]
        hidden = [torch.sigmoid(x @ model.experts.weight[r] + model.experts.bias[r]) for r in rows]
        p = sum(w * h for w, h in zip(weights, hidden, strict=True)) / (1 + sum(weights))
        torch.testing.assert_close(model(batch)[:, c].sigmoid(), p)
