"""Frame-level architectures against their definitions, written as loops over videos of no padding.

What holds for every architecture (padding, gradients, lengths) is in test_models.py.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from first_level import layers
from first_level.config import ModelConfig, build
from first_level.models.frame_sorting import resampled
from first_level.models.lstm_moe import SparseExperts, chances, variation
from first_level.models.transformer import codes
from yt8m.cli import InputError
from yt8m.dataset import Batch
from yt8m.store import Dims

DIMS = Dims(rgb=6, audio=4, classes=9, max_frames=12)
LENGTHS = torch.tensor([12, 5, 1, 8])
MASK = torch.arange(12) < LENGTHS[:, None]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def _model(arch: str, dims: Dims = DIMS, **arguments) -> nn.Module:
    """In evaluation mode, its batch statistics no longer zeros and ones."""
    torch.manual_seed(0)
    model = build(ModelConfig(arch=arch, model=arguments), dims, "x.toml").eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model


def _batch() -> Batch:
    """Padding is not zero: a model must mask it by itself."""
    generator = torch.Generator().manual_seed(1)
    return Batch(*(torch.randn(4, 12, width, generator=generator) for width in (6, 4)), MASK)


def _videos(x: torch.Tensor) -> list[torch.Tensor]:
    """(B, T, D) -> each video's real frames (T, D)."""
    return [video[:length] for video, length in zip(x, LENGTHS, strict=True)]


def _check(model: nn.Module, of_video) -> None:
    """`of_video` maps a video's rgb (T, R) and audio (T, A) to what goes into `model.head`, or
    to the logits of a model without one."""
    batch = _batch()
    pairs = zip(_videos(batch.rgb), _videos(batch.audio), strict=True)
    expected = torch.stack([of_video(rgb, audio) for rgb, audio in pairs])
    head = getattr(model, "head", nn.Identity())
    torch.testing.assert_close(model(batch), head(expected), atol=1e-5, rtol=1e-4)


# Shared blocks


def test_masked_means_maxima_and_softmax_are_those_of_the_real_frames():
    x = torch.randn(4, 12, 3)
    for function, of_video in (
        (layers.masked_mean, lambda v: v.mean(0)),
        (layers.masked_max, lambda v: v.amax(0)),
        (layers.ramp, lambda v: sum((i + 1) * f for i, f in enumerate(v)) / sum(range(len(v) + 1))),
    ):
        expected = torch.stack([of_video(video) for video in _videos(x)])
        torch.testing.assert_close(function(x, MASK), expected)
    weights = layers.masked_softmax(x, MASK)
    assert (weights[~MASK] == 0).all()
    for found, video in zip(_videos(weights), _videos(x), strict=True):
        torch.testing.assert_close(found, video.softmax(0))


def test_rows_of_real_frames_and_back():
    x = torch.randn(4, 12, 3)
    rows = layers.real_rows(x, MASK)
    assert torch.equal(rows, torch.cat(_videos(x)))
    back = layers.padded(rows, MASK, fill=-1.0)
    assert torch.equal(back, torch.where(MASK[..., None], x, -1.0))


def test_masked_batch_norm_has_the_statistics_of_real_frames():
    masked, plain = layers.MaskedBatchNorm(3), nn.BatchNorm1d(3)
    x = torch.randn(4, 12, 3) * 3 + 1
    x[~MASK] = 1e6
    expected = plain(torch.cat(_videos(x)))
    found = masked(x, MASK)
    torch.testing.assert_close(torch.cat(_videos(found)), expected)
    assert (found[~MASK] == 0).all()
    torch.testing.assert_close(masked.running_mean, plain.running_mean)
    torch.testing.assert_close(masked.running_var, plain.running_var)
    torch.testing.assert_close(masked.eval()(x, MASK)[MASK], plain.eval()(torch.cat(_videos(x))))


