"""Files of other people: nothing is unpickled, and an export reads nothing outside its folder."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from crc32c import crc32c
from onnx import TensorProto, helper

from distill.export.graph import session_of
from distill.export.run import Exported
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json
from yt8m.training.checkpoint import LAST_LINE, TrainingRun
from yt8m.training.settings import Training
from yt8m.training.weights import load_weights

ROOT = Path(__file__).parents[2]
CODE = [path for path in ROOT.glob("*/**/*.py") if path.relative_to(ROOT).parts[0] != "tests"]
CODE = [path for path in CODE if not path.relative_to(ROOT).parts[0].startswith(".")]
UNPICKLES = r"import (pickle|yaml)\b|\b(pickle|joblib)\.load|allow_pickle=True"


def test_no_code_unpickles_a_file():
    assert len(CODE) > 100
    for path in CODE:
        text = path.read_text(encoding="utf-8")
        assert not re.search(UNPICKLES, text), path
        for call in re.findall(r"torch\.load\((.*)\)", text):
            assert "weights_only=True" in call, path


class Trap:
    """What pickle would run on reading it."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_pickled_weights_are_refused_unread(tmp_path):
    torch.save({"weight": Trap(tmp_path / "run")}, tmp_path / "weights.safetensors")
    with pytest.raises(InputError, match="weights.safetensors: cannot be read"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "weights.safetensors")
    assert not (tmp_path / "run").exists()


def test_a_pickled_checkpoint_is_not_read_either(tmp_path, capsys):
    path = tmp_path / "checkpoint.pt"
    torch.save({"epoch": Trap(tmp_path / "run")}, path)
    path.write_bytes(path.read_bytes() + LAST_LINE % crc32c(path.read_bytes()))
    parts = torch.nn.Linear(2, 2), torch.nn.Module(), Training(), torch.device("cpu")
    TrainingRun(*parts, tmp_path, "mine", "")
    assert re.search(r"\[mine\] warning: .*Weights only load.*anew", capsys.readouterr().out)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["model.json", "model.safetensors", "model.onnx"])
def test_an_export_has_no_links_out_of_its_folder(students, tmp_path, name):
    shutil.copytree(students / "out", tmp_path / "out")
    (tmp_path / "out" / name).rename(tmp_path / name)
    (tmp_path / "out" / name).symlink_to(tmp_path / name)
    with pytest.raises(InputError, match=f"{name}: is a link out of the export; copy the file"):
        Exported(tmp_path / "out")
    (tmp_path / "link").symlink_to(students / "out")
    Exported(tmp_path / "link", "onnx")  # of the folder itself


def test_no_member_of_an_export_names_files(students, tmp_path):
    shutil.copytree(students / "out", tmp_path / "out")
    (tmp_path / "out" / "SHA256SUMS").unlink()
    manifest = read_json(tmp_path / "out" / "model.json")
    for arch, text in (
        ("exported", "arch 'exported' reads files outside the export"),
        ("../../secret", "arch '../../secret' is not in first_level/models"),
    ):
        refit = {"arch": arch, "start": {"weights": "../secret"}}
        manifest["members"] = [{"kind": "refit", "name": "x", "refit": refit}]
        write_json(tmp_path / "out" / "model.json", manifest)
        with pytest.raises(InputError, match=text):
            Exported(tmp_path / "out", "torch")


def graph_with_weights_in(location: str) -> bytes:
    """An ONNX graph, one of whose weights is in another file."""
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "16")):
        weight.external_data.add(key=key, value=value)
    inputs, outputs = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]) for name in ("x", "y")
    )
    node = helper.make_node("Add", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [inputs], [outputs], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return model.SerializeToString()


def test_a_graph_reads_no_file_outside_its_folder(tmp_path):
    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret.bin")
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    (folder / "own.bin").write_bytes((tmp_path / "secret.bin").read_bytes())
    for location in ("../secret.bin", str(tmp_path / "secret.bin"), "link.bin"):
        (folder / "model.onnx").write_bytes(graph_with_weights_in(location))
        with pytest.raises(InputError, match="model.onnx: cannot be loaded") as error:
            session_of(folder / "model.onnx", 1)
        assert "\n" not in str(error.value)
    (folder / "model.onnx").write_bytes(graph_with_weights_in("own.bin"))
    session_of(folder / "model.onnx", 1)
