"""The export of students: its folder, its forms, what is refused."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import torch
from export_world import run_export
from kinds import as_tensors, named
from rounded_inputs import rounded_inputs
from safetensors.torch import load_file
from scipy.special import expit

from distill.config import DistillConfig, member_of
from distill.export import parity
from distill.export.run import Exported
from first_level.bundle.network import build_network
from first_level.bundle.sums import state_sums
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot, write_snapshot
from yt8m.base.files import read_json, write_json
from yt8m.data.store import Store


def float_network(root, kinds=("student",)):
    manifest = Exported(root / "out").manifest
    config = DistillConfig.model_validate_json((root / "config.json").read_text())
    members = [member_of(kind, config) for kind in kinds]
    network = build_network(members, manifest.inputs, manifest.dims)
    for kind, member in zip(kinds, network.members, strict=True):
        member.load_state_dict(load_file(root / kind / "weights.safetensors"))
    return network


def test_the_folder(students, data_set):
    folder, data = students / "out", Store(data_set / "store")
    names = {"model.json", "model.onnx", "model.safetensors", "README.md", "compression.json"}
    names |= {"predict.py", "trained_on.safetensors"}
    assert {p.name for p in folder.iterdir()} == names | {"SHA256SUMS"}
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    assert set((folder / "SHA256SUMS").read_text().split()[1::2]) == names
    readme = (folder / "README.md").read_text()
    assert "inputs `rgb` (N, 24) and `audio` (N, 8)" in readme
    assert "$" not in readme
    weights = load_file(folder / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    manifest = json.loads((folder / "model.json").read_text())
    assert manifest["class_names"] == list(data.class_names)
    assert manifest["classes"] == 30
    widths = [(kind["name"], kind["width"], kind["frames"]) for kind in manifest["features"]]
    assert widths == [("rgb", 24, False), ("audio", 8, False)]
    assert sum(value.numel() for value in weights.values()) == manifest["values"]
    assert (folder / "model.onnx").stat().st_size < 2 * manifest["values"] + 100_000


def test_export_equals_the_student(students, videos):
    _, rgb, audio = videos
    found = expit(Exported(students / "out").logits(named(rgb, audio)))
    with torch.no_grad():
        truth = float_network(students)(as_tensors(named(rgb, audio))).sigmoid()
    assert np.abs(found - truth.numpy()).max() < 5e-3


@pytest.mark.parametrize("size", [1, 7])
def test_onnx_equals_torch(students, videos, size):
    features = named(videos[1][:size], videos[2][:size])
    found = Exported(students / "out", "onnx").logits(features)
    np.testing.assert_allclose(found, Exported(students / "out").logits(features), atol=1e-4)


def test_both_students_are_averaged(students, data_set, videos, tmp_path):
    run_export(students, data_set, tmp_path / "both", name="both", onnx=False, dtype="float32")
    features = named(videos[1][:9], videos[2][:9])
    with torch.no_grad():
        each = [float_network(students, (kind,)) for kind in ("student", "resnet")]
        logits = [network(as_tensors(features)) for network in each]
    found = Exported(tmp_path / "both").logits(features)
    torch.testing.assert_close(torch.from_numpy(found), (logits[0] + logits[1]) / 2)


def test_a_plan_may_say_how_weights_are_stored(students, data_set, tmp_path):
    settings = read_snapshot(students / "config.json", DistillConfig)
    write_snapshot(tmp_path / "config.json", settings.model_copy(update={"dtype": "int8"}))
    for given, kept in (("", "int8"), ("float16", "float16")):
        out, config = tmp_path / kept, tmp_path / "config.json"
        run_export(students, data_set, out, config=config, dtype=given, onnx=False)
        assert Exported(out).manifest.dtype == kept


def test_eight_bits(students, data_set, videos, tmp_path):
    run_export(students, data_set, tmp_path / "small", dtype="int8")
    stored = load_file(tmp_path / "small" / "model.safetensors")
    trained = float_network(students).state_dict()
    matrices = [name for name, value in trained.items() if value.ndim == 2]
    assert matrices
    for name in matrices:
        step = trained[name].abs().amax(1) / 127
        off = (stored[name].float() * stored[name + ".step"][:, None] - trained[name]).abs()
        assert stored[name].dtype == torch.int8
        assert (off <= step[:, None] * 0.5001).all(), "rounded to the nearest unit of its row"
    features = named(videos[1][:50], videos[2][:50])
    by_torch = Exported(tmp_path / "small", "torch")
    found = by_torch.logits(features)
    whole = Exported(students / "out").logits(features)
    assert np.abs(expit(found) - expit(whole)).max() < 0.05
    by_graph = Exported(tmp_path / "small", "onnx").logits(features)
    assert np.abs(expit(by_graph) - expit(whole)).max() < 0.05
    with rounded_inputs(by_torch.network):
        np.testing.assert_allclose(by_graph, by_torch.logits(features), atol=1e-4)
    for file in ("model.safetensors", "model.onnx"):
        sizes = [
            (folder / file).stat().st_size for folder in (tmp_path / "small", students / "out")
        ]
        assert sizes[0] < 0.75 * sizes[1], (file, sizes, "small matrices have many steps")


def test_moved_export_loads(students, videos, tmp_path):
    shutil.copytree(students / "out", tmp_path / "elsewhere")
    classes, scores = Exported(tmp_path / "elsewhere").top(named(videos[1][:3], videos[2][:3]))
    assert classes.shape == scores.shape == (3, 20)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_over_budget_leaves_nothing(students, data_set, tmp_path):
    with pytest.raises(
        InputError, match=r"x: the export takes 0\.\d MB, over the budget of 0\.1 MB; raise"
    ):
        run_export(students, data_set, tmp_path / "x", budget_mb=0.1)
    assert not list(tmp_path.iterdir())


def test_a_failed_parity_check_leaves_the_old_export(students, data_set, monkeypatch):
    before = (students / "out" / "model.safetensors").stat().st_mtime_ns
    monkeypatch.setitem(parity.TOLERANCE, "float16", 0.0)
    with pytest.raises(AssertionError, match="model.safetensors: scores within"):
        run_export(students, data_set, students / "out", onnx=False)
    assert (students / "out" / "model.safetensors").stat().st_mtime_ns == before
    assert not (students / "out.tmp").exists()


def test_export_errors(students, data_set, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="mine: already exists and is not an export"):
        run_export(students, data_set, tmp_path / "mine")
    with pytest.raises(InputError, match="--name best: not a student; allowed: student, resnet"):
        run_export(students, data_set, tmp_path / "x", name="best")
    with pytest.raises(InputError, match="--dtype int4: not supported; allowed: float16"):
        run_export(students, data_set, tmp_path / "x", dtype="int4")
    with pytest.raises(InputError, match="not an export"):
        Exported(tmp_path)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_damaged_or_foreign_networks(students, tmp_path, runtime):
    name = {"torch": "model.safetensors", "onnx": "model.onnx"}[runtime]
    unloaded = "cannot be loaded .*; export again"
    unfit = {"torch": "does not fit model.json", "onnx": unloaded}[runtime]
    other = {"torch": unfit, "onnx": "gives 30 classes, but model.json has 31"}[runtime]
    shutil.copytree(students / "out", tmp_path / "out")
    path = tmp_path / "out" / name
    whole = path.read_bytes()
    path.write_bytes(whole[:-99])
    with pytest.raises(InputError, match=f"{name}: is not as SHA256SUMS says; copy the export"):
        Exported(tmp_path / "out", runtime)
    state_sums(tmp_path / "out")
    with pytest.raises(InputError, match=f"{name}: {unfit}"):
        Exported(tmp_path / "out", runtime)
    shutil.copytree(students / "out", tmp_path / "wider")
    manifest = read_json(tmp_path / "wider" / "model.json")
    write_json(
        tmp_path / "wider" / "model.json",
        manifest | {"classes": 31, "class_names": ["x"] * 31, "thresholds": []},
    )
    state_sums(tmp_path / "wider")
    with pytest.raises(InputError, match=f"{name}: {other}"):
        Exported(tmp_path / "wider", runtime)