def test_context_gating_and_squeeze_and_excitation():
    x = torch.randn(5, 8)
    full, squeezed = layers.ContextGating(8), layers.ContextGating(8, reduction=4)
    (linear,) = full.gate
    torch.testing.assert_close(full(x), x / (1 + torch.exp(-linear(x))))
    assert squeezed.gate[0].out_features == 2
    torch.testing.assert_close(squeezed.eval()(x), x * squeezed.gate(x).sigmoid())


# Recurrent


def _torch_net(model: nn.Module, cell: str, width: int, bidirectional: bool) -> nn.Module:
    """PyTorch's own stacked net with the weights of our layers, less the padding's."""
    kind = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
    net = kind(10, width, len(model.layers), batch_first=True, bidirectional=bidirectional)
    with torch.no_grad():
        for number, layer in enumerate(model.layers):
            for ours, suffix in zip(layer.nets, ("", "_reverse"), strict=False):
                for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    value = getattr(ours, f"{name}_l0")
                    value = value[:, :-1] if name == "weight_ih" else value
                    getattr(net, f"{name}_l{number}{suffix}").copy_(value)
    return net


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_last_states_are_those_of_each_video_alone(cell, bidirectional):
    model = _model("lstm", cell=cell, width=5, layers=3, bidirectional=bidirectional, hidden=[7])
    net = _torch_net(model, cell, 5, bidirectional)

    def of_video(rgb, audio):
        _, state = net(torch.cat([rgb, audio], 1)[None])
        kinds = state if cell == "lstm" else (state,)  # h and c, or h; each (L S, 1, W)
        return torch.cat(kinds, 2).flatten()

    _check(model, of_video)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_ramp_reads_the_mean_output_weighted_by_the_frame_number(bidirectional):
    model = _model("lstm", width=5, bidirectional=bidirectional, readout="ramp", hidden=[])
    net = _torch_net(model, "lstm", 5, bidirectional)

    def of_video(rgb, audio):
        out = net(torch.cat([rgb, audio], 1)[None])[0][0]
        total = sum((i + 1) / len(out) * frame for i, frame in enumerate(out))
        return total / sum((i + 1) / len(out) for i in range(len(out)))

    _check(model, of_video)


def test_residual_connections_add_a_layers_input():
    arguments = {"cell": "gru", "width": 5, "hidden": [], "readout": "ramp"}
    model = _model("lstm", residual=True, batch_norm=True, **arguments)
    assert model.shortcuts[0].weight.shape == (5, 10)

    def of_video(rgb, audio):
        x = torch.cat([rgb, audio], 1)[None]
        whole = torch.ones(x.shape[:2], dtype=torch.bool)
        x = model.norm(x, whole)
        x = model.layers[0](x, whole)[0] + x @ model.shortcuts[0].weight.T
        x = model.layers[1](x, whole)[0] + x
        return layers.ramp(x, whole)[0]

    _check(model, of_video)


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
    for row, video in enumerate(_videos(x)):
        alone = layer(video[None], torch.ones(1, len(video), dtype=torch.bool))[1]
        torch.testing.assert_close(together[row], alone[0])


def test_a_state_outlasts_300_frames_of_padding_in_bf16():
    layer = layers.Recurrent("lstm", 3, 8, bidirectional=True)
    mask = torch.arange(305) < torch.tensor([[5], [305]])
    x = torch.randn(2, 305, 3)
    exact = layer(x[:1, :5], mask[:1, :5])[1]
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x, mask)[1]
    torch.testing.assert_close(found[:1].float(), exact, atol=0.02, rtol=0.02)


def test_lstm_attention_equals_its_definition():
    model = _model("lstm_attention", width=5, audio_width=3, hidden=[7])

    def attended(net, frames):
        x = net.project(frames)
        whole = torch.ones(1, len(x), dtype=torch.bool)
        x = torch.cat([x, net.lstm(x[None], whole)[0][0]], 1)
        weights = net.score(x)[:, 0].softmax(0)
        return sum(weight * frame for weight, frame in zip(weights, x, strict=True))

    _check(model, lambda rgb, audio: torch.cat([attended(model.rgb, rgb),
                                                attended(model.audio, audio)]))  # fmt: skip


