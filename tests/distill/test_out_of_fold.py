"""Last layers that learn from features of videos that the extractors have not seen."""

from pathlib import Path

import numpy as np
import pytest
import torch
from distill_world import SCALE, soft_labels_of, toy_config
from safetensors.torch import load_file

from distill import train
from distill.job import Lessons
from distill.out_of_fold import OutOfFold, extractor_files, new_folds
from distill.targets import SoftTargets
from jobs.graph import graph_of
from jobs.plans import Plan
from jobs.settings import Settings
from stacking.config import Stacking
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.files import read_json
from yt8m.data.splits import NUM_FOLDS
from yt8m.inputs.settings import Inputs
from yt8m.networks.extractors import LAYOUTS, Extractor
from yt8m.networks.student import Student
from yt8m.training import checkpoint
from yt8m.training.weights import save_weights

QUICK = {"epochs": 2, "batch_size": 64, "precision": "float32"}
CPU = torch.device("cpu")


@pytest.fixture
def root(data_set, store, splits, tmp_path):
    """A distill folder with settings, soft labels and untrained extractors, their copies too."""
    soft_labels_of(store, splits, tmp_path / "soft.safetensors")
    config = toy_config(last_layers=QUICK, extractor_videos="folds")
    write_snapshot(tmp_path / "config.json", config)
    for seed, fold in enumerate((None, *range(NUM_FOLDS))):
        write_extractors(tmp_path, store, seed, fold)
    return tmp_path


def write_extractors(root: Path, store, seed: int, fold: int | None) -> None:
    torch.manual_seed(seed)
    for letter in LAYOUTS:
        folder = root / f"extractor_{letter}" / ("" if fold is None else f"fold{fold}")
        folder.mkdir(parents=True, exist_ok=True)
        save_weights(Extractor(letter, store.dims, SCALE), folder / "weights.safetensors")


def run_part(data_set, root, out, part="last", **more) -> dict[str, torch.Tensor]:
    """The weights of a part, trained into `out`."""
    inputs = root / "config.json", data_set / "store", data_set / "folds.safetensors"
    train.main(*inputs, root / "soft.safetensors", root / out, part=part, **more)
    return load_file(root / out / "weights.safetensors")


def lessons_of(data_set, root, part, config, fold=None) -> Lessons:
    files = data_set / "store", data_set / "folds.safetensors", root / "soft.safetensors"
    return Lessons.open(part, config, config.targets, files, None, fold)


def test_new_folds_are_five_others_of_about_the_same_size(store, splits):
    folds = new_folds(store.ids, 0)
    assert (np.bincount(folds, minlength=NUM_FOLDS) > len(folds) / 8).all()
    rows = splits.training
    for other in (new_folds(store.ids, 1), splits.fold):
        assert np.mean(folds[rows] == other[rows]) < 0.4  # by chance 0.2


def test_a_copy_learns_from_all_but_its_fold(data_set, store, splits, root):
    config, folds = toy_config(extractor_videos="folds"), new_folds(store.ids, 0)
    for fold in (0, 4):
        rows = lessons_of(data_set, root, "a", config, fold).rows
        assert list(rows) == [row for row in splits.training if folds[row] != fold]
    for part in ("a", "last", "resnet"):
        assert list(lessons_of(data_set, root, part, config).rows) == list(splits.training)


def test_each_extractor_leaves_out_another_fold(data_set, store, splits, root):
    config, folds = toy_config(extractor_videos="leave_one"), new_folds(store.ids, 0)
    for letter, fold in zip("abcdef", (0, 1, 2, 3, 4, 0), strict=True):
        rows = lessons_of(data_set, root, letter, config).rows
        assert list(rows) == [row for row in splits.training if folds[row] != fold]
    for part in ("last", "resnet", "refit"):
        assert list(lessons_of(data_set, root, part, config).rows) == list(splits.training)


def test_features_are_those_of_the_copy_that_left_the_video_out(store, splits):
    torch.manual_seed(0)
    students = [Student(store.dims, SCALE).eval() for _ in range(NUM_FOLDS)]
    folds, rows = new_folds(store.ids, 0), splits.training[:20]
    copies = [student.extractors for student in students]
    source = OutOfFold(store, "video", Inputs(), folds=folds, copies=copies)
    found = source.load(rows, CPU).joined
    for row, features in zip(rows, found, strict=True):
        batch = super(OutOfFold, source).load(np.array([row]), CPU)
        expected = students[folds[row]].features(batch)[0]
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    alone = source.load(rows[folds[rows] == 1], CPU).joined  # no video of the other folds
    torch.testing.assert_close(alone, found[folds[rows] == 1], rtol=1e-4, atol=1e-5)


def test_last_layers_learn_from_the_copies_alone(data_set, store, root):
    first = run_part(data_set, root, "student")
    write_extractors(root, store, 100, None)
    second = run_part(data_set, root, "student")
    write_extractors(root, store, 101, 3)
    third = run_part(data_set, root, "student")
    last = [name for name in first if name.startswith("last.") and first[name].ndim == 2]
    assert all(torch.equal(first[name], second[name]) for name in last)
    assert not any(torch.equal(second[name], third[name]) for name in last)
    assert read_json(root / "student" / "report.json")["gap_holdout"] > 0


def test_killed_last_layers_go_on_to_the_same_weights(data_set, root, monkeypatch):
    run_part(data_set, root, "whole")
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", -1.0)
    calls, whole = [], SoftTargets.__call__

    def killed_later(self, rows):
        calls.append(rows)
        if len(calls) == 8:  # in the second epoch
            raise KeyboardInterrupt
        return whole(self, rows)

    monkeypatch.setattr(SoftTargets, "__call__", killed_later)
    with pytest.raises(KeyboardInterrupt):
        run_part(data_set, root, "student")
    assert (root / "student" / "checkpoint.pt").exists()
    run_part(data_set, root, "student")
    whole, again = (root / name / "weights.safetensors" for name in ("whole", "student"))
    assert whole.read_bytes() == again.read_bytes()


def test_last_layers_wait_for_every_copy_in_the_plan(tmp_path):
    def graph(videos):
        plan = Plan("p", {}, Stacking(), toy_config(extractor_videos=videos))
        given = {"DATA": "x", "JOBS": "1", "THREADS": "1"}
        return graph_of(plan, Settings("p", tmp_path, given, {}))

    found = graph("folds")
    assert len([job for job in found.jobs if job.verb == "distill.train"]) == 6 * 6 + 2
    needs = found.needs["distill/student"]
    assert {f"distill/extractor_e/fold{k}" for k in range(NUM_FOLDS)} < set(needs)
    assert found.by_name["distill/extractor_e/fold3"].arguments[-2:] == ("--fold", "3")
    assert len([job for job in graph("leave_one").jobs if job.verb == "distill.train"]) == 8


def test_mistakes(data_set, root):
    for part, fold in (("last", 0), ("a", 5)):
        with pytest.raises(InputError, match=f"--fold {fold} --part {part}: no such copy; with"):
            run_part(data_set, root, "x", part, fold=fold)
    missing = root / "extractor_b" / "fold2" / "weights.safetensors"
    missing.unlink()
    with pytest.raises(InputError, match="extractor_b/fold2/weights.safetensors: no such file"):
        extractor_files(root / "student", toy_config(extractor_videos="folds"))
    assert len(extractor_files(root / "student", toy_config())) == 6
