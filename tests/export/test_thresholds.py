"""Thresholds by brute force; what each form of a student has on the holdout."""

from dataclasses import replace

import numpy as np
import pytest

from distill.export import steps, thresholds
from distill.export.steps import Steps, table_of
from distill.export.thresholds import choose_thresholds
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.records.labels import Labels
from yt8m.training import metrics

CLASSES = 5


def some_predictions(videos=120, seed=0):
    """(soft labels with ties of 3 of 5 classes, labels, of which some are no candidates)."""
    rng = np.random.default_rng(seed)
    classes = np.stack([rng.permutation(CLASSES)[:3] for _ in range(videos)]).astype(np.uint16)
    logits = -np.sort(-rng.integers(-6, 6, (videos, 3)) / 2, axis=1).astype(np.float16)
    lists = []
    for own, values in zip(classes, logits, strict=True):
        true = own[rng.random(3) < sigmoid(values.astype(np.float32))]
        lists.append([*true, *(c for c in range(CLASSES) if c not in own and rng.random() < 0.3)])
    ids = np.array([f"v{i:03d}".encode() for i in range(videos)])
    return Predictions(ids, classes, logits), lists


def f1_of(soft, lists, threshold, wanted) -> float:
    """Of all (video, class) pairs of the wanted classes."""
    said = {
        (video, c)
        for video, (classes, logits) in enumerate(zip(soft.classes, soft.logits, strict=True))
        for c, score in zip(classes, sigmoid(logits), strict=True)
        if score >= threshold and c in wanted
    }
    true = {(video, c) for video, own in enumerate(lists) for c in own if c in wanted}
    return 2 * len(said & true) / max(1, len(said) + len(true))


def precision_recall(soft, lists, threshold, wanted) -> tuple[float, float]:
    """Of all (video, class) pairs of the wanted classes; precision 0 if nothing is said."""
    said = hits = 0
    for own, classes, logits in zip(lists, soft.classes, soft.logits, strict=True):
        for c, score in zip(classes, sigmoid(logits), strict=True):
            if score >= threshold and c in wanted:
                said, hits = said + 1, hits + (c in own)
    return hits / max(said, 1), hits / sum(c in wanted for own in lists for c in own)


@pytest.mark.parametrize("seed", range(3))
def test_thresholds_have_the_largest_f1(seed, monkeypatch):
    monkeypatch.setattr(thresholds, "FEW", 1)
    soft, lists = some_predictions(seed=seed)
    overall, each = choose_thresholds(soft, Labels.from_lists(lists), CLASSES)
    assert each.at.dtype == np.float32
    tried = [0.0, *np.unique(sigmoid(soft.logits))]
    for found, wanted in [
        (overall.at[0], range(CLASSES)),
        *((each.at[c], [c]) for c in range(CLASSES)),
    ]:
        best = max(f1_of(soft, lists, threshold, wanted) for threshold in tried)
        assert f1_of(soft, lists, found, wanted) == pytest.approx(best)
        assert found not in tried, "between two scores"


@pytest.mark.parametrize("precision", [None, 0.7])
def test_what_a_threshold_gives(precision, monkeypatch):
    monkeypatch.setattr(thresholds, "FEW", 1)
    soft, lists = some_predictions(seed=5)
    overall, each = choose_thresholds(soft, Labels.from_lists(lists), CLASSES, precision)
    groups = [(overall, 0, range(CLASSES)), *((each, c, [c]) for c in range(CLASSES))]
    tried = np.append(np.unique(sigmoid(soft.logits)), 1.1)
    for found, at, wanted in groups:
        own = precision_recall(soft, lists, found.at[at], wanted)
        assert own == pytest.approx((found.precision[at], found.recall[at]))
        if precision:
            others = [precision_recall(soft, lists, threshold, wanted) for threshold in tried]
            most = max(recall for high, recall in others if high >= precision or not recall)
            assert own[1] == pytest.approx(most)
            assert own[0] >= precision or not own[1]


def test_no_threshold_is_precise_enough(monkeypatch):
    monkeypatch.setattr(thresholds, "FEW", 1)
    classes = np.zeros((4, 1), np.uint16)
    logits = np.array([[3], [2], [1], [0]], np.float16)
    soft = Predictions(np.array([b"a", b"b", b"c", b"d"]), classes, logits)
    labels = Labels.from_lists([[], [0], [0], [0]])
    overall, each = choose_thresholds(soft, labels, 1, 0.9)
    assert each.at == overall.at == [1.0]
    assert each.recall == [0]
    overall, _ = choose_thresholds(soft, labels, 1, 0.75)
    assert (overall.precision, overall.recall) == ([0.75], [1.0])


