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
from yt8m import clusters, derived
from yt8m.cli import InputError
from yt8m.dataset import Source
from yt8m.derived import source_of
from yt8m.frames import Frames
from yt8m.sampling import strided
from yt8m.scaling import Moments
from yt8m.settings import Inputs
from yt8m.splits import Splits
from yt8m.store import DERIVED, Store

CPU = torch.device("cpu")


@pytest.fixture
def fresh(data_set, tmp_path):
    """A store of its own, with nothing derived from it yet."""
    shutil.copytree(data_set / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / DERIVED, ignore_errors=True)
    return Store(tmp_path / "store")


def _folders(store) -> dict[str, Path]:
    return {path.name.split("-")[0]: path for path in (store.folder / DERIVED).glob("*")}


def _features(source: Source, rows) -> torch.Tensor:
    return source.load(np.asarray(rows), CPU).features


def _poisoned(store, rows, monkeypatch):
    """The store as if `rows` had other features, at both levels."""
    opened = type(store)
    frames, video, spans = opened.frames, opened.video, opened.spans
    wanted = np.asarray(rows)

    def other(parts, asked, counts=None):
        bad = np.isin(asked, wanted)
        bad = bad if counts is None else np.repeat(bad, counts)
        return [np.where(bad[:, None], part.dtype.type(7), part) for part in parts]

    def poisoned_frames(self, asked):
        *parts, lengths = frames(self, asked)
        return *other(parts, asked, lengths), lengths

    def poisoned_spans(self, asked, start, count):
        return other(spans(self, asked, start, count), asked, count)

    monkeypatch.setattr(opened, "frames", poisoned_frames)
    monkeypatch.setattr(opened, "spans", poisoned_spans)
    monkeypatch.setattr(opened, "video", lambda self, asked: other(video(self, asked), asked))


INPUTS = {
    "clusters": Inputs(sampling="centroids", clusters=8),
    "whiten": Inputs(normalise="whiten"),
    "whiten statistics": Inputs(normalise="whiten", statistics=("mean", "std")),
    "standard": Inputs(normalise="standard", skip_frames=2),
}


def _fitted(source: Source) -> list[np.ndarray]:
    made = source.made
    arrays = [made.clusters.centroids] if made.clusters else []
    for scaling in made.scaling or ():
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
from yt8m.dataset import Source
from yt8m.derived import source_of
from yt8m.settings import Inputs
from yt8m.splits import Splits
from yt8m.store import DERIVED, Store
raw, seen = Source.raw, []
def killed(self, *arguments):
    seen.append(1)
    if len(seen) == 3: os.kill(os.getpid(), 9)
    return raw(self, *arguments)
