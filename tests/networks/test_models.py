"""Every architecture at toy width and every configuration of every plan on the meta device.

A new file in first_level/models or a new TOML is tested without writing a test.
"""

import inspect
from dataclasses import replace

import numpy as np
import pytest
import torch
from architectures import CASES, CONFIGS, DIMS, FRAME_CASES, TOY
from kinds import FOUR, named, random_features

from first_level.config import ModelConfig, PlannedModel, architecture, build, check_arguments, read
from yt8m.base.cli import InputError
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch, HardTargets
from yt8m.inputs.settings import Inputs
from yt8m.networks.cpu import use_fast_layers
from yt8m.records.labels import Labels
from yt8m.training import losses


def _named(case: tuple[str, dict]) -> str:
    arch, arguments = case
    return "-".join([arch, *(f"{key}={value}" for key, value in arguments.items())])


def _over(cases: list[tuple[str, dict]]):
    return pytest.mark.parametrize("case", cases, ids=_named)


def _toy(case: tuple[str, dict], dims: Dims = DIMS) -> torch.nn.Module:
    """The model of (arch, arguments) at toy width."""
    arch, arguments = case
    torch.manual_seed(0)
    parameters = inspect.signature(architecture(arch, "test")).parameters
    takes = {key: value for key, value in TOY.items() if key in parameters}
    model = build(ModelConfig(arch=arch, model=takes | arguments), dims, "test")
    if hasattr(model, "remember"):
        twice = np.tile(np.arange(6), 2)  # without itself, a video still has its like
        once = _batch(model.level, dims=dims)
        model.remember(once.map(lambda x: x[twice]), _targets(dims.classes, twice))
    return model


def _batch(level: str, lengths=(12, 5, 1, 7, 3, 9), dims: Dims = DIMS, seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    n = len(lengths)
    if level == "video":
        shape = (n,)
        mask = None
    else:
        shape = (n, max(lengths))
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    batch = Batch(random_features(dims, *shape, generator=generator), mask)
    return batch if mask is None else batch.map(lambda x: x * mask[..., None])


def _targets(outputs: int = 9, videos=range(6)):
    rng = np.random.default_rng(0)
    labels = Labels.from_lists([rng.choice(outputs, 2, replace=False) for _ in range(6)])
    return HardTargets(labels, outputs)(np.array(videos))


@_over(CASES)
def test_an_architecture_learns_and_uses_every_parameter(case):
    model = _toy(case)
    targets = _targets(9 + getattr(model, "verticals", 0))  # in training mode, after the classes
    batch = _batch(model.level)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    history = []
    for _ in range(30):
        logits = model(batch)
        assert logits.shape == targets.shape
        loss = losses.bce(logits, targets) + getattr(model, "penalty", 0)
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


@_over(CASES)
def test_a_step_in_bf16_is_like_one_in_float32(case):
    model = use_fast_layers(_toy(case))
    batch = _batch(model.level)
    targets = _targets(9 + getattr(model, "verticals", 0))
    found = []
    for rounded in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=rounded):
            logits = model(batch)
        loss = losses.bce(logits, targets)
        loss.backward()
        found.append(loss.item())
    assert found[1] == pytest.approx(found[0], rel=0.1)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters())
    exact = model.eval()(batch)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(batch)
    assert (found - exact).abs().max() < 0.1 * exact.abs().max() + 0.05


@_over(CASES)
def test_neither_padding_nor_batch_mates_change_a_prediction(case):
    model = _toy(case).eval()
    batch = _batch(model.level)
    with torch.no_grad():
        together = model(batch)
        assert together.shape == (len(batch), DIMS.classes)
        for row in range(len(batch)):
            keep = slice(row, row + 1)
            mask = None if batch.mask is None else batch.mask[keep]
            length = slice(None) if mask is None else slice(int(mask.sum()))
            own = batch.map(lambda x: x[keep] if mask is None else x[keep][:, length])  # noqa: B023
            alone = model(replace(own, mask=None if mask is None else mask[:, length]))
            torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=1e-4)


