"""What is computed once for a data set: what it depends on, and that it is complete or absent."""

import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from folds import decode
from yt8m.data.splits import Splits
from yt8m.data.store import DERIVED
from yt8m.inputs import derived
from yt8m.inputs.batch import Source
from yt8m.inputs.derived import source_of
from yt8m.inputs.settings import Inputs

CPU = torch.device("cpu")


def _folders(store) -> dict[str, Path]:
    return {path.name.split("-")[0]: path for path in (store.folder / DERIVED).glob("*")}


def _features(source: Source, rows) -> torch.Tensor:
    return source.load(np.asarray(rows), CPU).joined


def _poisoned(store, rows, monkeypatch):
    """The store as if `rows` had other features, at both levels."""
    opened = type(store)
    video, spans = opened.video, opened.spans  # frames are spans
    wanted = np.asarray(rows)

    def other(features, asked, counts=None):
        bad = np.isin(asked, wanted)
        bad = (bad if counts is None else np.repeat(bad, counts))[:, None]
        return {name: np.where(bad, x.dtype.type(7), x) for name, x in features.items()}

    def poisoned_spans(self, asked, start, count, names=None):
        return other(spans(self, asked, start, count, names), asked, count)

    def poisoned_video(self, asked, names=None):
        return other(video(self, asked, names), asked)

    monkeypatch.setattr(opened, "spans", poisoned_spans)
    monkeypatch.setattr(opened, "video", poisoned_video)


INPUTS = {
    "clusters": Inputs(sampling="centroids", clusters=8),
    "whiten": Inputs(normalise="whiten"),
    "whiten statistics": Inputs(normalise="whiten", statistics=("mean", "std")),
    "standard": Inputs(normalise="standard", skip_frames=2),
}


def _fitted(source: Source) -> list[np.ndarray]:
    made = source.made
    arrays = [made.clusters.centroids] if made.clusters else []
    for scaling in (made.scaling or {}).values():
        arrays += [scaling.mean, scaling.factor]
    return [array.numpy() for array in arrays]


@pytest.mark.parametrize("level", ["video", "frame"])
@pytest.mark.parametrize("name", INPUTS)
def test_what_is_fitted_never_sees_the_holdout(fresh, splits, monkeypatch, name, level):
    inputs = INPUTS[name]
    if level == "frame":
        inputs = inputs.model_copy(update={"statistics": ("mean",)})

    def fit():
        shutil.rmtree(fresh.folder / DERIVED, ignore_errors=True)
        return _fitted(source_of(fresh, level, inputs, splits))

    before = fit()
    with monkeypatch.context() as patch:
        _poisoned(fresh, splits.holdout, patch)
        after = fit()
    assert len(before) == len(after) > 0
    for one, two in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, two)
    with monkeypatch.context() as patch:  # the same poison in a fold must be seen
        _poisoned(fresh, splits.rows(1), patch)
        assert any(not np.array_equal(a, b) for a, b in zip(before, fit(), strict=True))


def test_what_is_fitted_sees_no_label(fresh, splits, monkeypatch):
    def refuse(self, *_):
        raise AssertionError("labels were read")

    monkeypatch.setattr(type(fresh.labels), "take", refuse)
    fresh.labels = None
    for inputs in INPUTS.values():
        source_of(fresh, "video", inputs, splits)


def test_it_is_made_once_and_again_when_a_setting_or_the_folds_change(fresh, splits, monkeypatch):
    made = []
    create = derived.working_in
    monkeypatch.setattr(derived, "working_in", lambda folder: made.append(folder) or create(folder))

    def count(level="video", chosen=splits, **settings) -> int:
        before = len(made)
        source_of(fresh, level, Inputs(**settings), chosen)
        return len(made) - before

    moved = Splits(np.where(np.arange(len(fresh)) == splits.rows(0)[0], -1, splits.fold))
    two = {"statistics": ("mean", "std")}
    assert count() == 0, "the defaults need nothing"
    assert count(**two) == 1
    assert count(**two) == 0
    assert count(**two, normalise="none", feature_share=0.5) == 0, "only what matters"
    assert count(**two, chosen=moved) == 0, "nothing is fitted"
    assert count(statistics=("std", "mean")) == 1
    assert count(**two, skip_frames=1) == 1
    assert count(**two, sampling="bootstrap") == 0, "random in training: nothing to keep"
    assert count(**two, normalise="whiten") == 1
    assert count(**two, normalise="whiten", chosen=moved) == 1
    assert count(sampling="centroids", clusters=8) == 2
    assert count(sampling="centroids", clusters=8, chosen=moved) == 2
    assert count("frame", sampling="centroids", clusters=8) == 0
    assert count("frame", dynamics="pcp", sampling="random") == 1
    assert count(dynamics="pcp", sampling="random") == 0
    (fresh.folder / "manifest.json").write_text(
        (fresh.folder / "manifest.json").read_text().replace('"videos": 400', '"videos":  400')
    )
    assert count(**two) == 1, "of another store"


