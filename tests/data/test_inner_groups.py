"""Every split inside the training videos keeps groups together, as the folds do."""

from types import SimpleNamespace

import numpy as np
import pytest
from distill_world import toy_config
from stacking_world import StackingWorld

import distill.job as students
import first_level.job as models
from first_level.config import ModelConfig
from first_level.config import build as build_model
from stacking.config import Stacking
from stacking.learners import booster
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, Rows
from yt8m.base.cli import InputError
from yt8m.data.splits import Splits, uniform
from yt8m.training.settings import Training

WATCHING = {"patience": 1, "inner": 0.3, "epochs": 1}


class Seen(Exception):
    """What a training was about to be given."""


def of_groups(store, size=4) -> np.ndarray:
    """The group of each video; related ones are far apart in the store."""
    return np.array([f"g{row % (len(store) // size)}".encode() for row in range(len(store))])


def stop(*arguments, **_):
    raise Seen(arguments)


def check_whole(groups, first, second, share) -> None:
    """No group is on both sides, and the second has about its share."""
    assert len(first) > 0 < len(second)
    assert not set(groups[first]) & set(groups[second])
    assert abs(len(second) / (len(first) + len(second)) - share) < 0.15


@pytest.mark.parametrize("grouped", [True, False])
def test_the_videos_that_early_stopping_watches(store, splits, tmp_path, monkeypatch, grouped):
    groups = of_groups(store) if grouped else None
    settings = ModelConfig(arch="linear", training=WATCHING)
    own = Splits(splits.fold, groups)
    job = models.FoldJob(tmp_path / "config.json", settings, store, own, tmp_path, 0, "")
    monkeypatch.setattr(models, "fit", stop)
    with pytest.raises(Seen) as seen:
        job.train(build_model(settings, store.dims, tmp_path))
    examples = seen.value.args[0][1]
    keys, rows = own.keys(store.ids), splits.others(0)
    inner = uniform(keys[rows], "inner split") < 0.3
    np.testing.assert_array_equal(examples.watched, rows[inner])
    np.testing.assert_array_equal(examples.rows, rows[~inner])
    if grouped:
        check_whole(groups, examples.rows, examples.watched, 0.3)


def test_the_videos_that_a_student_watches(store, splits, tmp_path, monkeypatch):
    groups = of_groups(store)
    lessons = students.Lessons(store, splits.training, None, splits.holdout, groups, [], None)
    job = students.StudentJob(toy_config(), lessons, tmp_path, "x", "", SimpleNamespace())
    monkeypatch.setattr(students, "fit", stop)
    with pytest.raises(Seen) as seen:
        job.fit(None, Training(**WATCHING), tmp_path, source=SimpleNamespace())
    examples = seen.value.args[0][1]
    check_whole(groups, examples.rows, examples.watched, 0.3)


def test_the_folds_of_extractors(data_set, store, splits, tmp_path, monkeypatch):
    groups = of_groups(store)
    Splits(splits.fold, groups).write(tmp_path / "folds.safetensors", store.ids)
    monkeypatch.setattr(students, "SoftTargets", lambda *_: None)
    monkeypatch.setattr(students, "origin_of", lambda path: None)
    monkeypatch.setattr(students, "check_origin", lambda *_: None)
    monkeypatch.setattr(students, "digest_of", lambda path: "")
    files = (data_set / "store", tmp_path / "folds.safetensors", tmp_path / "soft")
    config = toy_config(extractor_videos="leave_one")
    lessons = students.Lessons.open("b", config, config.targets, files, None)
    left_out = np.setdiff1d(splits.training, lessons.rows)
    check_whole(groups, lessons.rows, left_out, 0.2)
    np.testing.assert_array_equal(lessons.keys, groups)


def regroup(world, groups, monkeypatch) -> None:
    """Writes the folds of a world with groups; its predictions are of those without."""
    folds = world.folder / "folds.safetensors"
    Splits(world.splits.fold, groups).write(folds, world.ids)
    monkeypatch.setattr("stacking.table.check_origin", lambda found, *_, **__: found)


def test_the_rows_that_a_booster_stops_by(tmp_path, monkeypatch):
    world = StackingWorld(tmp_path, monkeypatch, videos=400)
    groups = of_groups(world.ids)
    regroup(world, groups, monkeypatch)
    world.all_rows()
    settings = Stacking(inner_fraction=0.3)
    train, inner, _ = booster.sequences(world.stacking, 2, settings)
    group_of = dict(zip(world.ids.tolist(), groups.tolist(), strict=True))
    sides = [
        {group_of[video] for part in parts for video in part.rows.ids[part.videos].tolist()}
        for parts in (train, inner)
    ]
    assert all(sides)
    assert not sides[0] & sides[1]
    folder = world.stacking / "fold2/rows"
    assert Rows.open(folder, HOLDOUT_PREFIX).keys.tolist() == (
        Rows.open(folder, HOLDOUT_PREFIX).ids.tolist()
    )
    (folder / "keys.npy").unlink()
    with pytest.raises(InputError, match="keys.npy: is missing"):
        Rows.open(folder, FOLD_PREFIX)


def test_other_groups_are_other_rows(tmp_path, monkeypatch):
    """Learners are made from rows.json alone, so it says what splits them."""
    world, texts = StackingWorld(tmp_path, monkeypatch, videos=300), []
    for groups in (None, of_groups(world.ids), of_groups(world.ids, 5)):
        regroup(world, groups, monkeypatch)
        world.rows(0)
        about = (world.stacking / "fold0/rows/rows.json").read_text()
        texts.append([line for line in about.splitlines() if '"keys"' in line])
    assert texts[0] == []
    assert texts[1] != texts[2]