@_over(FRAME_CASES)
def test_what_is_in_the_padding_does_not_matter(case):
    model = _toy(case).eval()
    batch = _batch("frame")
    rgb = torch.where(batch.mask[..., None], batch.features["rgb"], 7.0)
    audio = torch.where(batch.mask[..., None], batch.features["audio"], -7.0)
    with torch.no_grad():
        torch.testing.assert_close(model(Batch(named(rgb, audio), batch.mask)), model(batch))


@_over(CASES)
@pytest.mark.parametrize("features", [{"rgb": 6}, {"audio": 3}, {"title": 5}, FOUR], ids=" ".join)
def test_any_kinds_of_features_work_with_one_frame_and_with_360(case, features):
    dims = Dims(features, 9, 360, 3)
    model = _toy(case, dims).eval()
    for lengths in ((1, 1), (360, 1)):
        assert torch.isfinite(model(_batch(model.level, lengths, dims))).all()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_configuration_builds_at_full_size(path):
    config = read(path)
    check_arguments(config, path)
    youtube_8m = Dims({"rgb": 1024, "audio": 128}, 3862, 300, 25)
    audio = path.parent.name in ("audioset", "frame", "inputs")
    dims = Dims({"audio": 128}, 527, 10) if audio else youtube_8m
    with torch.device("meta"):
        model = build(config, dims, path)
    assert sum(parameter.numel() for parameter in model.parameters()) > 0
    assert path.read_text().startswith("# "), "a configuration begins with why it is in the stack"


def test_the_power_of_vlad_bow_is_learnt_and_stays_positive():
    model, batch, targets = _toy(("vlad_bow", {})), _batch("frame"), _targets()
    words = model.towers["rgb"]
    before = words.raw_power.item()
    optimizer = torch.optim.SGD(model.parameters(), lr=5.0)
    for _ in range(5):
        optimizer.zero_grad()
        losses.bce(model(batch), targets).backward()
        optimizer.step()
    assert words.raw_power.item() != before
    assert torch.nn.functional.softplus(words.raw_power) > 0


def test_a_model_that_does_not_fit_the_data_says_so():
    with pytest.raises(InputError, match="x.toml: lstm is a frame-level model and the data has no"):
        build(ModelConfig(arch="lstm"), Dims({"rgb": 6, "audio": 3}, 9, 0), "x.toml")
    config = ModelConfig(arch="resnet", inputs=Inputs(features=("rgb",)))
    with pytest.raises(
        InputError, match="inputs.features names 'rgb', which the data lacks; it has aud"
    ):
        build(config, Dims({"audio": 3}, 9, 0), "x.toml")


def test_an_argument_of_another_type_says_so():
    config = PlannedModel(arch="lstm", model={"hidden": 64})
    with pytest.raises(InputError, match="model.hidden = 64: Input should be a valid list"):
        check_arguments(config, "x.toml")
    config = PlannedModel(arch="mlp", model={"dropout": "much"})
    with pytest.raises(InputError, match="x.toml: model.dropout = 'much': Input should"):
        check_arguments(config, "x.toml")
    check_arguments(PlannedModel(arch="mlp", model={"dropout": 0, "widths": [3, 4]}), "x.toml")


@pytest.mark.parametrize(
    ("arch", "arguments", "message"),
    [
        ("mlp", {"widths": [8, 0]}, r"model.widths = \[8, 0\]: below 1 is not allowed"),
        ("lstm", {"layers": 0}, "model.layers = 0: below 1 is not allowed"),
        ("resnet", {"tower_blocks": -1}, "model.tower_blocks = -1: below 0 is not allowed"),
    ],
)
def test_a_size_that_no_layer_has_says_so(arch, arguments, message):
    with pytest.raises(InputError, match=f"x.toml: {message}"):
        check_arguments(PlannedModel(arch=arch, model=arguments), "x.toml")
    check_arguments(PlannedModel(arch="resnet", model={"tower_blocks": 0}), "x.toml")


def test_statistics_of_a_frame_level_model_are_refused_when_the_plan_is_read():
    config = PlannedModel(arch="lstm", inputs=Inputs(statistics=("mean", "std")))
    with pytest.raises(InputError, match="x.toml: inputs.statistics are for video-level models"):
        check_arguments(config, "x.toml")
