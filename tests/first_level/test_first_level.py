"""A job of first_level: what it writes, what it never sees, and when it is stale."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from snapshots import WRITTEN, write_snapshots
from torch.nn import Linear

import first_level.job
from first_level import table
from first_level import train as job
from first_level.config import YOUTUBE_8M
from first_level.job import keep_trained
from yt8m.base.files import read_json, write_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits
from yt8m.training.metrics import evaluate


@pytest.fixture
def plan(tmp_path):
    (tmp_path / "plan").mkdir()
    text = "# test\narch = 'resnet'\n[model]\nwidth = 8\n[training]\nepochs = 3\n"
    text += "batch_size = 32\nlr = 0.02\n"
    (tmp_path / "plan" / "tiny.toml").write_text(text)
    write_snapshots(tmp_path / "plan", tmp_path / "out")
    return tmp_path / "out" / "tiny"


def _job(data_set, plan, fold=1, folds=None):
    folds = folds or data_set / "folds.safetensors"
    job.main(plan / "config.json", data_set / "store", folds, plan / f"fold{fold}", fold=fold)
    return plan / f"fold{fold}"


def test_a_job_predicts_its_fold_and_the_holdout(data_set, store, splits, plan):
    out = _job(data_set, plan)
    found = Predictions.read(out / "predictions.safetensors")
    wanted = np.concatenate([splits.rows(1), splits.holdout])
    assert sorted(found.ids.tolist()) == sorted(store.ids[wanted].tolist())
    report = read_json(out / "report.json")
    assert report["gap_holdout"] > 0.1
    parts = (("fold", "out_of_fold", splits.rows(1)), ("holdout", "holdout", splits.holdout))
    for name, key, rows in parts:
        own = found.align(store.ids[rows])
        labels = store.labels.take(rows)
        expected = evaluate(own.classes, own.logits, labels, store.dims.classes)
        assert report[key] == pytest.approx(expected)
        assert report[f"gap_{name}"] == report[key]["gap20"]
    assert len(report["epochs"]) == 3
    assert {path.name for path in out.iterdir()} == WRITTEN
    before = (out / "predictions.safetensors").read_bytes()
    weights = (out / "weights.safetensors").stat().st_mtime_ns
    (out / "predictions.safetensors").unlink()
    _job(data_set, plan)
    assert (out / "predictions.safetensors").read_bytes() == before
    assert (out / "weights.safetensors").stat().st_mtime_ns == weights, "it trained again"


def test_the_list_of_models_has_the_mean_figures_of_the_folds_that_are_trained(plan, tmp_path):
    for fold in (0, 1):
        own = {"gap20": 0.1 + 0.2 * fold, "map": 0.3, "hit1": 0.4 + 0.2 * fold, "perr": 0.6}
        report = {"out_of_fold": own, "holdout": dict.fromkeys(own, 0.9)}
        write_json(plan / f"fold{fold}" / "report.json", report)
    cells = table.describe(tmp_path / "plan" / "tiny.toml", plan, YOUTUBE_8M)
    assert cells[-4:] == ["0.2000", "0.3000", "0.5000", "0.6000"]
    nothing = table.describe(tmp_path / "plan" / "tiny.toml", tmp_path, YOUTUBE_8M)
    assert nothing[-4:] == ["-"] * 4


def test_no_label_of_the_fold_or_the_holdout_reaches_the_weights(
    data_set, store, splits, plan, monkeypatch
):
    before = (_job(data_set, plan) / "weights.safetensors").read_bytes()
    (plan / "fold1" / "weights.safetensors").unlink()
    lists = np.split(store.labels.indices, store.labels.indptr[1:-1])
    for row in [*splits.rows(1), *splits.holdout]:
        lists[row] = np.array([0, 1, 2], np.uint16)
    labels = type(store.labels).from_lists(lists)
    opened = first_level.job.Store

    def open_poisoned(path):
        store = opened(path)
        store.labels = labels
        return store

    monkeypatch.setattr(first_level.job, "Store", open_poisoned)
    after = (_job(data_set, plan) / "weights.safetensors").read_bytes()
    assert after == before
    # The same poison in a training fold must be seen, or this test could not fail.
    lists[splits.others(1)[0]] = np.array([0, 1, 2], np.uint16)
    labels = type(store.labels).from_lists(lists)
    (plan / "fold1" / "weights.safetensors").unlink()
    assert (_job(data_set, plan) / "weights.safetensors").read_bytes() != before


def test_other_folds_make_weights_stale(data_set, store, splits, plan, tmp_path):
    before = (_job(data_set, plan) / "weights.safetensors").read_bytes()
    moved = splits.fold.copy()
    moved[splits.rows(0)[0]] = 1
    Splits(moved).write(tmp_path / "folds.safetensors", store.ids)
    _job(data_set, plan, folds=tmp_path / "folds.safetensors")
    assert (plan / "fold1" / "weights.safetensors").read_bytes() != before


def test_seconds_are_those_of_killed_processes_too(tmp_path):
    (tmp_path / "checkpoint.pt").touch()
    history = [{"seconds": 5.0}, {"seconds": 6.0}]
    keep_trained(Linear(2, 3), tmp_path, "source", history, time.monotonic(), videos=7)
    assert read_json(tmp_path / "training.json") == {"videos": 7, "seconds": 11, "epochs": history}
    (tmp_path / "training.json").unlink()
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


NOISE = "[training.noise]\nadaptation = true\nadd = 0.1\ntest_passes = 2\n"


@pytest.mark.parametrize("options", ["", NOISE], ids=["plain", "noise layer"])
def test_two_processes_train_one_model_together(data_set, plan, options):
    toml = plan.parents[1] / "plan" / "tiny.toml"
    toml.write_text(toml.read_text() + options)
    write_snapshots(toml.parent, plan.parent)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "first_level.train", plan / "config.json"]
    command += [data_set / "store", data_set / "folds.safetensors", plan / "fold1", "--fold", "1"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("epoch 3/3") == 1, "one process speaks"
    together = read_json(plan / "fold1" / "report.json")
    shutil.rmtree(plan / "fold1")
    _job(data_set, plan)
    alone = read_json(plan / "fold1" / "report.json")
    assert together["gap_fold"] == pytest.approx(alone["gap_fold"], abs=0.1)
