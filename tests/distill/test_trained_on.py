"""An export knows which videos it learnt from; whoever judges it by them is told."""

import shutil

import numpy as np
import pytest
from distill_world import soft_labels_of, toy_config
from export_world import write_video_records

from distill import evaluate, predict, train
from distill.export import evaluate as score
from first_level.bundle.manifest import read_trained_on
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.files import read_json, write_json
from yt8m.data.origins import hashes_of, write_hashes
from yt8m.data.splits import Splits


@pytest.fixture
def export(students, tmp_path):
    return shutil.copytree(students / "out", tmp_path / "export")


def _records(path, videos, wanted):
    ids, rgb, audio = videos
    rows = [row for row, video in enumerate(ids) if video.encode() in wanted]
    labels = [[row % 30] for row in rows]
    write_video_records(path, [ids[row] for row in rows], rgb[rows], audio[rows], labels)
    return path


def test_it_names_the_training_videos_and_no_others(export, store, splits):
    np.testing.assert_array_equal(read_trained_on(export), hashes_of(store.ids, splits.training))
    stated = read_json(export / "model.json")["made_from"]
    assert stated["training"].startswith(f"{len(splits.training)} ")
    assert stated["inputs"]["folds"] == splits.digest


@pytest.mark.parametrize("where", ["beside", "--export"])
def test_whoever_evaluates_it_on_them_is_told(
    export, store, splits, videos, tmp_path, capsys, where
):
    chosen = [*store.ids[splits.training[:7]], *store.ids[splits.holdout[:4]]]
    records, out = _records(tmp_path / "r.tfrecord", videos, set(chosen)), tmp_path / "p.csv"
    predict.main(export, [records], out)
    assert "p.csv: 7 of its videos trained this export" in capsys.readouterr().out
    beside = tmp_path / "p.csv.trained_on.safetensors"
    if where == "--export":
        beside.unlink()
    evaluate.main(out, [records], export=str(export) if where == "--export" else "")
    assert "7 of these 11 videos trained what predicted them" in capsys.readouterr().out


def test_of_new_videos_nothing_is_said_and_nothing_is_left(
    export, store, splits, videos, tmp_path, capsys
):
    new = _records(tmp_path / "r.tfrecord", videos, set(store.ids[splits.holdout[:4]]))
    out = tmp_path / "p.csv"
    write_hashes(tmp_path / "p.csv.trained_on.safetensors", hashes_of(store.ids[:9]))
    predict.main(export, [new], out)
    assert sorted(path.name for path in tmp_path.glob("p.csv*")) == ["p.csv"]
    evaluate.main(out, [new], export=str(export))
    assert "trained" not in capsys.readouterr().out


def test_it_is_not_scored_on_a_holdout_that_it_has_seen(export, data_set, store, splits, tmp_path):
    fold = splits.fold.copy()
    fold[splits.rows(2)[:5]] = -1
    Splits(fold).write(tmp_path / "folds.safetensors", store.ids)
    arguments = tmp_path / "folds.safetensors", tmp_path / "evaluation.json"
    with pytest.raises(InputError, match=r"was trained on 5 of the [0-9]+ videos of the holdout"):
        score.main(export, data_set / "store", *arguments)
    assert not (tmp_path / "evaluation.json").exists()


def test_an_alarm_of_the_stack_is_repeated(export, data_set, tmp_path):
    stack, out = tmp_path / "report.json", tmp_path / "evaluation.json"
    folds = data_set / "folds.safetensors"
    for alarms in ([], ["linear fold3: it leaks"]):
        write_json(stack, {"alarms": alarms})
        score.main(export, data_set / "store", folds, out, stack=stack)
        assert read_json(out).get("alarms", []) == alarms


def test_another_list_of_videos_is_refused_and_older_exports_have_none(export, store):
    write_hashes(export / "trained_on.safetensors", hashes_of(store.ids[:9]))
    with pytest.raises(InputError, match=r"trained_on.safetensors: is not what model.json says"):
        read_trained_on(export)
    write_json(export / "model.json", read_json(export / "model.json") | {"made_from": None})
    (export / "SHA256SUMS").unlink()
    assert len(read_trained_on(export)) == 0


def test_soft_labels_of_other_folds_are_refused(data_set, store, splits, tmp_path):
    moved = splits.fold.copy()
    moved[splits.holdout[:20]] = 0
    soft_labels_of(store, Splits(moved), tmp_path / "soft.safetensors")
    write_snapshot(tmp_path / "config.json", toy_config())
    arguments = tmp_path / "config.json", data_set / "store", data_set / "folds.safetensors"
    with pytest.raises(InputError, match=r"soft.safetensors: learnt from other videos than these"):
        train.main(*arguments, tmp_path / "soft.safetensors", tmp_path / "resnet", part="resnet")
