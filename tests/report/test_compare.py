"""The comparison of two systems, against direct definitions."""

import json

import numpy as np
import pytest

from report import compare
from yt8m.base.cli import InputError
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits
from yt8m.records.labels import Labels
from yt8m.training import bootstrap, metrics


def _system(rng, labels: Labels, noise: float, k: int = 20) -> Predictions:
    """Predictions of 40 classes that know the labels but for noise."""
    scores = rng.normal(size=(len(labels), 40)) * noise
    scores[labels.rows(), labels.indices] += 1
    classes = np.argsort(-scores, axis=1)[:, :k]
    logits = np.take_along_axis(scores, classes, 1).astype(np.float16)
    ids = np.array([f"{row:04d}".encode() for row in range(len(labels))])
    return Predictions(ids, classes.astype(np.uint16), logits)


@pytest.fixture
def world():
    rng = np.random.default_rng(0)
    labels = Labels.from_lists([rng.choice(40, 3, replace=False) for _ in range(300)])
    return labels, _system(rng, labels, 0.5), _system(rng, labels, 0.8)


def _bootstrap(world, one, two, samples=200):
    labels = world[0]
    hits = [metrics.ranked_hits(system.classes, system.logits, labels) for system in (one, two)]
    return bootstrap.paired_bootstrap(*hits, labels.counts(), samples, seed=0)


def test_a_resample_is_scored_as_if_its_videos_were_there_that_often(world):
    labels, good, _ = world
    times = np.random.default_rng(1).integers(0, 4, len(labels))
    rows = np.repeat(np.arange(len(labels)), times)
    expected = metrics.gap(good.classes[rows], good.logits[rows], labels.take(rows))
    hits = metrics.ranked_hits(good.classes, good.logits, labels)
    found = bootstrap.weighted_gap(*hits, labels.counts(), times)
    # Ties between different videos may fall in another order when a video is repeated.
    assert found == pytest.approx(expected, abs=1e-3)
    once = np.ones(len(labels), np.int64)
    whole = bootstrap.weighted_gap(*hits, labels.counts(), once)
    assert whole == pytest.approx(metrics.gap(good.classes, good.logits, labels), abs=1e-12)


def test_a_clear_difference_is_clear_and_none_is_none(world):
    _, good, bad = world
    found = _bootstrap(world, bad, good)
    low, high = found["interval"]
    assert 0 < low < found["difference"] < high
    assert found["better"] == 1
    same = _bootstrap(world, good, good)
    assert same["interval"] == [0, 0]


def test_pairing_narrows_the_interval(world):
    """The spread of the difference is below that of two independent GAPs."""
    labels, good, _ = world
    shift = np.random.default_rng(5).normal(size=good.logits.shape) * 0.05
    similar = Predictions(good.ids, good.classes, (good.logits + shift).astype(np.float16))
    low, high = _bootstrap(world, good, similar)["interval"]
    rng, gaps = np.random.default_rng(0), []
    hits = metrics.ranked_hits(good.classes, good.logits, labels)
    for _ in range(200):
        times = np.bincount(rng.integers(0, 300, 300), minlength=300)
        gaps.append(bootstrap.weighted_gap(*hits, labels.counts(), times))
    assert high - low < 1.96 * np.std(gaps) * 2**0.5  # half of it


def test_groups_are_drawn_as_wholes(world):
    """Every video twice is no new evidence if the two are a group."""
    labels, good, bad = world
    twice = np.repeat(np.arange(len(labels)), 2)
    names = np.array([f"{row:04d}".encode() for row in twice])
    many = labels.take(twice)
    hits = [metrics.ranked_hits(one.classes[twice], one.logits[twice], many) for one in (bad, good)]
    found = bootstrap.paired_bootstrap(*hits, many.counts(), 200, 0, names)
    low, high = _bootstrap(world, bad, good)["interval"]
    assert found["interval"] == pytest.approx([low, high], abs=1e-3)
    low_alone, high_alone = bootstrap.paired_bootstrap(*hits, many.counts(), 200, 0)["interval"]
    assert (high_alone - low_alone) < 0.85 * (high - low)


