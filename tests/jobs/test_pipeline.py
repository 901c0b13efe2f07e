"""The whole pipeline, the real Makefile, a small table: killed in each stage, it ends the same.

A table of four kinds of features goes through conversion and `make all` to an export and the
report: frames of rgb and audio, 384 values of a title, and 256 of a transcript that half of the
videos lack. No code knows their names. One run is undisturbed, with a process of its own for every
verb; one is killed with SIGKILL once in every stage and called again. Everything that does not hold
a duration is equal byte by byte.
"""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from kinds import VIDEOS, WIDTHS, as_float, write_table
from make_world import copy_project, planned_without_each

from distill import evaluate, predict
from distill.export import batches
from distill.export.run import Exported
from yt8m.base.files import read_json, remove
from yt8m.data.store import Store

CONFIGS = {
    "first_level/configs/tiny/resnet.toml": "arch = 'resnet'\n[model]\nwidth = 16\n"
    "dropout = 0.0\n[training]\nepochs = 15\nlr = 0.01\nbatch_size = 32\n",
    "first_level/configs/tiny/lstm.toml": "arch = 'lstm'\n[model]\nwidth = 4\nlayers = 1\n"
    "hidden = [8]\n[training]\nepochs = 1\n",
    "stacking/configs/tiny.toml": "candidates = 10\n[booster]\nmax_rounds = 10\n",
    "distill/configs/tiny.toml": "[refit]\nmodels = ['resnet', 'lstm']\n[resnet.model]\n"
    "width = 8\n[resnet.training]\nepochs = 1\n",
}
STAGES = {  # and what each makes: removed before, so that a fast machine has not got past it
    "folds.decode": "store",
    "folds.assign": "folds.safetensors",
    "first_level.train": "first_level/*/fold*",
    "stacking.rows": "stacking/fold*/rows",
    "stacking.train": "stacking/fold*/model.txt",
    "stacking.soft_labels": "stacking/soft_labels.safetensors",
    "distill.train": "distill/*/weights.safetensors",
    "distill.export.write": "export",
    "distill.export.evaluate": "evaluation.json",
    "report.page": "report.html",
}
TIMED = {".make.lock", "report.json", "training.json", "train.json", "rows.json", "summary.json"}
TIMED |= {"log.jsonl", "table.txt", "report.html", "jobs.json", "jobs.mk", "looked.json"}


# Written by the planner itself, whenever they are gone.
PLANNERS = {"jobs.mk", "jobs.json", "given.json", "looked.json", "checked.json", "config.json"}
PLANNERS |= {".make.lock", "models.txt", "members.txt", "student.json", "resnet.json", "refit.json"}