# Mixture of experts


def _experts(**arguments) -> SparseExperts:
    torch.manual_seed(0)
    experts = SparseExperts(**{"inputs": 6, "experts": 7, "active": 3, "width": 5} | arguments)
    nn.init.normal_(experts.gate.weight)
    nn.init.normal_(experts.noise.weight)
    nn.init.normal_(experts.into_bias)
    return experts.eval()


def test_sparse_experts_equal_their_definition():
    experts, x = _experts(), torch.randn(20, 6)
    found, _ = experts(x)
    for row, result in zip(x, found, strict=True):
        scores = experts.gate(row)
        best = scores.argsort(descending=True)[:3]
        expected = torch.zeros(5)
        for expert, share in zip(best, scores[best].softmax(0), strict=True):
            hidden = (row @ experts.into[expert] + experts.into_bias[expert]).relu()
            expected += share * (hidden @ experts.out[expert] + experts.out_bias[expert])
        torch.testing.assert_close(result, expected)


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
    expected = sum((part.std() / part.mean()) ** 2 for part in (importance, load))
    assert found.item() == pytest.approx(expected, rel=1e-4)
    assert variation(torch.full((5,), 3.0)) == 0


def test_the_penalty_spreads_frames_over_the_experts():
    experts, x = _experts(active=1).train(), torch.rand(50, 6)
    with torch.no_grad():
        experts.gate.weight.zero_()[2] = 1.5  # most frames go to one expert
    optimizer = torch.optim.Adam([experts.gate.weight, experts.noise.weight], 0.05)
    penalties = []
    for _ in range(60):
        _, penalty = experts(x)
        penalties.append(penalty.item())
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    assert penalties[0] > 3
    assert max(penalties[-10:]) < 1


def test_lstm_moe_leaves_its_penalty_in_training():
    model = _model("lstm_moe", width=6, experts=5, active=2, expert_width=4, balance=0.5).train()
    torch.manual_seed(0)
    model(_batch())
    once = model.penalty.item()
    model.balance = 1.0
    torch.manual_seed(0)
    model(_batch())
    assert model.penalty.item() == pytest.approx(2 * once)
    assert once > 0


# Attention


@pytest.mark.parametrize("positions", [False, True])
def test_a_transformer_equals_attention_written_out(positions):
    model = _model("transformer", width=12, heads=3, layers=2, inner=16, positions=positions)

    def of_video(rgb, audio):
        x = model.project(torch.cat([rgb, audio], 1))
        if positions:
            for t in range(len(x)):
                angles = torch.tensor([t / 10000 ** (2 * i / 12) for i in range(6)])
                x[t] = x[t] + torch.cat([angles.sin(), angles.cos()])
        for layer in model.layers:
            q, k, v = layer.project(layer.before_attention(x)).split(12, 1)
            seen = []
            for head in range(3):
                part = slice(4 * head, 4 * head + 4)
                weights = (q[:, part] @ k[:, part].T / 4**0.5).softmax(1)
                seen.append(weights @ v[:, part])
            x = x + layer.merge(torch.cat(seen, 1))
            x = x + layer.inner(layer.before_inner(x))
        return model.classifier(model.norm(x).mean(0))

    _check(model, of_video)


def test_position_codes_differ_at_every_frame():
    assert torch.cdist(codes(360, 16), codes(360, 16)).add(torch.eye(360)).min() > 0.05


def test_heads_of_attention_net_weigh_their_own_units():
    model = _model("attention_net", width=6, heads=3, layers=1, hidden=8)

    def of_video(rgb, audio):
        x = torch.cat([rgb, audio], 1)
        v = model.values[0](x).relu()
        weights = model.scores[0](v).softmax(0)  # (T, heads)
        parts = [(weights[:, [h]] * v[:, 2 * h : 2 * h + 2]).sum(0) for h in range(3)]
        return torch.cat([x.mean(0), *parts])

    _check(model, of_video)


