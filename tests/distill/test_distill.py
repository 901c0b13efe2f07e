"""Training of the distill stage: the parts, killed and again."""

import json
from pathlib import Path

import pytest
import torch
from distill_world import FULL, SCALE, soft_labels_of, toy_config
from safetensors.torch import load_file

from distill import train
from distill.config import DistillConfig, member_of
from distill.job import rows_of
from distill.targets import SoftTargets
from first_level.bundle.network import build_network
from yt8m.base.cli import InputError
from yt8m.base.config import read_toml, write_snapshot
from yt8m.base.paths import FINE_TUNE
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.networks.extractors import LAYOUTS
from yt8m.training import checkpoint


@pytest.mark.parametrize("plan", ["demo", "small", "audioset"])
def test_every_plan_builds(plan):
    config = read_toml(Path("distill/configs") / f"{plan}.toml", DistillConfig)
    with torch.device("meta"):
        for kind in ("student", "resnet"):
            build_network([member_of(kind, config)], config.inputs, FULL)


def test_unknown_key(tmp_path):
    (tmp_path / "x.toml").write_text("[last_layers]\nepoch = 3\n")
    with pytest.raises(InputError, match=r"x.toml: unknown key 'last_layers.epoch'; allowed: .*lr"):
        read_toml(tmp_path / "x.toml", DistillConfig)


@pytest.fixture(scope="module")
def trained(data_set, tmp_path_factory):
    """A distill folder with every part trained at toy size."""
    root = tmp_path_factory.mktemp("distill")
    train_all(data_set, root, toy_config())
    return root


def train_all(data_set, root, config) -> None:
    data = Store(data_set / "store")
    soft_labels_of(
        data, Splits.read(data_set / "folds.safetensors", data.ids), root / "soft.safetensors"
    )
    write_snapshot(root / "config.json", config)
    names = {"last": "student", "resnet": "resnet"}
    for part in train.PARTS:
        out = root / names.get(part, f"extractor_{part}")
        run_part(data_set, root, out, part)


def run_part(data_set, root, out, part) -> None:
    train.main(
        root / "config.json",
        data_set / "store",
        data_set / "folds.safetensors",
        root / "soft.safetensors",
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
    (tmp_path / "soft.safetensors").symlink_to(trained / "soft.safetensors")
    write_snapshot(tmp_path / "config.json", config)
    run_part(data_set, tmp_path, tmp_path / "student", "last")
    student = load_file(tmp_path / "student" / "weights.safetensors")
    before = load_file(trained / "extractor_a" / "weights.safetensors")
    assert not torch.equal(student["extractors.a.joint.0.weight"], before["joint.0.weight"])
    report = json.loads((tmp_path / "student" / "report.json").read_text())
    assert len(report["history"]) == 2
    left = [path.name for path in (tmp_path / "student" / FINE_TUNE).iterdir()]
    assert left == ["log.jsonl"]


def test_split_videos(splits):
    config = toy_config(extractor_videos="split")
    first, second = (rows_of(part, config, splits) for part in ("a", "last"))
    assert not set(first) & set(second)
    assert sorted([*first, *second]) == list(splits.training)
    assert list(rows_of("resnet", config, splits)) == list(splits.training)
    assert list(rows_of("a", toy_config(), splits)) == list(splits.training)


def test_errors(trained, data_set, tmp_path):
    with pytest.raises(InputError, match="--part g: no such part; allowed: a, b, c"):
        run_part(data_set, trained, tmp_path / "x", "g")
    with pytest.raises(InputError, match="extractor_a/weights.safetensors: no such file; run"):
        run_part(data_set, trained, tmp_path / "student", "last")
    assert not (tmp_path / "student" / "weights.safetensors").exists()