def test_it_equals_what_is_computed_on_the_fly(fresh, splits):
    rows = np.array([3, 399, 0, 17, 200])
    for inputs in (
        Inputs(statistics=("median", "std"), sampling="scenes", scene_threshold=0.01),
        Inputs(dynamics="centred", statistics=("max",), skip_frames=2),
        Inputs(dynamics="pcp", statistics=("std",)),
    ):
        expected = _features(Source(fresh, "video", inputs), rows)
        source = source_of(fresh, "video", inputs, splits)
        assert source.made.statistics is not None
        torch.testing.assert_close(_features(source, rows), expected, atol=5e-3, rtol=2e-3)
    inputs = Inputs(dynamics="pcp", skip_frames=3)
    expected = _features(Source(fresh, "frame", inputs), rows)
    found = _features(source_of(fresh, "frame", inputs, splits), rows)
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=2e-3)


def test_an_interrupted_computation_leaves_nothing_and_is_done_again(fresh, splits, monkeypatch):
    inputs = Inputs(statistics=("std",))
    expected = _features(Source(fresh, "video", inputs), np.arange(400))
    blocks, raw = [], Source.raw

    def interrupted(self, rows, *more):
        blocks.append(rows)
        if len(blocks) == 3:
            raise KeyboardInterrupt
        return raw(self, rows, *more)

    with monkeypatch.context() as patch:
        patch.setattr(Source, "raw", interrupted)
        with pytest.raises(KeyboardInterrupt):
            source_of(fresh, "video", inputs, splits)
    assert [path.name for path in _folders(fresh)["statistics"].iterdir()] == []
    found = _features(source_of(fresh, "video", inputs, splits), np.arange(400))
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=2e-3)


def test_a_killed_computation_is_done_again(fresh, splits, tmp_path):
    code = """
import os, sys, numpy as np
from pathlib import Path
from yt8m.inputs.batch import Source
from yt8m.inputs.derived import source_of
from yt8m.inputs.settings import Inputs
from yt8m.data.splits import Splits
from yt8m.data.store import DERIVED, Store
raw, seen = Source.raw, []
def killed(self, *arguments):
    seen.append(1)
    if len(seen) == 3: os.kill(os.getpid(), 9)
    return raw(self, *arguments)
Source.raw = killed
store = Store(Path(sys.argv[1]))
source_of(store, "video", Inputs(statistics=("std",)), Splits(np.zeros(len(store), np.int8)))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code, str(fresh.folder)], cwd=root)
    assert done.returncode == -9
    (folder,) = _folders(fresh).values()
    assert {path.suffix or path.name for path in folder.iterdir()} == {".lock", ".tmp"}
    inputs = Inputs(statistics=("std",))
    found = _features(source_of(fresh, "video", inputs, splits), np.arange(400))
    expected = _features(Source(fresh, "video", inputs), np.arange(400))
    torch.testing.assert_close(found, expected, atol=5e-3, rtol=2e-3)
    assert [path.name for path in folder.iterdir()] == ["arrays"]


def test_another_decoding_removes_it(data_set, fresh, splits, tmp_path):
    source_of(fresh, "video", Inputs(statistics=("std",)), splits)
    (fresh.folder / DERIVED / "mine").mkdir()
    shutil.copytree(data_set / "records", tmp_path / "records")
    for kind in ("video", "frame"):
        sorted((tmp_path / "records" / kind).glob("*.tfrecord"))[0].unlink()
    decode.main(tmp_path / "records", fresh.folder, jobs=1)
    assert list(_folders(fresh)) == ["mine"]


def test_the_second_of_two_waits_for_the_first(fresh, capsys):
    made, reading = [], threading.Event()

    def make(folder: Path) -> None:
        made.append(folder)
        reading.wait(10)
        np.save(folder / "x.npy", np.zeros(1))

    jobs = [
        threading.Thread(target=derived.made_once, args=(fresh, "test", [1], make))
        for _ in range(2)
    ]
    jobs[0].start()
    while not made:
        time.sleep(0.01)
    jobs[1].start()
    while "waiting" not in capsys.readouterr().out:
        time.sleep(0.01)
    reading.set()
    for job in jobs:
        job.join(10)
    assert len(made) == 1


def test_a_deleted_array_is_made_again_with_the_same_bytes(fresh, splits):
    inputs = Inputs(statistics=("mean", "std"))
    [arrays] = {path.parent for path in _derived_arrays(fresh, splits, inputs)}
    before = {path.name: path.read_bytes() for path in arrays.iterdir()}
    for name in before:
        (arrays / name).unlink()
        _derived_arrays(fresh, splits, inputs)
        assert {path.name: path.read_bytes() for path in arrays.iterdir()} == before


def _derived_arrays(store, splits, inputs) -> list:
    source_of(store, "video", inputs, splits)
    return sorted(store.folder.glob("derived/*/arrays/*.npy"))
