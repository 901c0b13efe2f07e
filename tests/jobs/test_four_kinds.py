"""A third and a fourth kind of features, from a parquet table through `make all` to the report.

Frames of rgb and audio, 384 values of a title, and 256 of a transcript that half of the videos
lack. No code knows their names.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from kinds import as_float

from distill import predict
from distill.export import batches
from distill.export.run import Exported
from yt8m.base.files import read_json
from yt8m.data.store import Store

ROOT = Path(__file__).parents[2]
WIDTHS = {"rgb": 16, "audio": 8, "title": 384, "transcript": 256}
VIDEOS, CLASSES = 240, 20
CONFIGS = {
    "first_level/configs/four/resnet.toml": "arch = 'resnet'\n[model]\nwidth = 16\n"
    "dropout = 0.0\n[training]\nepochs = 15\nlr = 0.01\nbatch_size = 32\n",
    "first_level/configs/four/lstm.toml": "arch = 'lstm'\n[model]\nwidth = 4\nlayers = 1\n"
    "hidden = [8]\n[training]\nepochs = 1\n",
    "stacking/configs/four.toml": "candidates = 10\n[booster]\nmax_rounds = 10\n",
    "distill/configs/four.toml": "[refit]\nmodels = ['resnet', 'lstm']\n[resnet.model]\n"
    "width = 8\n[resnet.training]\nepochs = 1\n",
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project with the plan `four`, and what `make all` made of a table."""
    tree = tmp_path_factory.mktemp("four")
    for package in ("yt8m", "folds", "first_level", "stacking", "distill", "jobs", "report"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tree / package, ignore=ignored)
    shutil.copy(ROOT / "Makefile", tree)
    for name, text in CONFIGS.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    _write_table(tree)
    names = [f"--feature={kind}={kind}" for kind in WIDTHS]
    _run(tree, sys.executable, "-m", "yt8m.convert", "records", "--table", "videos.parquet",
         *names, "--labels", "labels.csv")  # fmt: skip
    settings = ["PLAN=four", "DATA=records", "HOLDOUT=0.2", f"PYTHON={sys.executable}"]
    _run(tree, "make", "-j2", "all", *settings)
    return tree


def _run(tree: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def _write_table(tree: Path) -> None:
    """videos.parquet, whose titles tell a video's two classes, and labels.csv."""
    rng = np.random.default_rng(0)
    classes = [rng.choice(CLASSES, 2, replace=False) for _ in range(VIDEOS)]
    looks = {kind: rng.normal(0, 1, (CLASSES, width)) for kind, width in WIDTHS.items()}
    columns = {"id": [f"v{i:03d}" for i in range(VIDEOS)]}
    for kind, width in WIDTHS.items():
        columns[kind] = []
        for number, own in enumerate(classes):
            seconds = 2 + number % 5
            shape = (width,) if kind in ("title", "transcript") else (seconds, width)
            clear = 0.1 if kind == "title" else 1.0
            values = looks[kind][own].mean(0) + rng.normal(0, clear, shape)
            absent = kind == "transcript" and number % 2
            columns[kind].append(None if absent else values.clip(-2, 2).tolist())
    pyarrow.parquet.write_table(pyarrow.table(columns), tree / "videos.parquet")
    lines = [f"v{i:03d},{' '.join(map(str, own))}" for i, own in enumerate(classes)]
    (tree / "labels.csv").write_text("\n".join(["id,labels", *lines]) + "\n")


def test_the_store_has_all_kinds(tree):
    store = Store(tree / "artifacts/four/store")
    assert store.dims.features == WIDTHS
    assert store.dims.frameless == ("title", "transcript")
    video, rows = store.video(np.arange(VIDEOS)), np.arange(VIDEOS)
    absent = ~video["transcript"].any(1)
    assert sorted(store.ids[absent]) == [b"v%03d" % i for i in rows if i % 2]
    assert list(store.frames(rows[:3])[0]) == ["rgb", "audio"]


def test_each_model_sees_the_kinds_that_its_level_has(tree):
    from safetensors.numpy import load_file

    run = tree / "artifacts/four/first_level"
    weights = {name: load_file(run / name / "fold0/weights.safetensors")
               for name in ("resnet", "lstm")}  # fmt: skip
    towers = {name.split(".")[1] for name in weights["resnet"] if name.startswith("towers")}
    assert towers == {f"of_{kind}" for kind in WIDTHS}
    inputs = weights["lstm"]["layers.0.nets.0.weight_ih_l0"].shape[1]
    assert inputs == 16 + 8 + 1, "frames of rgb and audio, and where padding is"
    gaps = [read_json(run / "resnet" / f"fold{k}/report.json")["gap_fold"] for k in range(5)]
    assert np.mean(gaps) > 0.5, "titles tell the classes"


def test_the_stack_knows_the_norms_of_all_kinds(tree):
    columns = read_json(tree / "artifacts/four/distill/reranker/reranker.json")["columns"]
    assert [name for name in columns if name.endswith("_norm")] == [f"{k}_norm" for k in WIDTHS]


def test_the_export_takes_each_kind_by_its_name(tree):
    folder, store = tree / "artifacts/four/export", Store(tree / "artifacts/four/store")
    about = read_json(folder / "model.json")
    kinds = [(kind["name"], kind["width"], kind["frames"]) for kind in about["features"]]
    assert kinds == [(k, w, k in ("rgb", "audio")) for k, w in WIDTHS.items()]
    readme = (folder / "README.md").read_text()
    assert "`audio` (N, T, 8), `title` (N, 384), `transcript` (N, 256) and `lengths`" in readme
    by_graph, by_torch = (Exported(folder, runtime) for runtime in ("onnx", "torch"))
    (batch,) = batches.of_store(store, np.arange(40), by_graph.manifest.dims)
    found, scores = by_graph.top(as_float(batch.features), 5, batch.lengths)
    assert found.shape == (40, 5)
    np.testing.assert_allclose(
        by_graph.of_models(batch.features, batch.lengths),
        by_torch.of_models(batch.features, batch.lengths),
        atol=1e-3,
    )
    assert (np.diff(scores, axis=1) <= 0).all()


def test_the_export_predicts_the_records(tree):
    predict.main(tree / "artifacts/four/export", [tree / "records"], tree / "out.csv")
    lines = (tree / "out.csv").read_text().splitlines()
    assert len(lines) == 1 + VIDEOS


def test_the_report_names_all_kinds(tree):
    page = (tree / "artifacts/four/report.html").read_text()
    assert "rgb 16, audio 8, title 384, transcript 256" in page
    assert read_json(tree / "artifacts/four/evaluation.json")["gap20"] > 0.3
