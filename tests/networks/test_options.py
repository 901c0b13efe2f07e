"""What test_definitions.py does not say of architectures: published sizes, training, refusals."""

import pytest
import torch
from kinds import FOUR, named

from first_level.config import ModelConfig, build
from first_level.models.transformer import codes
from yt8m.base.cli import InputError
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch
from yt8m.networks.resnet import IdentityBlock
from yt8m.training.weights import start_from_frequencies

DIMS = Dims({"rgb": 6, "audio": 3}, classes=9, max_frames=0, verticals=3)
YOUTUBE_8M = Dims({"rgb": 1024, "audio": 128}, 3862, 300, 25)


def _model(arch: str, dims: Dims = DIMS, **arguments) -> torch.nn.Module:
    torch.manual_seed(0)
    return build(ModelConfig(arch=arch, model=arguments), dims, "x.toml")


def _batch(videos: int = 5) -> Batch:
    torch.manual_seed(1)
    return Batch(named(torch.randn(videos, 6), torch.randn(videos, 3)))


def _widths(model: torch.nn.Module) -> list[int]:
    """Outputs of the Linear layers, in their order."""
    return [m.out_features for m in model.modules() if isinstance(m, torch.nn.Linear)]


@pytest.mark.parametrize(
    ("arch", "arguments", "millions"),
    [
        ("resnet", {"tower_blocks": 1, "concat_blocks": 1}, 52.3),
        ("resnet", {"tower_blocks": 4, "concat_blocks": 4}, 153.0),
        ("netvlad", {"clusters": 128, "groups": 8, "hidden": 2048, "gating": 8}, 88.9),  # NeXtVLAD
    ],
)
def test_published_sizes(arch, arguments, millions):
    with torch.device("meta"):
        model = _model(arch, YOUTUBE_8M, **arguments)
    count = sum(parameter.numel() for parameter in model.parameters())
    assert round(count / 1e6, 1) == millions


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


@pytest.mark.parametrize("option", ["verticals", "hierarchy"])
def test_verticals_need_a_vocabulary_that_has_some(option):
    with pytest.raises(InputError, match="x.toml: the data's vocabulary has no verticals"):
        _model("resnet", Dims({"rgb": 6, "audio": 3}, 9, 0), **{option: True})


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


def test_position_codes_differ_at_every_frame():
    assert torch.cdist(codes(360, 16), codes(360, 16)).add(torch.eye(360)).min() > 0.05


@pytest.mark.parametrize(
    ("arch", "arguments", "message"),
    [
        ("resnet", {"dropout": 1.0}, "model.dropout = 1.0: 0 to below 1 is allowed"),
        ("mlp", {"dropout": 2}, "model.dropout = 2: 0 to below 1 is allowed"),
        ("resnet", {"rgb_share": 1.0}, "rgb_share = 1.0: between 0 and 1 is allowed"),
        ("resnet", {"noise": -1.0}, "noise = -1.0: 0 or more is allowed"),
        ("mlp", {"widths": [4], "halvings": 3}, "halvings = 3: too many for a width of 4"),
        ("recurrent_mlp", {"cell": "rnn"}, "cell = 'rnn'; allowed: gru, lstm"),
        ("lstm", {"cell": "rnn"}, "cell = 'rnn'; allowed: lstm, gru"),
        ("lstm", {"readout": "mean"}, "readout = 'mean'; allowed: last, ramp"),
        ("lstm_moe", {"active": 65}, "active = 65; allowed: 1 to experts = 64"),
        ("transformer", {"width": 500, "heads": 3}, "width = 500; allowed: multiples of 2 x heads"),
        ("attention_net", {"heads": 3}, "heads = 3; allowed: what divides width = 1024"),
        ("netvlad", {"groups": 5}, "groups = 5; allowed: what divides expansion x rgb features"),
        ("frame_convolutions", {"kernel": 2}, "kernel = 2; allowed: odd numbers"),
        ("frame_convolutions", {"rgb_channels": [8]}, "rgb_channels has 1 and audio_channels 2"),
    ],
)
def test_arguments_out_of_range_are_told(arch, arguments, message):
    with pytest.raises(InputError, match=f"x.toml: {message}"):
        _model(arch, Dims({"rgb": 6, "audio": 3}, 9, 12), **arguments)


def test_all_convolutions_but_the_last_pool():
    model = _model("frame_convolutions", Dims({"rgb": 6, "audio": 3}, 9, 12))
    blocks = (*model.towers["rgb"], *model.both)
    assert [block.pool for block in blocks] == [True, True, True, False]
