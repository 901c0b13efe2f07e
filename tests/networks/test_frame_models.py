"""Frame-level architectures against their definitions, written as loops over videos of no padding.

Recurrent ones are in test_recurrent_models.py; what holds for every architecture (padding,
gradients, lengths) in test_models.py.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from frame_world import LENGTHS, MASK, check, model_of, padded_batch, videos_of
from kinds import named

from first_level.config import ModelConfig, build
from first_level.models.frame_sorting import resample
from first_level.models.transformer import codes
from yt8m.base.cli import InputError
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch

# Attention


@pytest.mark.parametrize("positions", [False, True])
def test_a_transformer_equals_attention_written_out(positions):
    model = model_of("transformer", width=12, heads=3, layers=2, inner=16, positions=positions)

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

    check(model, of_video)


def test_position_codes_differ_at_every_frame():
    assert torch.cdist(codes(360, 16), codes(360, 16)).add(torch.eye(360)).min() > 0.05


def test_heads_of_attention_net_weigh_their_own_units():
    model = model_of("attention_net", width=6, heads=3, layers=1, hidden=8)

    def of_video(rgb, audio):
        x = torch.cat([rgb, audio], 1)
        v = model.values[0](x).relu()
        weights = model.scores[0](v).softmax(0)  # (T, heads)
        parts = [(weights[:, [h]] * v[:, 2 * h : 2 * h + 2]).sum(0) for h in range(3)]
        return torch.cat([x.mean(0), *parts])

    check(model, of_video)


# Time-distributed


def test_frame_max_pools_the_activations_of_real_frames():
    model = model_of("frame_max", width=5)

    def pooled(layer, frames):
        linear, norm, _ = layer
        return torch.stack([norm(linear(frame)[None])[0].relu() for frame in frames]).amax(0)

    batch = padded_batch()
    rgb, audio = (
        torch.stack([pooled(layer, video) for video in videos_of(x)])
        for layer, x in (
            (model.towers["rgb"], batch.features["rgb"]),
            (model.towers["audio"], batch.features["audio"]),
        )
    )
    torch.testing.assert_close(model(batch), model.trunk(Batch(named(rgb, audio))))


def test_sorting_reads_each_class_scores_at_even_steps():
    model = model_of("frame_sorting", width=8, length=5, hidden=3)

    def of_video(rgb, audio):
        scores = model.frame(Batch(named(rgb, audio))).detach().numpy()  # (T, C)
        places = np.linspace(0, len(scores) - 1, 5)
        results = []
        for column in scores.T:
            read = np.interp(places, np.arange(len(column)), np.sort(column)[::-1])
            read = torch.from_numpy(read).float()
            results.append(read.mean() + model.layers(read)[0])
        return torch.stack(results)

    check(model, of_video)


def test_resampling_keeps_both_ends():
    x = torch.arange(12.0).expand(4, 12)[..., None]
    read = resample(x, LENGTHS, 7)[..., 0]
    assert (read[:, 0] == 0).all()
    torch.testing.assert_close(read[:, -1], (LENGTHS - 1).float())


@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_convolutions_equal_torchs_on_each_video_alone(kernel):
    model = model_of("frame_convolutions", rgb_channels=[5, 4, 6], audio_channels=[3, 3, 3],
                   channels=[7, 8], kernel=kernel)  # fmt: skip

    def passed(blocks, x):  # (1, D, T)
        for block in blocks:
            norm = block.norm
            x = block.convolution(x).relu()
            x = F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)
            x = F.max_pool1d(x, 2, ceil_mode=True) if block.pool else x
        return x

    def of_video(rgb, audio):
        parts = [passed(model.towers[n], x.T[None]) for n, x in named(rgb, audio).items()]
        return model.classifier(passed(model.both, torch.cat(parts, 1)).amax(2)[0])

    pools = [block.pool for block in (*model.towers["rgb"], *model.both)]
    assert pools == [True] * 4 + [False]
    check(model, of_video)


# Bags and clusters


def test_frame_logistic_is_the_mean_of_the_frames_probabilities():
    model, batch = model_of("frame_logistic"), padded_batch()
    videos = videos_of(model.classifier(batch.joined).sigmoid())
    expected = torch.stack([video.mean(0) for video in videos])
    torch.testing.assert_close(model(batch).sigmoid(), expected)


@pytest.mark.parametrize("projection", [0, 20])
@pytest.mark.parametrize(("gating", "experts"), [(False, 0), (True, 2)])
def test_dbof_takes_the_maximum_over_real_frames(projection, gating, experts):
    model = model_of("dbof", projection=projection, hidden=[6], gating=gating, experts=experts)
    check(model, lambda rgb, audio: model.frame(torch.cat([rgb, audio], 1)).amax(0))


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
    model = model_of("netvlad", clusters=4, hidden=8, **arguments)

    def of_video(rgb, audio):
        towers = model.towers
        parts = (_vlad(towers["rgb"], rgb, groups), _vlad(towers["audio"], audio, groups // 2))
        return torch.cat(parts)

    check(model, of_video)


def test_nextvlad_has_the_published_size():
    arguments = {"clusters": 128, "groups": 8, "hidden": 2048, "gating": 8}
    with torch.device("meta"):
        model = build(
            ModelConfig(arch="netvlad", model=arguments),
            Dims({"rgb": 1024, "audio": 128}, 3862, 300),
            "x.toml",
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
    model, batch = model_of(arch, **arguments), padded_batch()
    back = torch.where(MASK, LENGTHS[:, None] - 1 - torch.arange(12), torch.arange(12))
    turned = batch.map(lambda x: x[torch.arange(4)[:, None], back])
    difference = (model(turned) - model(batch)).abs().amax(1)
    assert (difference < 1e-4).all() if same else (difference[LENGTHS > 1] > 1e-4).all()


@pytest.mark.parametrize(("arch", "arguments", "same"), CASES, ids=IDS)
def test_bf16_predicts_nearly_the_same(arch, arguments, same):
    model, batch = model_of(arch, **arguments), padded_batch()
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
        model_of(arch, **arguments)