Source.raw = killed
store = Store(Path(sys.argv[1]))
source_of(store, "video", Inputs(statistics=("std",)), Splits(np.zeros(len(store), np.int8)))
"""
    root = Path(__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code, str(fresh.folder)], cwd=root)
    assert done.returncode == -9
    (folder,) = _folders(fresh).values()
    assert [path.name for path in folder.iterdir()] == ["arrays.tmp"]
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
        (folder / "x.npy").write_bytes(b"x")

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


def test_centroids_are_each_frames_nearest_once_by_first_appearance(fresh, splits, monkeypatch):
    monkeypatch.setattr(clusters, "BLOCK", 100)  # several blocks
    inputs = Inputs(sampling="centroids", clusters=8, normalise="none", skip_frames=2)
    source = source_of(fresh, "frame", inputs, splits)
    centroids = source.made.clusters.centroids.numpy()
    assert centroids.shape == (8, fresh.dims.rgb + fresh.dims.audio)
    rows = np.array([5, 0, 333, 17])
    batch = source.load(rows, CPU)
    plain = Source(fresh, "frame", Inputs(normalise="none", skip_frames=2)).load(rows, CPU)
    unique = 0
    for place in range(len(rows)):
        frames = plain.features[place][plain.mask[place]].numpy()
        near = np.square(frames[:, None] - centroids).sum(2).argmin(1)
        expected = list(dict.fromkeys(near.tolist()))
        unique += len(near) > len(expected) > 1
        found = batch.features[place][batch.mask[place]].numpy()
        np.testing.assert_allclose(found, centroids[expected], atol=1e-6)
    assert unique, "no video had one centroid twice"
    few = Inputs(sampling="centroids", clusters=8, max_frames=2, skip_frames=2)
    assert source_of(fresh, "frame", few, splits).load(rows, CPU).mask.shape[1] == 2


def test_k_means_finds_what_is_apart():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(5, 12)) * 10
    frames = truth[generator.integers(0, 5, 4000)] + generator.normal(size=(4000, 12)) * 0.1
    batches = torch.from_numpy(frames).float().split(100)
    found = clusters.fit_centroids(batches, 20, "x")
    assert np.sqrt(np.square(truth[:, None] - found).sum(2)).min(1).max() < 0.5


def test_too_few_frames_for_the_centroids(fresh, splits):
    with pytest.raises(
        InputError, match=r"store: inputs.clusters = 60,000 and .* frames; give few"
    ):
        source_of(fresh, "frame", Inputs(sampling="centroids", clusters=60_000), splits)
    assert not list(_folders(fresh)["clusters"].iterdir())


@pytest.mark.parametrize("level", ["video", "frame"])
def test_whitened_training_videos_are_white(fresh, splits, level):
    source = source_of(fresh, level, Inputs(normalise="whiten"), splits)
    plain = Source(fresh, level, Inputs(normalise="none"))
    seen = [s.load(splits.training, CPU) for s in (source, plain)]
    if level == "frame":
        parts = [(batch.rgb[batch.mask], batch.audio[batch.mask]) for batch in seen]
    else:
        parts = [(batch.rgb, batch.audio) for batch in seen]
    for found, raw in zip(*parts, strict=True):
        width = found.shape[1]
        torch.testing.assert_close(found.norm(dim=1), torch.full((len(found),), width**0.5))
        values = raw.double().numpy()
        values = values - values.mean(0)
        variances, directions = np.linalg.eigh(values.T @ values / len(values))
        white = values @ directions / np.sqrt(np.maximum(variances, 0.01 * variances.max()))
        unit = white / np.linalg.norm(white, axis=1, keepdims=True) * width**0.5
        # An eigenvector's sign is free: what two videos say of each other is not.
        np.testing.assert_allclose(found @ found[0], unit @ unit[0], atol=0.02 * width)


def test_moments_far_from_zero_and_without_variance():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5000, 4, generator=generator) * torch.tensor([1.0, 0.1, 3.0, 0.0]) + 1000
    for how in ("standard", "whiten"):
        moments = Moments(how)
        for batch in values.split(700):
            moments.add(batch)
        scaling = moments.scaling()
        torch.testing.assert_close(scaling.mean, values.double().mean(0).float())
        assert torch.isfinite(scaling(values)).all()
    truth = values.double()
    factor = 1 / truth[:, :3].std(0, correction=0)
    moments = Moments("standard")
    for batch in values.split(700):
        moments.add(batch)
    torch.testing.assert_close(moments.scaling().factor[:3].double(), factor, rtol=1e-4, atol=0)


def test_strided_frames_of_a_stack():
    frames = Frames(torch.arange(14).float()[:, None], torch.zeros(14, 0), torch.tensor([9, 1, 4]))
    kept = strided(frames, 3)
    assert kept.rgb[:, 0].tolist() == [0, 3, 6, 9, 10, 11, 12]
    assert kept.lengths.tolist() == [3, 1, 3]
    assert strided(frames, 9) is frames


def test_a_source_without_what_it_needs_says_so(fresh):
    for inputs in (Inputs(normalise="whiten"), Inputs(sampling="centroids")):
        with pytest.raises(AssertionError, match="needs derived.source_of"):
            Source(fresh, "frame", inputs).load(np.arange(3), CPU)
