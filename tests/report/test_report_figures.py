"""What the report computes, against direct definitions; how its drawings are scaled."""

from types import SimpleNamespace
from xml.etree import ElementTree

import numpy as np
import pytest

from report import overview, page
from report.figures import clean, confidence, ensemble
from report.figures.errors import count
from report.figures.svg import Axis, Plot, decades, powers, round_numbers, shades
from yt8m.data.predictions import Predictions
from yt8m.records.labels import Labels
from yt8m.training import metrics


def _case(seed, videos=60, classes=9, k=5):
    rng = np.random.default_rng(seed)
    lists = [rng.choice(classes, rng.integers(0, 4), replace=False) for _ in range(videos)]
    top = np.stack([rng.permutation(classes)[:k] for _ in range(videos)])
    logits = -np.sort(-rng.normal(size=top.shape) * 3, axis=1)
    return top.astype(np.uint16), logits.astype(np.float16), lists


@pytest.mark.parametrize(("seed", "k"), [(0, 5), (1, 9), (2, 1)])
def test_right_and_wrong_labels_follow_the_papers_definitions(seed, k):
    top, _, lists = _case(seed, k=k)
    counts = count(top, Labels.from_lists(lists), 9)
    right, wrong, missed = np.zeros((3, 9), int)
    for ranked, wanted in zip(top.tolist(), lists, strict=True):
        negatives = [c for c in ranked if c not in wanted]
        below = [c for c in wanted if c not in ranked]  # scored below everything listed
        for c in wanted:
            beats_all = c in ranked and not any(
                ranked.index(n) < ranked.index(c) for n in negatives
            )
            (right if beats_all else missed)[c] += 1
        for c in negatives:
            over = any(c2 in wanted and ranked.index(c) < ranked.index(c2) for c2 in ranked)
            wrong[c] += bool(over or below)
    assert counts.true_positive.tolist() == right.tolist()
    assert counts.false_positive.tolist() == wrong.tolist()
    assert counts.false_negative.tolist() == missed.tolist()


def test_precision_recall_f1_and_groups():
    counts = count(np.array([[0, 1], [1, 2]], np.uint16), Labels.from_lists([[0], [2]]), 4)
    assert counts.precision[:3].tolist() == pytest.approx([1, 0, np.nan], nan_ok=True)
    assert counts.recall.tolist() == pytest.approx([1, np.nan, 0, np.nan], nan_ok=True)
    assert counts.f1.tolist() == pytest.approx([1, 0, 0, np.nan], nan_ok=True)
    grouped = counts.of_groups(np.array([0, 0, 1, -1]), 2)
    assert grouped.true_positive.tolist() == [1, 0]
    assert grouped.false_positive.tolist() == [1, 0]


def test_mistakes_are_the_cross_entropy_of_a_video():
    top, logits, lists = _case(4)
    labels = Labels.from_lists(lists)
    found = metrics.cross_entropies(top, logits, labels)
    for row in range(60):
        z, expected = logits[row].astype(float), 0.0
        for c, value in zip(top[row], z, strict=True):
            expected += np.log1p(np.exp(-value if c in lists[row] else value))
        expected += sum(np.log1p(np.exp(-z.min())) for c in lists[row] if c not in top[row])
        assert found[row] == pytest.approx(expected)


def test_thresholds_and_curve_equal_direct_counts():
    top, logits, lists = _case(5, videos=200)
    labels, found = Labels.from_lists(lists), Predictions(np.arange(200), top, logits)
    precision, recall = confidence.at_thresholds(found, labels)
    hits = labels.contains(top)
    for place in (0, 40, 70):
        called = found.scores >= confidence.STEPS[place]
        assert precision[place] == pytest.approx(hits[called].mean())
        assert recall[place] == pytest.approx(hits[called].sum() / len(labels.indices))
    few = Predictions(np.arange(3), top[:3], logits[:3])  # 15 pairs
    assert np.isnan(confidence.at_thresholds(few, labels.take(np.arange(3)))[0]).all()
    along, height = clean.curve(found, labels)
    assert (np.diff(along) >= 0).all()
    assert height[-1] == pytest.approx(hits.mean())
    assert along[-1] == pytest.approx(hits.sum() / len(labels.indices))


def test_reliability_bins_hold_everything_once():
    rng = np.random.default_rng(0)
    probability = rng.random(5000)
    said, right, number = confidence.bins(probability, rng.random(5000) < probability)
    assert number.sum() == 5000
    assert np.abs(said - right).max() < 0.06  # drawn to be reliable


def test_correlations_are_numpys_and_neighbours_are_alike():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 300))
    logits = np.stack([first, second, first + 0.1 * second, second + 0.1 * first])
    found = ensemble.correlations(SimpleNamespace(logits=logits.reshape(4, 30, 10)))
    assert found == pytest.approx(np.corrcoef(logits))
    order = ensemble._by_likeness(found).tolist()
    assert abs(order.index(0) - order.index(2)) == 1
    assert abs(order.index(1) - order.index(3)) == 1