def test_a_class_with_few_labels_has_the_threshold_of_all():
    soft, lists = some_predictions()
    counts = [sum(c in own for own in lists) for c in range(CLASSES)]
    kept = [[c for c in own if c or video < 40] for video, own in enumerate(lists)]
    few = sum(0 in own for own in kept)
    assert 0 < few < thresholds.FEW <= min(counts)
    overall, each = choose_thresholds(soft, Labels.from_lists(kept), CLASSES)
    assert each.at[0] == overall.at[0]
    assert each.recall[0] == overall.recall[0]
    assert (each.at[1:] != overall.at[0]).any()


def test_without_labels_a_half():
    soft, lists = some_predictions()
    overall, each = choose_thresholds(soft, Labels.from_lists([[] for _ in lists]), CLASSES)
    assert overall.at == [0.5]
    assert (each.at == 0.5).all()
    assert not each.recall.any()


def test_a_class_that_is_never_hit_has_a_half(monkeypatch):
    monkeypatch.setattr(thresholds, "FEW", 1)
    soft, lists = some_predictions()
    missed = [
        [c for c in own if c not in classes]
        for own, classes in zip(lists, soft.classes, strict=True)
    ]
    assert sum(map(len, missed)) > 40, "labels that are no candidates"
    overall, each = choose_thresholds(soft, Labels.from_lists(missed), CLASSES)
    assert overall.at == [0.5]
    assert (each.at == 0.5).all()
    assert not each.recall.any()


@pytest.fixture
def judged(store, splits):
    """Steps of the videos of the holdout."""
    return Steps(store, splits.holdout, replace(store.dims, max_frames=0))


def answers(found: Steps, renamed=None):
    """A form of a student that knows the labels, but for some noise; it may rename classes."""
    scores = np.random.default_rng(0).normal(size=(len(found.rows), found.dims.classes))
    scores[found.labels.rows(), found.labels.indices] += 2
    order = np.argsort(-scores, axis=1)[:, :20]
    best = order if renamed is None else renamed[order]
    return lambda batch: (best, np.take_along_axis(scores, order, 1))


def test_steps_are_compared_with_the_first(judged):
    shuffled = np.random.default_rng(1).permutation(judged.dims.classes)
    forms = {"float32": answers(judged), "same": answers(judged)}
    forms |= {"shuffled": answers(judged, shuffled)}
    for number, (name, form) in enumerate(forms.items()):
        judged.judge(name, form, 3.14159 - number)
    first, same, last = lines = judged.lines()
    assert [line["step"] for line in lines] == list(forms)
    assert [line["megabytes"] for line in lines] == [3.14, 2.14, 1.14]
    for line in (first, same):
        assert (line["difference"], line["interval"]) == (0, [0, 0])
    for line, form in zip(lines, forms.values(), strict=True):
        assert line["gap20"] == pytest.approx(metrics.gap(*form(None), judged.labels))
        assert line["difference"] == pytest.approx(line["gap20"] - first["gap20"])
        assert line["videos"] == len(judged.rows)
    low, high = last["interval"]
    assert low < last["difference"] < high < -0.1
    text = table_of(lines).splitlines()
    assert len(text) == 2 + len(forms)
    assert text[-1].startswith(
        f"| shuffled | 1.1 | {last['gap20']:.4f} | {last['difference']:+.4f}"
    )


def test_intervals_of_steps_draw_groups(store, splits, judged):
    dims = replace(store.dims, max_frames=0)
    grouped = Steps(store, splits.holdout, dims, np.full(len(store), b"one"))
    shuffled = np.random.default_rng(1).permutation(dims.classes)
    for name, form in {"float32": answers(judged), "shuffled": answers(judged, shuffled)}.items():
        grouped.judge(name, form, 1.0)
    line = grouped.lines()[1]
    assert line["interval"] == pytest.approx([line["difference"]] * 2, abs=1e-12)


def test_a_large_holdout_is_judged_by_videos_from_all_of_it(store, splits, monkeypatch):
    monkeypatch.setattr(steps, "MOST", 9)
    rows = Steps(store, splits.holdout, store.dims).rows
    assert len(set(rows)) == 9
    assert (rows[0], rows[-1]) == (splits.holdout[0], splits.holdout[-1])
    assert set(rows) <= set(splits.holdout)


def test_without_a_holdout_nothing_is_measured(store):
    found = Steps(store, np.zeros(0, np.int64), store.dims)
    found.judge("float32", lambda batch: pytest.fail("there is nothing to judge"), 1.0)
    assert found.lines() == []
    assert "No holdout" in table_of([])
