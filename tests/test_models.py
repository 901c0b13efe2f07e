"""Every architecture at toy width and every configuration of every plan on the meta device.

A new file in first_level/models or a new TOML is tested without writing a test.
"""

import inspect
from pathlib import Path

import numpy as np
import pytest
import torch

from first_level.config import MODELS, ModelConfig, architecture, build, check_arguments, read
from yt8m import losses
from yt8m.cli import InputError
from yt8m.dataset import Batch, HardTargets
from yt8m.labels import Labels
from yt8m.resnet import ResNetLike
from yt8m.settings import Inputs
from yt8m.store import Dims

ROOT = Path(__file__).parents[1]
ARCHS = sorted(path.stem for path in MODELS.glob("[a-z]*.py"))
FRAME_ARCHS = [arch for arch in ARCHS if architecture(arch, "").level == "frame"]
CONFIGS = sorted((ROOT / "first_level" / "configs").glob("*/*.toml"))
DIMS = Dims(rgb=6, audio=3, classes=9, max_frames=12)
# Toy sizes of arguments that set a size; everything else keeps its default.
TOY = {"width": 8, "widths": [8], "hidden": 8, "words": 8}


def _toy(arch: str, dims: Dims = DIMS) -> torch.nn.Module:
    torch.manual_seed(0)
    parameters = inspect.signature(architecture(arch, "test")).parameters
    takes = {key: value for key, value in TOY.items() if key in parameters}
    return build(ModelConfig(arch=arch, model=takes), dims, "test")


def _batch(level: str, lengths=(12, 5, 1, 7, 3, 9), dims: Dims = DIMS, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    n = len(lengths)
    if level == "video":
        shape = (n,)
        mask = None
    else:
        shape = (n, max(lengths))
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    features = [torch.randn(*shape, width, generator=generator) for width in (dims.rgb, dims.audio)]
    if mask is not None:
        features = [part * mask[..., None] for part in features]
    return Batch(*features, mask)


def _targets(n: int = 6):
    rng = np.random.default_rng(0)
    labels = Labels.from_lists([rng.choice(9, 2, replace=False) for _ in range(n)])
    return HardTargets(labels, 9)(np.arange(n))


@pytest.mark.parametrize("arch", ARCHS)
def test_an_architecture_learns_and_uses_every_parameter(arch):
    model, targets = _toy(arch), _targets()
    batch = _batch(model.level)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = []
    for _ in range(30):
        loss = losses.bce(model(batch), targets)
        assert torch.isfinite(loss)
        optimizer.zero_grad()
        loss.backward()
        if not history:
            for name, parameter in model.named_parameters():
                assert parameter.grad is not None, f"{name} gets no gradient"
                assert torch.isfinite(parameter.grad).all(), name
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.8 * history[0]


@pytest.mark.parametrize("arch", ARCHS)
def test_neither_padding_nor_batch_mates_change_a_prediction(arch):
    model = _toy(arch).eval()
    batch = _batch(model.level)
    with torch.no_grad():
        together = model(batch)
        for row in range(len(batch)):
            keep = slice(row, row + 1)
            mask = None if batch.mask is None else batch.mask[keep]
            length = slice(None) if mask is None else slice(int(mask.sum()))
            rgb, audio = (part[keep][:, length] if mask is not None else part[keep]
                          for part in (batch.rgb, batch.audio))  # fmt: skip
            alone = model(Batch(rgb, audio, None if mask is None else mask[:, length]))
            torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    "arch", [arch for arch in ARCHS if architecture(arch, "").level == "frame"]
)
def test_what_is_in_the_padding_does_not_matter(arch):
    model = _toy(arch).eval()
    batch = _batch("frame")
    rgb = torch.where(batch.mask[..., None], batch.rgb, 7.0)
    audio = torch.where(batch.mask[..., None], batch.audio, -7.0)
    with torch.no_grad():
        torch.testing.assert_close(model(Batch(rgb, audio, batch.mask)), model(batch))


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(("rgb", "audio"), [(6, 0), (0, 3)])
def test_a_single_modality_works(arch, rgb, audio):
    dims = Dims(rgb, audio, 9, 360)
    model = _toy(arch, dims).eval()
    for lengths in ((1, 1), (360, 1)):
        assert torch.isfinite(model(_batch(model.level, lengths, dims))).all()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_configuration_builds_at_full_size(path):
    config = read(path)
    check_arguments(config, path)
    dims = Dims(0, 128, 527, 10) if path.parent.name == "audioset" else Dims(1024, 128, 3862, 300)
    with torch.device("meta"):
        model = build(config, dims, path)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    assert path.read_text().startswith("# "), "a configuration begins with why it is in the stack"


def test_resnet_has_the_published_sizes():
    for blocks, millions in ((1, 52.3), (4, 153.0)):
        with torch.device("meta"):
            model = ResNetLike(Dims(1024, 128, 3862, 0), 2048, blocks, blocks)
        count = sum(parameter.numel() for parameter in model.parameters())
        assert round(count / 1e6, 1) == millions


def test_moe_equals_its_definition():
    model, batch = _toy("moe"), _batch("video")
    gates = model.gates(batch.features).unflatten(1, (3, 9)).softmax(1)
    experts = model.experts(batch.features).unflatten(1, (2, 9)).sigmoid()
    expected = (gates[:, :2] * experts).sum(1)
    torch.testing.assert_close(model(batch).sigmoid(), expected)


def test_attention_net_equals_appending_to_every_frame():
    model, batch = _toy("attention_net").eval(), _batch("frame")
    x = batch.features
    for value, score in zip(model.values, model.scores, strict=True):
        v = value(x).relu()
        weights = score(v).masked_fill(~batch.mask[..., None], -torch.inf).softmax(1)
        summary = (weights * v).sum(1, keepdim=True)
        x = torch.cat([x, summary.expand(-1, x.shape[1], -1)], 2)
    mean = (x * batch.mask[..., None]).sum(1) / batch.mask.sum(1, keepdim=True)
    torch.testing.assert_close(model(batch), model.head(mean))


def test_the_power_of_vlad_bow_is_learnt_and_stays_positive():
    model, batch, targets = _toy("vlad_bow"), _batch("frame"), _targets()
    before = model.rgb.raw_power.item()
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    for _ in range(5):
        optimizer.zero_grad()
        losses.bce(model(batch), targets).backward()
        optimizer.step()
    assert model.rgb.raw_power.item() != before
    assert torch.nn.functional.softplus(model.rgb.raw_power) > 0


def test_a_model_that_does_not_fit_the_data_says_so():
    with pytest.raises(InputError, match="x.toml: lstm is a frame-level model and the data has no"):
        build(ModelConfig(arch="lstm"), Dims(6, 3, 9, 0), "x.toml")
    config = ModelConfig(arch="resnet", inputs=Inputs(modalities="rgb"))
    with pytest.raises(InputError, match="x.toml: inputs.modalities = 'rgb' and the data has"):
        build(config, Dims(0, 3, 9, 0), "x.toml")
