"""The whole pipeline, the real Makefile, tiny records: killed in each stage, it ends the same.

Two runs over the same records: one undisturbed, one whose make is killed with SIGKILL once in every
stage and called again. Everything that does not hold a duration must be equal byte by byte.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distill import evaluate, predict
from yt8m.base.files import read_json, remove
from yt8m.records import synthetic

ROOT = Path(__file__).parents[2]
CONFIGS = {
    "first_level/configs/tiny/linear.toml": "arch = 'linear'\n[training]\nepochs = 3\nlr = 0.02\n",
    "first_level/configs/tiny/lstm.toml": "arch = 'lstm'\n[model]\nwidth = 4\nlayers = 1\n"
    "hidden = [8]\n[training]\nepochs = 2\n",
    "stacking/configs/tiny.toml": "candidates = 10\n[booster]\nmax_rounds = 20\n",
    "distill/configs/tiny.toml": "scale = 0.02\n[extractors]\nepochs = 2\n[last_layers]\n"
    "epochs = 2\n[resnet.model]\nwidth = 8\n[resnet.training]\nepochs = 2\n",
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
TIMED = {"report.json", "training.json", "train.json", "rows.json", "summary.json"}
TIMED |= {"manifest.json", "log.jsonl", "table.txt", "report.html"}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project with the plan `tiny`, and records."""
    tree = tmp_path_factory.mktemp("pipeline")
    for package in ("yt8m", "folds", "first_level", "stacking", "distill", "jobs", "report"):
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "Makefile", tree)
    for name, text in CONFIGS.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    synthetic.main(
        tree / "records", videos=300, classes=25, rgb=16, audio=8, frames=True, max_frames=6
    )
    return tree


def _start(tree, artifacts, *settings) -> subprocess.Popen:
    command = ["make", "all", "PLAN=tiny", "DATA=records", f"ARTIFACTS={artifacts}"]
    command += [f"PYTHON={sys.executable}", "HOLDOUT=0.2", *settings]
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
    printed, _ = make.communicate(timeout=240)
    assert make.returncode == 0, printed[-3000:]
    return printed


def _contents(run: Path) -> dict[str, str]:
    paths = [path for path in run.rglob("*") if path.is_file() and path.name not in TIMED]
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    }


@pytest.fixture(scope="module")
def undisturbed(tree):
    """The folder of a run from beginning to end, and what it printed."""
    return tree / "a" / "tiny", _finish(_start(tree, "a"))


def _kill_during(tree, stage: str, whole_group: bool) -> bool:
    """Kills make while a job of `stage` runs; whether one was seen."""
    for made in (tree / "b" / "tiny").glob(STAGES[stage]):
        remove(made)
    make = _start(tree, "b")
    with make:
        for line in make.stdout:  # make prints each command before it starts it
            if f"-m {stage}" in line:
                time.sleep(0.5)
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
    for system in ("linear", "lstm", "LightGBM stack", "student: six extractors", "export"):
        assert f"| {system}" in undisturbed[1]
    assert "Traceback" not in undisturbed[1]


def test_a_second_call_runs_no_job(tree, undisturbed):
    assert "-m first_level.train" not in _finish(_start(tree, "a"))


def test_the_export_predicts_records_and_scores_as_the_run_said(tree, undisturbed, capsys):
    run = undisturbed[0]
    predict.main(run / "export", [tree / "records" / "video"], tree / "out.csv")
    evaluate.main(tree / "out.csv", [tree / "records" / "video"])
    assert '"gap20"' in capsys.readouterr().out.splitlines()[-1]
    assert 0 < read_json(run / "evaluation.json")["gap20"] < 1
