"""The paper's student and its extractors."""

import numpy as np
import pytest
import torch
from distill_world import FULL, SCALE
from kinds import FOUR, random_features
from plain import (
    DROPOUT,
    Weights,
    assert_equals,
    joined,
    leaky,
    mark_dropout,
    randomised,
    relu,
    sigmoid,
)
from torch import nn

from first_level.bundle.network import Member, build_member
from jobs.stages import distill as distill_jobs
from yt8m.base.paths import LETTERS
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch, prepare
from yt8m.inputs.settings import Inputs
from yt8m.networks.extractors import LAYOUTS, Extractor, WithHead
from yt8m.networks.student import Student, num_values
from yt8m.networks.towers import Towers

TOY = Dims({"rgb": 24, "audio": 8}, classes=30, max_frames=0)


def linear_shapes(model) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]


def batch_of(dims: Dims, size: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(0)
    return prepare(Inputs(), random_features(dims, size, generator=generator))


def test_full_size_has_the_published_number_of_values():
    with torch.device("meta"):
        student = build_member(Member(kind="student"), FULL)
    assert num_values(student) == 247_233_888
    assert num_values(student) * 2 < 500e6  # bytes in float16
    assert student.last[1].in_features == 9344


@pytest.mark.parametrize(
    ("letter", "shapes", "activation"),
    [
        ("a", [(1152, 1024), (1024, 1024), (1024, 1024)], nn.SiLU),
        ("b", [(1152, 1024), (1024, 1024)], nn.ReLU),
        ("c", [(1024, 1024), (128, 256), (1280, 1024)], nn.LeakyReLU),
        ("d", [(1024, 1024), (1024, 1024), (128, 256), (256, 256), (1280, 1024)], nn.SiLU),
        ("e", [(1152, 4096), *[(4096, 4096)] * 3, (4096, 2048)], nn.ReLU),
        ("f", [(1152, 2048), *[(2048, 2048)] * 5], nn.ReLU),
    ],
)
def test_extractor_is_as_published(letter, shapes, activation):
    with torch.device("meta"):
        extractor = Extractor(letter, FULL, 1.0)
    assert linear_shapes(extractor) == shapes
    modules = [m for m in extractor.modules() if type(m) not in (Extractor, Towers, nn.Sequential)]
    linears = [m for m in modules if isinstance(m, nn.Linear)]
    assert all(m.bias is None for m in linears)
    for kind in (nn.BatchNorm1d, activation):
        assert sum(isinstance(m, kind) for m in modules) == len(linears)
    assert len(modules) == 3 * len(linears)


def swish(x):
    return x * sigmoid(x)


def leaky_02(x):
    return leaky(x, 0.2)


# Its activation, layers of each tower, layers of all kinds together.
PUBLISHED = {"a": (swish, 0, 3), "b": (relu, 0, 2), "c": (leaky_02, 1, 1), "d": (swish, 2, 1),
             "e": (relu, 0, 5), "f": (relu, 0, 6)}  # fmt: skip


def extract(w: Weights, video: dict, letter: str) -> np.ndarray:
    activation, of_tower, of_all = PUBLISHED[letter]

    def layers(at, x, count):
        for number in range(0, 3 * count, 3):
            x = activation(w.norm(f"{at}.{number + 1}", w.linear(f"{at}.{number}", x)))
        return x

    sides = {name: layers(f"towers.of_{name}", x, of_tower) for name, x in video.items()}
    return layers("joint", joined(sides), of_all)


@pytest.mark.parametrize("letter", LETTERS)
def test_an_extractor_under_its_classifier_equals_its_definition(letter, monkeypatch):
    mark_dropout(monkeypatch)
    model = randomised(WithHead(Extractor(letter, TOY, SCALE), 30, DROPOUT))
    assert_equals(model, batch_of(TOY), lambda w, video: w.linear(
        "head", extract(w.under("extractor"), video, letter) * (1 + DROPOUT)))  # fmt: skip


def test_the_student_equals_its_definition(monkeypatch):
    mark_dropout(monkeypatch)

    def define(w, video):
        parts = [extract(w.under(f"extractors.{x}"), video, x) for x in LETTERS]
        x = np.concatenate([*parts, joined(video)]) * (1 + DROPOUT)
        x = relu(w.linear("last.1", x)) * (1 + DROPOUT)
        x = relu(w.norm("last.5", w.linear("last.4", x))) * (1 + DROPOUT)
        return w.linear("last.8", x)

    assert_equals(randomised(Student(TOY, SCALE, DROPOUT)), batch_of(TOY), define)


@pytest.mark.parametrize("features", [{"audio": 8}, {"rgb": 24}, TOY.features, FOUR])
def test_other_kinds_of_features(features):
    dims = Dims(features, 30, 0)
    student = Student(dims, SCALE).eval()
    assert student(batch_of(dims)).shape == (6, 30)
    if "rgb" not in features:
        assert linear_shapes(student.extractors["c"])[0][0] == 8


def test_features_end_with_the_input():
    student = Student(TOY, SCALE).eval()
    batch = batch_of(TOY)
    assert torch.equal(student.features(batch)[:, -32:], batch.joined)


def test_frozen_extractors_ignore_training_mode_and_gradients():
    student = Student(TOY, SCALE).train()
    assert not any(module.training for module in student.extractors.modules())
    student(batch_of(TOY)).sum().backward()
    assert all(p.grad is None for p in student.extractors.parameters())
    assert all(p.grad is not None for p in student.last.parameters())
    student.freeze(False)
    student.train()(batch_of(TOY)).sum().backward()
    assert all(p.grad is not None for p in student.parameters())


def test_every_list_of_extractors_has_the_same_six():
    assert "".join(LAYOUTS) == LETTERS
    assert sorted(distill_jobs.LETTERS) == sorted(LETTERS)