# The first fold's jobs and those without a fold are processes; to fork the others saves minutes.
PYTHON = f"""#!/bin/sh
case " $* " in *" --fold "[1-4]*) exec ./forked "$@";; esac
exec {sys.executable} "$@"
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory, forked):
    """A copy of the project with the plan `tiny`, and records of four kinds of features."""
    tree = copy_project(tmp_path_factory.mktemp("pipeline"))
    (tree / "python").write_text(PYTHON)
    (tree / "python").chmod(0o755)
    forked.write(tree / "forked")
    for name, text in CONFIGS.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    write_table(tree)
    command = [sys.executable, "-m", "yt8m.convert", "records", "--table", "videos.parquet"]
    command += [f"--feature={kind}={kind}" for kind in WIDTHS]
    subprocess.run([*command, "--labels", "labels.csv"], cwd=tree, check=True, capture_output=True)
    return tree


def _start(tree, artifacts, python="./forked") -> subprocess.Popen:
    command = ["make", "all", "PLAN=tiny", "DATA=records", f"ARTIFACTS={artifacts}"]
    command += [f"PYTHON={python}", "HOLDOUT=0.2"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    return subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _finish(make: subprocess.Popen) -> str:
    printed, _ = make.communicate(timeout=600)
    assert make.returncode == 0, printed[-3000:]
    return printed


def _contents(run: Path) -> dict[str, str]:
    paths = [path for path in run.rglob("*") if path.is_file() and path.name not in TIMED]
    paths = [path for path in paths if "receipts" not in path.parts]
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


@pytest.fixture(scope="module")
def undisturbed(tree):
    """The folder of a run from beginning to end, and what it printed."""
    return tree / "a" / "tiny", _finish(_start(tree, "a", "./python"))


def _kill_during(tree, stage: str, whole_group: bool) -> bool:
    """Kills make while a job of `stage` runs; whether one was seen."""
    for made in (tree / "b" / "tiny").glob(STAGES[stage]):
        remove(made)
    make = _start(tree, "b")
    with make:
        for line in make.stdout:  # make prints each command before it starts it
            if f"-m {stage}" in line:
                time.sleep(0.1)
                kill = os.killpg if whole_group else os.kill
                kill(make.pid, signal.SIGKILL)
                return make.wait() == -signal.SIGKILL
    return False


def test_killed_in_every_stage_it_ends_with_the_same_bytes(tree, undisturbed):
    killed = [_kill_during(tree, stage, number % 2 == 0) for number, stage in enumerate(STAGES)]
    assert all(killed), dict(zip(STAGES, killed, strict=True))
    _finish(_start(tree, "b"))
    assert _contents(tree / "b" / "tiny") == _contents(undisturbed[0])


def test_the_table_names_every_system(undisturbed):
    for system in ("resnet", "lstm", "stack", "refitted lstm", "export"):
        assert f"| {system}" in undisturbed[1]
    assert "Traceback" not in undisturbed[1]


def test_a_second_call_runs_no_job(tree, undisturbed):
    assert "-m first_level.train" not in _finish(_start(tree, "a"))


def test_the_export_predicts_records_and_scores_as_the_run_said(tree, undisturbed, capsys):
    run = undisturbed[0]
    predict.main(run / "export", [tree / "records"], tree / "out.csv")
    assert len((tree / "out.csv").read_text().splitlines()) == 1 + VIDEOS
    evaluate.main(tree / "out.csv", [tree / "records"])
    assert '"gap20"' in capsys.readouterr().out.splitlines()[-1]
    assert 0 < read_json(run / "evaluation.json")["gap20"] < 1


def test_the_store_has_all_kinds(tree, undisturbed):
    store = Store(tree / "a/tiny/store")
    assert store.dims.features == WIDTHS
    assert store.dims.frameless == ("title", "transcript")
    video, rows = store.video(np.arange(VIDEOS)), np.arange(VIDEOS)
    absent = ~video["transcript"].any(1)
    assert sorted(store.ids[absent]) == [b"v%03d" % i for i in rows if i % 2]
    assert list(store.frames(rows[:3])[0]) == ["rgb", "audio"]


def test_each_model_sees_the_kinds_that_its_level_has(tree, undisturbed):
    from safetensors.numpy import load_file

    run = tree / "a/tiny/first_level"
    weights = {name: load_file(run / name / "fold0/weights.safetensors")
               for name in ("resnet", "lstm")}  # fmt: skip
    towers = {name.split(".")[1] for name in weights["resnet"] if name.startswith("towers")}
    assert towers == {f"of_{kind}" for kind in WIDTHS}
    inputs = weights["lstm"]["layers.0.nets.0.weight_ih_l0"].shape[1]
    assert inputs == 16 + 8 + 1, "frames of rgb and audio, and where padding is"
    gaps = [read_json(run / "resnet" / f"fold{k}/report.json")["gap_fold"] for k in range(5)]
    assert np.mean(gaps) > 0.5, "titles tell the classes"


def test_the_stack_knows_the_norms_of_all_kinds(tree, undisturbed):
    columns = read_json(tree / "a/tiny/export/model.json")["reranker"]["columns"]
    assert [name for name in columns if name.endswith("_norm")] == [f"{k}_norm" for k in WIDTHS]


def test_the_export_takes_each_kind_by_its_name(tree, undisturbed):
    folder, store = tree / "a/tiny/export", Store(tree / "a/tiny/store")
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
        by_graph.logits(batch.features, batch.lengths),
        by_torch.logits(batch.features, batch.lengths),
        atol=1e-3 / len(about["members"]),  # as strict as for each alone
    )
    assert (np.diff(scores, axis=1) <= 0).all()


def test_the_report_names_all_kinds(tree, undisturbed):
    page = (tree / "a/tiny/report.html").read_text()
    assert "rgb 16, audio 8, title 384, transcript 256" in page
    assert read_json(tree / "a/tiny/evaluation.json")["gap20"] > 0.3


def test_each_file_that_is_deleted_plans_its_job_and_what_needs_it(tree, undisturbed):
    found, jobs = planned_without_each(tree, "a")
    makers = {}
    for name in jobs:
        receipt = tree / "a/tiny/receipts" / f"{name}.json"
        if receipt.exists():
            makers[f"a/tiny/receipts/{name}.json"] = name
            for text in read_json(receipt)["outputs"]:
                makers[text.replace("@run", "a/tiny").replace("@store", "a/tiny/store")] = name
    planners = {path for path, jobs_of in found.items() if not jobs_of}
    assert {path.rsplit("/", 1)[1] for path in planners} <= PLANNERS, "all others are outputs"
    assert makers.keys() == found.keys() - planners
    for path, name in makers.items():
        wanted = {name}
        for other, job in jobs.items():  # in order
            wanted |= {other} if other in found[path] and wanted & set(job["needs"]) else set()
        assert set(found[path]) == wanted, path
    assert len(makers) > 150


LOST = (
    "first_level/lstm/fold3/weights.safetensors",
    "first_level/resnet/fold3/training.json",
    "stacking/fold2/rows/labels.npy",
    "stacking/fold4/train.json",
    "stacking/holdout/stack.safetensors",
    "stacking/soft_labels.safetensors",
    "distill/refit/lstm/copy0/report.json",
    "distill/reranker/network/weights.safetensors",
    "export/model.onnx",
    "evaluation_predictions.safetensors",
)


def test_what_was_deleted_is_made_again_with_the_same_bytes(tree, undisturbed):
    run = undisturbed[0]
    before = _contents(run)
    for pattern in LOST:
        [path] = run.glob(pattern)
        path.unlink()
    _finish(_start(tree, "a"))
    assert _contents(run) == before
