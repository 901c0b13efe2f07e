"""Every architecture's definition, written out in numpy for one video, and what each option does.

A new architecture needs a definition here; a new option needs a case with another value than its
default, or a line that says which test has it.
"""

import inspect

import definitions_of_frames
import definitions_of_videos
import numpy as np
import pytest
import torch
from architectures import ARCHS
from definitions_of_videos import LABELS, MEMORY
from plain import DROPOUT, assert_equals, build_model, mark_dropout, random_batch, random_model

from first_level.config import architecture
from yt8m.inputs.batch import Batch, HardTargets, Targets
from yt8m.records.labels import Labels
from yt8m.training import losses

DEFINITIONS = definitions_of_videos.DEFINITIONS | definitions_of_frames.DEFINITIONS
CASES = [(arch, options) for arch, (_, cases) in DEFINITIONS.items() for options in cases]
# Options that change no formula of a prediction, and the test that they have.
ELSEWHERE = {
    ("frame_logistic", "each_frame"): "below",
    ("lstm_moe", "importance"): "test_recurrent_models.py",
    ("lstm_moe", "load"): "test_recurrent_models.py",
    ("neighbours", "videos"): "below",
    ("resnet", "noise"): "test_options.py",
    ("resnet", "verticals"): "test_options.py",
}


def _id(case: tuple[str, dict]) -> str:
    return "-".join([case[0], *(f"{key}={value}" for key, value in case[1].items())])


def _sizes(model: torch.nn.Module) -> list[torch.Size]:
    return [tensor.shape for tensor in model.state_dict().values()]


def _predict(case: tuple[str, dict]) -> tuple[torch.nn.Module, Batch]:
    arch, options = case
    torch.manual_seed(0)
    model = random_model(arch, **options)
    if hasattr(model, "remember"):
        rows, classes = LABELS.nonzero()
        parts = (torch.from_numpy(x) for x in (rows, classes, LABELS[rows, classes].astype("f")))
        memory = Batch({name: torch.from_numpy(x).float() for name, x in MEMORY.items()})
        model.remember(memory, Targets(*parts, LABELS.shape))
    return model, random_batch(model.level)


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_an_architecture_equals_its_definition(case, monkeypatch):
    mark_dropout(monkeypatch)
    arch, options = case
    define = DEFINITIONS[arch][0]
    assert_equals(*_predict(case), lambda weights, video: define(weights, video, **options))


@pytest.mark.parametrize("case", CASES, ids=_id)
def test_each_option_changes_sizes_or_predictions(case, monkeypatch):
    mark_dropout(monkeypatch)
    arch, options = case
    defaults = inspect.signature(architecture(arch, "")).parameters
    for name in [name for name in options if options[name] != defaults[name].default]:
        fewer = {key: value for key, value in options.items() if key != name}
        with torch.device("meta"):
            own, other = (_sizes(build_model(arch, **each)) for each in (options, fewer))
        if own == other:
            with torch.no_grad():
                found = [model(batch) for model, batch in map(_predict, (case, (arch, fewer)))]
            assert not torch.equal(*found), name


def test_every_architecture_has_a_definition_and_every_option_a_case():
    assert sorted(DEFINITIONS) == ARCHS
    for arch, (_, cases) in DEFINITIONS.items():
        for name, option in inspect.signature(architecture(arch, "")).parameters.items():
            if name == "dims" or (arch, name) in ELSEWHERE:
                continue
            values = {repr(case.get(name, option.default)) for case in cases}
            both = len(values) > 1 or values != {repr(option.default)}
            assert both, f"{arch}: no case has another {name}"


@pytest.mark.parametrize("case", [case for case in CASES if DROPOUT in case[1].values()], ids=_id)
def test_dropout_is_on_in_training(case):
    model, batch = _predict(case)
    for module in model.modules():
        module.training = isinstance(module, torch.nn.Dropout)
    assert not torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("power", [3.0, 0.628])
def test_vlad_bow_starts_at_the_given_power(power):
    model = build_model("vlad_bow", words=4, width=4, power=power)
    for name in ("rgb", "audio"):
        found = torch.nn.functional.softplus(model.towers[name].raw_power)
        assert found.item() == pytest.approx(power)


def test_neighbours_start_at_the_given_values():
    model = build_model("neighbours", temperature=0.5, audio_share=0.25, smoothing=3.0, videos=7)
    found = (model.temperature.exp(), model.audio_odds.sigmoid(), model.smoothing.exp())
    assert [x.item() for x in found] == pytest.approx([0.5, 0.25, 3.0])
    assert model.videos == 7


def test_each_frame_learns_the_labels_of_its_video():
    model, batch = random_model("frame_logistic", each_frame=True).train(), random_batch("frame")
    targets = HardTargets(Labels.from_lists([[0, 3], [1], [], [8, 2, 4]]), 9)(np.arange(4))
    loss = losses.bce(model(batch), targets) + model.penalty
    labels = torch.zeros(4, 9)
    labels[targets.rows, targets.classes] = targets.values
    videos = []
    for row in range(4):
        z = model.classifier(batch.joined[row][batch.mask[row]])
        of_frames = -(labels[row] * z.sigmoid().log() + (1 - labels[row]) * (-z).sigmoid().log())
        videos.append(of_frames.sum(1).mean())
    expected = torch.stack(videos).mean()
    torch.testing.assert_close(loss, expected)
    found = torch.autograd.grad(loss, list(model.parameters()))
    torch.testing.assert_close(found, torch.autograd.grad(expected, list(model.parameters())))
