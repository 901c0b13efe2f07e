"""Extractors, student, targets and training of the distill stage."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from distill import train
from distill.build import Member, build_member, build_network
from distill.config import DistillConfig, SoftLabels
from distill.extractors import LAYOUTS, Extractor
from distill.student import Student, num_values
from distill.targets import SoftTargets
from yt8m import checkpoint
from yt8m.cli import InputError
from yt8m.config import read_toml, write_snapshot
from yt8m.dataset import Batch, prepared
from yt8m.labels import Labels
from yt8m.predictions import Predictions, sigmoid
from yt8m.settings import Inputs
from yt8m.store import Dims

FULL = Dims(rgb=1024, audio=128, classes=3862, max_frames=0)
TOY = Dims(rgb=24, audio=8, classes=30, max_frames=0)
SCALE = 1 / 64


def linear_shapes(model) -> list[tuple[int, int]]:
    return [(m.in_features, m.out_features) for m in model.modules() if isinstance(m, nn.Linear)]


def batch_of(dims: Dims, size: int = 6) -> Batch:
    generator = torch.Generator().manual_seed(0)
    rgb, audio = (torch.randn(size, w, generator=generator) for w in (dims.rgb, dims.audio))
    return prepared(Inputs(), rgb, audio)


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
        (
            "d",
            [(1024, 1024), (1024, 1024), (128, 256), (256, 256), (1280, 1024)],
            nn.SiLU,
        ),
        ("e", [(1152, 4096), *[(4096, 4096)] * 3, (4096, 2048)], nn.ReLU),
        ("f", [(1152, 2048), *[(2048, 2048)] * 5], nn.ReLU),
    ],
)
def test_extractor_is_as_published(letter, shapes, activation):
    with torch.device("meta"):
        extractor = Extractor(letter, FULL, 1.0)
    assert linear_shapes(extractor) == shapes
    modules = [m for m in extractor.modules() if type(m) not in (Extractor, nn.Sequential)]
    linears = [m for m in modules if isinstance(m, nn.Linear)]
    assert all(m.bias is None for m in linears)
    for kind in (nn.BatchNorm1d, activation):
        assert sum(isinstance(m, kind) for m in modules) == len(linears)
    assert len(modules) == 3 * len(linears)


def test_leaky_slope():
    modules = Extractor("c", TOY, 1).modules()
    assert [m.negative_slope for m in modules if isinstance(m, nn.LeakyReLU)] == [0.2] * 3


@pytest.mark.parametrize("dims", [Dims(0, 8, 30, 0), Dims(24, 0, 30, 0), TOY])
def test_absent_modalities(dims):
    student = Student(dims, SCALE).eval()
    assert student(batch_of(dims)).shape == (6, 30)
    if not dims.rgb:
        assert linear_shapes(student.extractors["c"])[0][0] == 8


def test_features_end_with_the_input():
    student = Student(TOY, SCALE).eval()
    batch = batch_of(TOY)
    assert torch.equal(student.features(batch)[:, -32:], batch.features)


def test_frozen_extractors_ignore_training_mode_and_gradients():
    student = Student(TOY, SCALE).train()
    assert not any(module.training for module in student.extractors.modules())
    student(batch_of(TOY)).sum().backward()
    assert all(p.grad is None for p in student.extractors.parameters())
    assert all(p.grad is not None for p in student.last.parameters())
    student.freeze(False)
    student.train()(batch_of(TOY)).sum().backward()
    assert all(p.grad is not None for p in student.parameters())


@pytest.fixture
def soft_file(tmp_path):
    """Five videos in another order than asked for, six classes, three candidates each."""
    ids = np.array([b"e", b"a", b"d", b"c", b"b"])
    rng = np.random.default_rng(1)
    classes = np.stack([rng.permutation(6)[:3] for _ in ids]).astype(np.uint16)
    logits = np.sort(rng.normal(size=(5, 3)), axis=1)[:, ::-1].astype(np.float16)
    logits[2, 2] = -np.inf  # a video with two candidates
    Predictions(ids, classes, logits).write(tmp_path / "soft.npz")
    return tmp_path / "soft.npz"


@pytest.mark.parametrize("unlabelled", [(), (b"b", b"e")], ids=["", "unlabelled"])
@pytest.mark.parametrize(
    "settings",
    [
        SoftLabels(hard_weight=0.0),
        SoftLabels(hard_weight=0.3, temperature=2.0),
        SoftLabels(hard_weight=1.0),
        SoftLabels(hard_weight=0.4, outside=0.9, candidates=2),
        SoftLabels(how="fill", soft_weight=0.7),
    ],
)
def test_targets_equal_their_definition(soft_file, settings, unlabelled):
    ids = np.array([b"a", b"b", b"x", b"c", b"d", b"e"])  # x: of the holdout, without soft labels
    labels = Labels.from_lists([[0, 1], [], [2], [5], [3, 4, 5], [1]])
    rows = np.array([0, 1, 3, 4, 5])
    soft, more = Predictions.read(soft_file), None
    if unlabelled:
        labels = Labels.from_lists([[0, 1], [], [2], [5], [3, 4, 5], []])
        more = soft_file.with_name("more.npz")
        soft.align(np.array(unlabelled)).write(more)
        soft.align(np.array([b"d", b"c", b"a"])).write(soft_file)
    source = SoftTargets(soft_file, ids, labels, rows, 6, settings, more)
    asked = np.array([4, 0, 5, 1, 3])
    expected = np.zeros((5, 6))
    for i, row in enumerate(asked):
        at = list(soft.ids).index(ids[row])
        pairs = list(zip(soft.classes[at], soft.logits[at], strict=True))
        pairs = [(c, x) for c, x in pairs[: settings.candidates or 3] if np.isfinite(x)]
        hard = set(labels.indices[labels.indptr[row] : labels.indptr[row + 1]])
        for c, logit in pairs:
            p = sigmoid(np.float32(logit) / settings.temperature)
            if ids[row] in unlabelled:
                expected[i, c] = p
            elif settings.how == "fill":
                expected[i, c] = 1 if c in hard else settings.soft_weight * p
            else:
                w = settings.hard_weight
                expected[i, c] = (1 - w) * p + w * (c in hard)
        for c in hard - {c for c, _ in pairs}:
            default = 1 if settings.how == "fill" else settings.hard_weight
            expected[i, c] = default if settings.outside is None else settings.outside
    targets = source(asked)
    assert targets.rows.dtype == targets.classes.dtype == torch.int64
    np.testing.assert_allclose(targets.dense().numpy(), expected, atol=1e-6)


def test_a_video_without_soft_labels_is_an_error(soft_file):
    ids, labels = np.array([b"a", b"x"]), Labels.from_lists([[0], [1]])
    with pytest.raises(InputError, match=r"1 of 2 videos are absent \(first: x\)"):
        SoftTargets(soft_file, ids, labels, np.arange(2), 6, SoftLabels())


@pytest.mark.parametrize("plan", ["demo", "small", "audioset"])
def test_every_plan_builds(plan):
    config = read_toml(Path("distill/configs") / f"{plan}.toml", DistillConfig)
    with torch.device("meta"):
        for kind in ("student", "resnet"):
            build_network([train.member_of(kind, config)], config.inputs, FULL)


def test_unknown_key(tmp_path):
    (tmp_path / "x.toml").write_text("[last_layers]\nepoch = 3\n")
    with pytest.raises(InputError, match=r"x.toml: unknown key 'last_layers.epoch'; allowed: .*lr"):
        read_toml(tmp_path / "x.toml", DistillConfig)


def toy_config(**changes) -> DistillConfig:
    quick = {"epochs": 6, "batch_size": 64, "lr": 3e-3, "precision": "float32"}
    values = {"scale": SCALE, "extractors": quick, "last_layers": quick} | changes
    values.setdefault("resnet", {"model": {"width": 16}, "training": quick})
    return DistillConfig.model_validate(values)


def soft_labels_of(store, splits, path) -> None:
    """Stand-in for the stack: the labels, as sure as can be, among some other classes."""
    rows, rng = splits.training, np.random.default_rng(0)
    noise = rng.normal(-4, 1, (len(rows), store.dims.classes))
    chosen = store.labels.take(rows)
    noise[chosen.rows(), chosen.indices] = 4
    classes = np.argsort(-noise, axis=1)[:, :20]
    logits = np.take_along_axis(noise, classes, 1).astype(np.float16)
    Predictions(store.ids[rows], classes.astype(np.uint16), logits).write(path)


@pytest.fixture(scope="module")
def trained(data_set, tmp_path_factory):
    """A distill folder with every part trained at toy size."""
    root = tmp_path_factory.mktemp("distill")
    train_all(data_set, root, toy_config())
    return root


def train_all(data_set, root, config) -> None:
    data = train.Store(data_set / "store")
    soft_labels_of(data, train.Splits.read(data_set / "folds.npz", data.ids), root / "soft.npz")
    write_snapshot(root / "config.json", config)
    names = {"last": "student", "resnet": "resnet"}
    for part in train.PARTS:
        out = root / names.get(part, f"extractor_{part}")
        run_part(data_set, root, out, part)


def run_part(data_set, root, out, part) -> None:
    train.main(
        root / "config.json",
        data_set / "store",
        data_set / "folds.npz",
        root / "soft.npz",
        out,
        part=part,
    )


def test_parts_write_weights_and_reports(trained):
    for name in (*(f"extractor_{x}" for x in LAYOUTS), "student", "resnet"):
        assert {p.name for p in (trained / name).iterdir()} == {
            "log.jsonl",
            "report.json",
            "weights.safetensors",
        }
        report = json.loads((trained / name / "report.json").read_text())
        assert 0 < report["gap_holdout"] < 1
        assert report["history"][-1]["loss"] < report["history"][0]["loss"]
        assert report["config"]["scale"] == SCALE


def test_last_layers_leave_the_extractors_as_they_were(trained):
    student = load_file(trained / "student" / "weights.safetensors")
    for letter in LAYOUTS:
        path = trained / f"extractor_{letter}" / "weights.safetensors"
        for name, value in load_file(path).items():
            assert torch.equal(student[f"extractors.{letter}.{name}"], value), name


def test_training_again_gives_the_same_bytes(trained, data_set, tmp_path):
    for part, name in (("c", "extractor_c"), ("resnet", "resnet")):
        run_part(data_set, trained, tmp_path / name, part)
        again = (tmp_path / name / "weights.safetensors").read_bytes()
        assert again == (trained / name / "weights.safetensors").read_bytes()


def test_a_killed_run_goes_on_to_the_same_weights(trained, data_set, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", -1.0)
    for letter in LAYOUTS:
        (tmp_path / f"extractor_{letter}").symlink_to(trained / f"extractor_{letter}")
    calls, whole = [], SoftTargets.__call__

    def killed_later(self, rows):
        calls.append(rows)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return whole(self, rows)

    monkeypatch.setattr(SoftTargets, "__call__", killed_later)
    out = tmp_path / "student"
    with pytest.raises(KeyboardInterrupt):
        run_part(data_set, trained, out, "last")
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint.pt", "log.jsonl"]
    run_part(data_set, trained, out, "last")
    again = (out / "weights.safetensors").read_bytes()
    assert again == (trained / "student" / "weights.safetensors").read_bytes()
    assert not (out / "checkpoint.pt").exists()


def test_fine_tuning_moves_the_extractors(trained, data_set, tmp_path):
    quick = {"epochs": 1, "batch_size": 64, "precision": "float32"}
    config = toy_config(fine_tune=quick, last_layers=quick, extractor_videos="split")
    for letter in LAYOUTS:
        (tmp_path / f"extractor_{letter}").symlink_to(trained / f"extractor_{letter}")
    (tmp_path / "soft.npz").symlink_to(trained / "soft.npz")
    write_snapshot(tmp_path / "config.json", config)
    run_part(data_set, tmp_path, tmp_path / "student", "last")
    student = load_file(tmp_path / "student" / "weights.safetensors")
    before = load_file(trained / "extractor_a" / "weights.safetensors")
    assert not torch.equal(student["extractors.a.joint.0.weight"], before["joint.0.weight"])
    report = json.loads((tmp_path / "student" / "report.json").read_text())
    assert len(report["history"]) == 2
    left = [path.name for path in (tmp_path / "student" / train.FINE_TUNE).iterdir()]
    assert left == ["log.jsonl"]


def test_split_videos(splits):
    config = toy_config(extractor_videos="split")
    first, second = (train.rows_of(part, config, splits) for part in ("a", "last"))
    assert not set(first) & set(second)
    assert sorted([*first, *second]) == list(splits.training)
    assert list(train.rows_of("resnet", config, splits)) == list(splits.training)
    assert list(train.rows_of("a", toy_config(), splits)) == list(splits.training)


def test_errors(trained, data_set, tmp_path):
    with pytest.raises(InputError, match="--part g: no such part; allowed: a, b, c"):
        run_part(data_set, trained, tmp_path / "x", "g")
    with pytest.raises(InputError, match="extractor_a/weights.safetensors: no such file; run"):
        run_part(data_set, trained, tmp_path / "student", "last")
    assert not (tmp_path / "student" / "weights.safetensors").exists()
