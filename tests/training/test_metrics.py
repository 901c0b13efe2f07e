"""Metrics against direct, slow definitions, with ties, empty label lists and short lists."""

from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss
from slow_metrics import slow_map_at_k

from yt8m.records.labels import Labels
from yt8m.training import metrics


@contextmanager
def _small_blocks():
    """Few videos and few predictions at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(metrics, "BLOCK", 7)
        patch.setattr(metrics, "TOGETHER", 10)
        yield


def _case(seed: int, videos: int = 40, classes: int = 12, k: int = 6, decimals: int = 1):
    rng = np.random.default_rng(seed)
    lists = [rng.choice(classes, rng.integers(0, 4), replace=False) for _ in range(videos)]
    lists[0] = [1]
    top = np.stack([rng.permutation(classes)[:k] for _ in range(videos)])
    return top, np.round(rng.random((videos, k)), decimals), lists


def _slow_gap(classes, scores, lists, k):
    found = []
    for row, wanted in enumerate(lists):
        ranked = sorted(zip(-scores[row], range(classes.shape[1]), classes[row], strict=True))[:k]
        found += [(score, row, place, c in wanted) for place, (score, _, c) in enumerate(ranked)]
    found.sort(key=lambda item: item[:3])
    hits, total = 0, 0.0
    for rank, (_, _, _, hit) in enumerate(found, 1):
        hits += hit
        total += hit * hits / rank
    return total / sum(map(len, lists))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 8), st.sampled_from("ed"))
def test_gap_equals_a_direct_definition_with_ties(seed, decimals, k, kind):
    classes, scores, lists = _case(seed, decimals=decimals)
    scores = (scores - 0.5).astype(np.dtype(kind))
    scores[scores == 0] *= np.sign(scores[::-1][scores == 0])  # zeros of both signs are equal
    with _small_blocks():
        found = metrics.gap(classes, scores, Labels.from_lists(lists), k)
    assert found == pytest.approx(_slow_gap(classes, scores, lists, k))


def test_what_is_no_number_comes_last():
    labels, classes = Labels.from_lists([[0], [1]]), np.array([[1, 0], [1, 2]])
    for kind in (np.float16, np.float32):
        scores = np.array([[np.nan, 0.5], [0.25, -np.inf]], kind)
        assert metrics.gap(classes, scores, labels) == 1.0


def test_gap_equals_sklearn_without_ties_and_with_all_positives_kept():
    rng = np.random.default_rng(0)
    scores = rng.random((50, 8))
    lists = [np.flatnonzero(rng.random(8) < 0.3) for _ in range(50)]
    truth = np.zeros((50, 8))
    for row, wanted in enumerate(lists):
        truth[row, wanted] = 1
    classes = np.tile(np.arange(8), (50, 1))
    expected = average_precision_score(truth.ravel(), scores.ravel())
    assert metrics.gap(classes, scores, Labels.from_lists(lists)) == pytest.approx(expected)
    mean, counted = metrics.mean_average_precision(classes, scores, Labels.from_lists(lists), 8)
    assert mean == pytest.approx(average_precision_score(truth, scores, average="macro"))
    assert counted == 8


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000))
def test_hits_and_perr_equal_direct_definitions(seed):
    classes, scores, lists = _case(seed, decimals=6)
    labels = Labels.from_lists(lists)
    ranked = [list(c[np.argsort(-s, kind="stable")]) for c, s in zip(classes, scores, strict=True)]
    with_labels = [(r, set(w)) for r, w in zip(ranked, lists, strict=True) if len(w)]
    for k in (1, 5):
        expected = np.mean([bool(w & set(r[:k])) for r, w in with_labels])
        with _small_blocks():
            assert metrics.hit_at(classes, scores, labels, k) == pytest.approx(expected)
    expected = np.mean([len(w & set(r[: len(w)])) / len(w) for r, w in with_labels])
    with _small_blocks():
        assert metrics.perr(classes, scores, labels) == pytest.approx(expected)


def test_classes_without_positives_are_not_counted():
    labels = Labels.from_lists([[3], [3]])
    classes, scores = np.array([[3, 1], [1, 3]]), np.array([[0.9, 0.1], [0.8, 0.2]])
    mean, counted = metrics.mean_average_precision(classes, scores, labels, 5)
    assert counted == 1
    assert mean == pytest.approx((1 + 2 / 2) / 2)


def test_evaluate_is_json_and_null_without_videos():
    empty = Labels.from_lists([])
    figures = metrics.evaluate(np.zeros((0, 20), int), np.zeros((0, 20)), empty, 5)
    assert figures["gap20"] is None
    assert figures["videos"] == 0
    classes, scores, lists = _case(1)
    figures = metrics.evaluate(classes, scores, Labels.from_lists(lists), 12)
    labels = Labels.from_lists(lists)
    mean, counted = metrics.mean_average_precision(classes, scores, labels, 12)
    assert figures == {
        "gap20": metrics.gap(classes, scores, labels),
        "map": mean,
        "classes": counted,
        "hit1": metrics.hit_at(classes, scores, labels, 1),
        "hit5": metrics.hit_at(classes, scores, labels, 5),
        "perr": metrics.perr(classes, scores, labels),
        "videos": 40,
    }
    assert len(set(figures.values())) == 7


@pytest.mark.parametrize("kind", ["e", "d"])
def test_evaluate_counts_the_20_best_of_longer_lists(kind):
    classes, scores, lists = _case(2, classes=40, k=30)
    scores, labels = scores.astype(kind), Labels.from_lists([[*row, 39, 38] for row in lists])
    order = np.argsort(-scores, axis=1, kind="stable")[:, :20]
    best = np.take_along_axis(classes, order, 1), np.take_along_axis(scores, order, 1)
    with _small_blocks():
        assert metrics.evaluate(classes, scores, labels, 40) == metrics.evaluate(*best, labels, 40)
    mean = metrics.mean_average_precision(classes, scores, labels, 40)
    assert metrics.evaluate(classes, scores, labels, 40)["map"] < mean[0]
    assert mean == metrics.mean_average_precision(classes, scores.astype(float), labels, 40)


@pytest.mark.parametrize("kept", [3, 12])
def test_cross_entropy_equals_sklearn_when_all_is_kept_and_is_less_otherwise(kept, monkeypatch):
    monkeypatch.setattr(metrics, "BLOCK", 7)
    rng = np.random.default_rng(0)
    logits, lists = rng.normal(size=(40, 12)) * 4, _case(1)[2]
    truth = np.array([[c in row for c in range(12)] for row in lists])
    exact = log_loss(truth.ravel(), 1 / (1 + np.exp(-logits.ravel())))
    top = np.argsort(-logits, axis=1)[:, :kept]
    values = np.take_along_axis(logits, top, 1)
    found = metrics.cross_entropy(top, values, Labels.from_lists(lists), 12)
    slow = (
        sum(
            np.log1p(np.exp(-max(z, v.min()) if c in row else z)) if c in t or c in row else 0.0
            for t, v, row, all_z in zip(top, values, lists, logits, strict=True)
            for c, z in enumerate(all_z)
        )
        / truth.size
    )
    assert found == pytest.approx(slow, rel=1e-5)
    assert found == pytest.approx(exact, rel=1e-5) if kept == 12 else found < exact


def test_a_million_predictions_need_no_loop_over_videos():
    rng = np.random.default_rng(0)
    classes = np.argsort(rng.random((50_000, 40)), axis=1)[:, :20]
    labels = Labels.from_lists(rng.integers(0, 40, (50_000, 3)))
    assert 0.03 < metrics.gap(classes, rng.random((50_000, 20)), labels) < 0.045  # chance


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 40))
def test_map_at_k_equals_a_direct_definition_with_ties(seed, decimals, k):
    rng = np.random.default_rng(seed)
    classes, rated = rng.integers(0, 5, 60), rng.integers(-1, 2, 60)
    scores = np.round(rng.random(60), decimals)
    missed = rng.integers(0, 3, 6)
    positives = np.bincount(classes[rated > 0], minlength=6) + missed
    positives[rng.integers(6)] = 0  # a class without positives: its negatives do not count
    rated[(rated > 0) & (positives[classes] == 0)] = 0
    pairs = list(zip(classes.tolist(), scores.tolist(), rated.tolist(), strict=True))
    with _small_blocks():
        found = metrics.map_at_k(classes, scores, rated, positives, k)
    if positives.any():
        assert found == pytest.approx(slow_map_at_k(pairs, positives, k))
    else:
        assert np.isnan(found[0])


def test_map_at_k_by_hand():
    classes, scores = np.zeros(5, int), np.array([0.9, 0.8, 0.7, 0.6, 0.5])
    rated = np.array([-1, 1, 0, -1, 1])
    value, counted = metrics.map_at_k(classes, scores, rated, np.array([2, 0]), 5)
    assert (value, counted) == (pytest.approx((1 + 2 / 3) / 2), 1)
    cut, _ = metrics.map_at_k(classes, scores, rated, np.array([2, 0]), 4)
    assert cut == pytest.approx(1 / 2), "K counts the segments that nobody rated too"