# Time-distributed


def test_frame_max_pools_the_activations_of_real_frames():
    model = _model("frame_max", width=5)

    def pooled(layer, frames):
        linear, norm, _ = layer
        return torch.stack([norm(linear(frame)[None])[0].relu() for frame in frames]).amax(0)

    batch = _batch()
    rgb, audio = (
        torch.stack([pooled(layer, video) for video in _videos(x)])
        for layer, x in ((model.rgb, batch.rgb), (model.audio, batch.audio))
    )
    torch.testing.assert_close(model(batch), model.trunk(Batch(rgb, audio)))


def test_sorting_reads_each_class_scores_at_even_steps():
    model = _model("frame_sorting", width=8, length=5, hidden=3)

    def of_video(rgb, audio):
        scores = model.frame(Batch(rgb, audio)).detach().numpy()  # (T, C)
        places = np.linspace(0, len(scores) - 1, 5)
        results = []
        for column in scores.T:
            read = np.interp(places, np.arange(len(column)), np.sort(column)[::-1])
            read = torch.from_numpy(read).float()
            results.append(read.mean() + model.layers(read)[0])
        return torch.stack(results)

    _check(model, of_video)


def test_resampling_keeps_both_ends():
    x = torch.arange(12.0).expand(4, 12)[..., None]
    read = resampled(x, LENGTHS, 7)[..., 0]
    assert (read[:, 0] == 0).all()
    torch.testing.assert_close(read[:, -1], (LENGTHS - 1).float())


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolutions_equal_torchs_on_each_video_alone(kernel):
    model = _model("frame_convolutions", rgb_channels=[5, 4, 6], audio_channels=[3, 3, 3],
                   channels=[7, 8], kernel=kernel)  # fmt: skip

    def passed(blocks, x):  # (1, D, T)
        for block in blocks:
            norm = block.norm
            x = block.convolution(x).relu()
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            x = F.max_pool1d(x, 2, ceil_mode=True) if block.pool else x
        return x

    def of_video(rgb, audio):
        parts = [passed(b, x.T[None]) for b, x in ((model.rgb, rgb), (model.audio, audio))]
        return model.classifier(passed(model.both, torch.cat(parts, 1)).amax(2)[0])

    assert [block.pool for block in (*model.rgb, *model.both)] == [True, True, True, True, False]
    _check(model, of_video)


# Bags and clusters


def test_frame_logistic_is_the_mean_of_the_frames_probabilities():
    model, batch = _model("frame_logistic"), _batch()
    videos = _videos(model.classifier(batch.features).sigmoid())
    expected = torch.stack([video.mean(0) for video in videos])
    torch.testing.assert_close(model(batch).sigmoid(), expected)


@pytest.mark.parametrize("projection", [0, 20])
@pytest.mark.parametrize(("gating", "experts"), [(False, 0), (True, 2)])
def test_dbof_takes_the_maximum_over_real_frames(projection, gating, experts):
    model = _model("dbof", projection=projection, hidden=[6], gating=gating, experts=experts)
    _check(model, lambda rgb, audio: model.frame(torch.cat([rgb, audio], 1)).amax(0))


def _vlad(net, frames: torch.Tensor, groups: int) -> torch.Tensor:
    """Sum over frames and groups of share x (part - centre), by its definition."""
    clusters, units = net.centres.shape
    vectors = torch.zeros(clusters, units)
    for x in frames:
        x = net.expand(x)
        for group, part in enumerate(x.split(units)):
            weight = torch.sigmoid(net.attention(x)[group]) if groups else 1.0
            scores = net.assign(x[None])[0, group * clusters : (group + 1) * clusters]
            for cluster, share in enumerate(scores.softmax(0)):
                vectors[cluster] += weight * share * (part - net.centres[cluster])
    flat = torch.cat([vector / vector.norm() for vector in vectors])
    return flat if groups else flat / flat.norm()


