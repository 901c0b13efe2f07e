"""predict.py of an export folder: it needs numpy and onnxruntime, and nothing of this project."""

import csv
import shutil
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from export_world import write_video_records
from kinds import named

from distill.export.run import Exported
from yt8m.base.files import read_json

NOTHING_ELSE = """
import runpy, sys
own = sys.argv.pop(1)
class Refuse:
    def find_spec(self, name, path=None, target=None):
        ours = "yt8m folds first_level stacking distill".split()
        if name.partition(".")[0] in [*ours, "torch", "scipy", "pydantic", "pandas", "tfrecord"]:
            raise ImportError(name)
sys.meta_path.insert(0, Refuse())
sys.argv[0] = own
runpy.run_path(own, run_name="__main__")
"""


@pytest.fixture
def alone(students):
    spec = spec_from_file_location("predict", students / "out" / "predict.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def lines_of(path) -> list[dict]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def run_main(alone, monkeypatch, *arguments) -> None:
    monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, arguments)])
    alone.main()


def test_without_this_project(students, videos, tmp_path):
    ids, rgb, audio = videos
    np.savez(tmp_path / "features.npz", rgb=rgb[:700], audio=audio[:700], ids=np.array(ids[:700]))
    file, out = students / "out" / "predict.py", tmp_path / "labels.csv"
    command = [sys.executable, "-I", "-c", NOTHING_ELSE, file, tmp_path / "features.npz", out]
    subprocess.run(command, check=True, cwd=tmp_path)
    found, exported = lines_of(out), Exported(students / "out")
    classes, scores = exported.top(named(rgb[:700], audio[:700]))
    assert [line["id"] for line in found[::20]] == list(ids[: len(rgb[:700])])
    np.testing.assert_array_equal([int(line["class"]) for line in found], classes.ravel())
    np.testing.assert_allclose([float(x["score"]) for x in found], scores.ravel(), rtol=1e-3)
    names, limits = exported.manifest.class_names, np.array(exported.manifest.thresholds)
    assert [line["name"] for line in found] == [names[c] for c in classes.ravel()]
    said = [line["yes"] == "1" for line in found]
    np.testing.assert_array_equal(said, (scores >= limits[classes]).ravel())
    assert 0 < sum(said) < len(said)


def test_every_form_of_input_gives_the_same(students, alone, videos, tmp_path, monkeypatch):
    ids, rgb, audio = (part[:30] for part in videos)
    np.save(tmp_path / "rgb.npy", rgb)
    np.save(tmp_path / "audio.npy", audio)
    (tmp_path / "ids.txt").write_text("".join(f"{one}\n" for one in ids))
    columns = {"id": list(ids), "rgb": rgb.tolist(), "audio": audio.tolist(), "more": list(ids)}
    pyarrow.parquet.write_table(pyarrow.table(columns), tmp_path / "clips.parquet")
    write_video_records(tmp_path / "own.tfrecord", ids, rgb, audio)
    arrays = [f"{kind}={tmp_path / kind}.npy" for kind in ("rgb", "audio")]
    forms = ([*arrays, "--ids", tmp_path / "ids.txt"], [tmp_path / "clips.parquet"])
    found = []
    for number, form in enumerate([*forms, [tmp_path / "own.tfrecord"]]):
        out = tmp_path / f"{number}.csv"
        inputs, options = [x for x in form if x not in form[2:]], form[2:]
        run_main(alone, monkeypatch, *inputs, out, *options, "--top", 3)
        found.append(out.read_text())
    assert found[0] == found[1] == found[2]
    assert found[0].count("\n") == 1 + 3 * 30


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rgb": None}, r"rgb: absent; the model takes rgb \(24 values\), audio \(8 values\)"),
        ({"text": np.zeros((9, 3))}, "text: the model does not take it"),
        ({"rgb": np.zeros((9, 3))}, r"rgb: of shape \(9, 3\), not \(N, 24\)"),
        ({"rgb": np.zeros((8, 24))}, "as many items of each kind"),
        (
            {"audio": np.full((9, 8), 1e39)},
            "audio: item 0 has a value that is not finite or beyond",
        ),
        ({"audio": np.full((9, 8), 65520.0)}, "audio: item 0 has a value that is not finite"),
        ({"ids": np.array(["a"])}, "1 ids of 9 items"),
    ],
)
def test_what_does_not_fit_is_one_line(alone, videos, tmp_path, monkeypatch, change, message):
    given = {"rgb": videos[1][:9], "audio": videos[2][:9]} | change
    np.savez(tmp_path / "in.npz", **{name: x for name, x in given.items() if x is not None})
    with np.errstate(over="ignore"), pytest.raises(SystemExit, match=message):
        run_main(alone, monkeypatch, tmp_path / "in.npz", tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.npz"]


def test_a_flipped_byte_of_the_graph_is_found(students, alone, tmp_path):
    shutil.copytree(students / "out", tmp_path / "copy")
    alone.Model(tmp_path / "copy")
    graph = tmp_path / "copy" / "model.onnx"
    data = bytearray(graph.read_bytes())
    data[len(data) // 2] ^= 1
    graph.write_bytes(data)
    with pytest.raises(ValueError, match="model.onnx: is not as SHA256SUMS says"):
        alone.Model(tmp_path / "copy")


def test_only_an_older_result_is_replaced(alone, videos, tmp_path, monkeypatch):
    np.savez(tmp_path / "in.npz", rgb=videos[1][:9], audio=videos[2][:9])
    for _ in range(2):
        run_main(alone, monkeypatch, tmp_path / "in.npz", tmp_path / "out.csv")
    with pytest.raises(SystemExit, match="exists and is no older result"):
        run_main(alone, monkeypatch, tmp_path / "in.npz", tmp_path / "in.npz")


def test_the_readme_says_what_a_threshold_gives(students):
    readme = (students / "out" / "README.md").read_text()
    expected = read_json(students / "out" / "model.json")["expected"]
    assert f"Then {expected['precision']:.0%} of what" in readme
    assert f"and {expected['recall']:.0%} of the labels" in readme
    assert readme.startswith("---\nlibrary_name: onnx\n")