@pytest.mark.parametrize("count", [1, 2, 30, 115])
def test_a_map_of_any_number_of_models_stays_small(count):
    rng = np.random.default_rng(2)
    group = SimpleNamespace(logits=rng.normal(size=(count, 20, 5)), ids=np.arange(20))
    run = SimpleNamespace(models=[f"m{i}" for i in range(count)], has_holdout=True)
    drawing = str(ensemble.correlation_map(run, group).drawing)
    assert len(drawing) < 700_000
    assert "nan" not in drawing
    assert (">m0</text>" in drawing) == (count <= 45)
    assert drawing.count("<title>m") == count


def test_standard_error():
    assert overview.standard_error([]) is overview.standard_error([0.5]) is None
    values = [0.1, 0.2, 0.4, 0.3, 0.5]
    assert overview.standard_error(values) == pytest.approx(np.std(values, ddof=1) / np.sqrt(5))


def test_the_ladder_counts_all_that_an_ensemble_needs_and_all_that_was_trained():
    base = {"gap_oof": 0.5, "gap_single": 0.4, "gap_five": 0.45}
    model = {"system": "a", "kind": "model", "megabytes": 2.0, "seconds": 50.0} | base
    lines = [
        model,
        model | {"system": "b", "gap_oof": 0.6, "megabytes": 3.0, "seconds": 25.0},
        model | {"system": "stack", "kind": "ensemble", "megabytes": 1.0, "seconds": 5.0},
        model | {"system": "student", "kind": "student", "megabytes": 4.0, "seconds": 7.0},
        model | {"system": "export", "kind": "student", "megabytes": 2.0, "seconds": None},
    ]
    steps = {
        step["system"]: (step["megabytes"], step["seconds"]) for step in overview.ladder(lines)
    }
    assert steps == {
        "best model: b": (3, 5),
        "its five folds averaged": (15, 25),
        "stack": (26, 80),
        "student": (4, 87),
        "export": (2, 87),
    }
    assert overview.ladder(lines, reranker_seconds=9)[-1]["seconds"] == 96


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.31, 0.36), (-3, 12000), (5, 5.0001)])
def test_round_ticks_are_inside_and_few(low, high):
    ticks = round_numbers(low, high)
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


@pytest.mark.parametrize(("low", "high"), [(1, 9), (0.9, 1e6), (37, 45), (1e-4, 1)])
def test_logarithmic_ticks_are_inside_and_few(low, high):
    assert len(powers(low, high)) <= 6
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in powers(low, high))


def test_nothing_is_drawn_outside_the_axes_and_texts_are_escaped():
    plot = Plot(Axis("x", 0, 1), Axis("y", 1, 1000, log=True))
    xs, ys = plot.at([-5, 0.5, 99], [0, 10, 1e9])
    assert xs.min() >= plot.left
    assert xs.max() <= plot.width - plot.right
    assert ys.min() >= plot.top
    assert ys.max() <= plot.height - plot.bottom
    plot.dots([0.5], [10], "ink", ["<b>&"])
    plot.line([0, np.nan, 1], [1, 10, np.inf], "ink")
    text = str(plot.svg("a < b"))
    assert "&lt;b&gt;&amp;" in text
    assert "nan" not in text
    assert "inf" not in text


def test_thousands_of_dots_are_one_path():
    plot = Plot(Axis("x", 0, 1), Axis("y", 0, 1))
    plot.dots(np.linspace(0, 1, 4000), np.linspace(0, 1, 4000), "soft", ["text"] * 4000)
    assert len(plot.shapes) == 1
    assert len(plot.shapes[0]) < 100_000


def test_shades_draw_each_cell_once_and_zero_not_at_all():
    values = np.array([[0.0, 0.5], [1.0, 0.5]])
    drawn = shades(np.arange(3), np.arange(3), values)
    assert drawn.count("M") == 3
    assert drawn.count("<path") == 2


def test_small_figures_places_and_durations_are_readable():
    assert (page.small(0.00097), page.small(0.0723), page.small(None)) == ("9.70e-4", "0.0723", "–")
    assert (page.place(5, 0, 10), page.place(None, 0, 1), page.place(3, 1, 1)) == (
        "50.00", "0.00", "0.00",
    )  # fmt: skip
    texts = [overview.duration(seconds) for seconds in (None, 59.6, 200, 7500)]
    assert texts == ["–", "1 min 00 s", "3 min 20 s", "2 h 05 min"]


def test_embedded_json_cannot_end_its_script():
    text = page.embed({"name": "</script><!--"})
    assert "<" not in text


def test_names_at_the_ends_of_lines_are_apart_and_in_their_order():
    plot = Plot(decades("x", [1, 30]), decades("y", [1, 90]), right=90)
    plot.ends(30, [50, 49, 2], ["a<b", "second", "last"], ["s0", "s1", "s2"])
    drawing = ElementTree.fromstring(str(plot.svg("ends", "text{fill:red}")))
    ends = [part for part in drawing.iter() if (part.get("class") or "").startswith("end ")]
    assert [part.text for part in ends] == ["a<b", "second", "last"]
    heights = [float(part.get("y")) for part in ends]
    assert min(np.diff(heights)) >= 14
    assert plot.svg("inline").startswith("<svg viewBox"), "a page has the namespace and the style"