@pytest.mark.parametrize(("groups", "gating", "experts"), [(0, 0, 0), (0, 1, 2), (2, 4, 0)])
def test_netvlad_and_nextvlad_equal_their_definition(groups, gating, experts):
    arguments = {"groups": groups, "gating": gating, "experts": experts}
    model = _model("netvlad", clusters=4, hidden=8, **arguments)

    def of_video(rgb, audio):
        parts = (_vlad(model.rgb, rgb, groups), _vlad(model.audio, audio, groups // 2))
        return torch.cat(parts)

    _check(model, of_video)


def test_nextvlad_has_the_published_size():
    arguments = {"clusters": 128, "groups": 8, "hidden": 2048, "gating": 8}
    with torch.device("meta"):
        model = build(
            ModelConfig(arch="netvlad", model=arguments), Dims(1024, 128, 3862, 300), "x.toml"
        )
    count = sum(parameter.numel() for parameter in model.parameters())
    assert round(count / 1e6) == 89


# All together

ORDERLESS = {
    "dbof": {"projection": 16},
    "frame_logistic": {},
    "frame_max": {"width": 8},
    "frame_sorting": {"width": 8},
    "netvlad": {"clusters": 4},
    "transformer": {"width": 8},
    "vlad_bow": {"words": 8, "width": 8},
}
ORDERED = {
    "frame_combinations": {"width": 8},
    "frame_convolutions": {"rgb_channels": [8], "audio_channels": [4], "channels": [8]},
    "lstm": {"width": 8},
    "lstm_attention": {"width": 8},
    "lstm_moe": {"width": 8, "experts": 4, "active": 2, "expert_width": 8},
    "transformer": {"width": 8, "positions": True},
}
CASES = [(arch, args, same) for kinds, same in ((ORDERLESS, True), (ORDERED, False))
         for arch, args in kinds.items()]  # fmt: skip
IDS = [f"{arch}-{'orderless' if same else 'ordered'}" for arch, _, same in CASES]


@pytest.mark.parametrize(("arch", "arguments", "same"), CASES, ids=IDS)
def test_the_order_of_frames_matters_where_it_should(arch, arguments, same):
    model, batch = _model(arch, **arguments), _batch()
    back = torch.where(MASK, LENGTHS[:, None] - 1 - torch.arange(12), torch.arange(12))
    turned = (part[torch.arange(4)[:, None], back] for part in (batch.rgb, batch.audio))
    difference = (model(Batch(*turned, MASK)) - model(batch)).abs().amax(1)
    assert (difference < 1e-4).all() if same else (difference[LENGTHS > 1] > 1e-4).all()


@pytest.mark.parametrize(("arch", "arguments", "same"), CASES, ids=IDS)
def test_bf16_predicts_nearly_the_same(arch, arguments, same):
    model, batch = _model(arch, **arguments), _batch()
    exact = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(batch)
        found.float().sum().backward()
    assert (found - exact).abs().max() < 0.1 * exact.abs().max() + 0.05
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ("arch", "arguments", "message"),
    [
        ("lstm", {"cell": "rnn"}, "x.toml: cell = 'rnn'; allowed: lstm, gru"),
        ("lstm", {"readout": "mean"}, "x.toml: readout = 'mean'; allowed: last, ramp"),
        ("lstm_moe", {"active": 65}, "x.toml: active = 65; allowed: 1 to experts = 64"),
        ("transformer", {"width": 500, "heads": 3}, "width = 500; allowed: multiples of 2 x heads"),
        ("attention_net", {"heads": 3}, "heads = 3; allowed: what divides width = 1024"),
        ("netvlad", {"groups": 5}, "groups = 5; allowed: what divides expansion x rgb features"),
        ("frame_convolutions", {"kernel": 2}, "kernel = 2; allowed: odd numbers"),
        ("frame_convolutions", {"rgb_channels": [8]}, "rgb_channels has 1 and audio_channels 2"),
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_named(arch, arguments, message):
    with pytest.raises(InputError, match=message):
        _model(arch, **arguments)