def test_files_are_joined_by_id_and_what_only_one_has_is_counted(
    world, store, splits, tmp_path, capsys
):
    rng = np.random.default_rng(2)
    rows = np.concatenate([splits.rows(1), splits.holdout])
    one = _system(rng, store.labels.take(rows), 0.5)
    one = Predictions(store.ids[rows], one.classes, one.logits)
    order = rng.permutation(len(store))[10:]
    two = _system(rng, store.labels.take(order), 0.7)
    two = Predictions(store.ids[order], two.classes, two.logits)
    one.write(tmp_path / "one.safetensors")
    lines = ["VideoId,LabelConfidencePairs"]
    for row in range(len(order)):
        scores = 1 / (1 + np.exp(-two.logits[row].astype(float)))
        pairs = zip(two.classes[row], scores, strict=True)
        lines.append(two.ids[row].decode() + "," + " ".join(f"{c} {p:.8f}" for c, p in pairs))
    (tmp_path / "two.csv").write_text("\n".join(lines) + "\n")
    files = (tmp_path / "one.safetensors", tmp_path / "two.csv", [store.folder])
    compare.main(*files, samples=20)
    printed = capsys.readouterr().out.splitlines()
    found = json.loads(printed[-1])
    common = np.isin(rows, order)
    assert found["videos"] == common.sum()
    assert found["left_out"] == [int((~common).sum()), len(order) - int(common.sum())]
    labels = store.labels.take(rows[common])
    expected = metrics.gap(one.classes[common], one.logits[common], labels)
    assert found["first"] == pytest.approx(expected, abs=1e-3)  # float16 ties, in another order
    first, second = found["figures"]
    assert first == pytest.approx(
        metrics.evaluate(one.classes[common], one.logits[common], labels, 40), abs=1e-3
    )
    other = two.align(store.ids[rows[common]])
    assert second == pytest.approx(
        metrics.evaluate(other.classes, other.logits, labels, 40), abs=2e-3
    )
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in printed if "|" in line]
    assert lines[0] == ["file", "GAP@20", "mAP", "Hit@1", "PERR"]
    names = ("gap20", "map", "hit1", "perr")
    assert lines[2] == [str(files[0]), *(f"{first[name]:.4f}" for name in names)]
    assert lines[3] == [str(files[1]), *(f"{second[name]:.4f}" for name in names)]
    folds = store.folder.parent / "folds.safetensors"
    compare.main(*files, folds=str(folds), samples=20)
    alone = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert alone["videos"] == np.isin(splits.holdout, order).sum()
    one_group = Splits(splits.fold, np.full(len(store), b"one"))
    one_group.write(tmp_path / "grouped.safetensors", store.ids)
    compare.main(*files, folds=str(tmp_path / "grouped.safetensors"), samples=20)
    grouped = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert grouped["interval"] == pytest.approx([grouped["difference"]] * 2, abs=1e-12)
    with pytest.raises(InputError, match="--part fold1: needs --folds"):
        compare.main(*files, part="fold1")
    with pytest.raises(InputError, match="--part test: holdout, fold0, .* are allowed"):
        compare.main(*files, folds=str(folds), part="test")


def test_a_stores_videos_without_labels_do_not_count(store, monkeypatch):
    labelled = np.ones(len(store), bool)
    labelled[::3] = False
    monkeypatch.setattr(compare.Store, "__init__", _with(store, labelled))
    ids, labels = compare.labels_of([store.folder])
    assert ids.tolist() == store.ids[labelled].tolist()
    assert len(labels) == labelled.sum()


def _with(store, labelled):
    def init(self, folder):
        vars(self).update(vars(store) | {"labelled": labelled})

    return init


def test_files_without_a_common_video_say_so(world, store, tmp_path):
    other = world[1]
    arrays = {"ids": other.ids, "classes": other.classes, "logits": other.logits}
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(InputError, match="no labelled video is in both"):
        compare.main(tmp_path / "other.npz", tmp_path / "other.npz", [store.folder])
