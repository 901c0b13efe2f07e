"""Each line, dot and row that a page draws is of what its legend, title or column says.

All numbers differ, so that an exchange of any two is seen.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from report import browser
from report.figures import clean, confidence, curves, ensemble, error_figures
from report.figures.errors import Counts
from report.run import Sample
from stacking import features
from yt8m.base.paths import Artifacts
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.data.splits import seed_of
from yt8m.records.labels import Labels
from yt8m.training import metrics

STACK = {"members": {"a": {"gain": 0.7, "gap_oof": 0.5}, "b": {"gain": 0.0, "gap_oof": 0.4}}}


class Pen:
    """A plot that notes what is drawn: (style, xs, ys) of lines and dots."""

    def __init__(self, *axes, **more):
        self.lines, self.points, self.words = [], [], []

    def line(self, xs, ys, style):
        self.lines.append((style, np.asarray(xs, float), np.asarray(ys, float)))

    def dots(self, xs, ys, style, *more):
        self.points.append((style, np.asarray(xs), np.asarray(ys)))

    def text(self, x, y, text, *more):
        self.words.append(text)

    def svg(self, title):
        return self

    def of(self, style) -> np.ndarray:
        """(2, n): the one line of a style."""
        [found] = [(xs, ys) for own, xs, ys in self.lines if own == style]
        return np.array(found)


@pytest.fixture
def pen(monkeypatch):
    for module in (confidence, clean, curves, error_figures):
        monkeypatch.setattr(module, "Plot", Pen)


def test_each_curve_stands_under_its_own_name(pen):
    def history(*values):
        return [{"loss": value, "lr": 9.0} for value in values]

    reports = {
        name: [{"gap_fold": 0.1 * place + k / 100, "epochs": history(place, k)} for k in (1, 2)]
        for place, name in enumerate("abc")
    }
    students = {"student": {"history": history(7, 8)}, "refit/a/copy1": {"history": history(5, 6)}}
    run = SimpleNamespace(models=list("abc"), reports=reports, students=students)
    panels, left_out = curves.learning(run)
    found = {p.title: [ys.tolist() for _, _, ys in p.drawing.lines] for p in panels}
    assert found == {
        "c": [[2, 1], [2, 2]],
        "b": [[1, 1], [1, 2]],
        "a": [[0, 1], [0, 2]],
        "student: last layers": [[7, 8]],
        "refit a copy1": [[5, 6]],
    }
    assert [panel.title for panel in panels][:3] == ["c", "b", "a"], "the best first"
    assert left_out == 0
    for job in reports["a"]:
        job["epochs"] = [line | {"gap": 0.5 - line["loss"]} for line in job["epochs"]]
    [first] = [panel for panel in curves.learning(run)[0] if panel.title == "a"]
    assert [ys.tolist() for _, _, ys in first.drawing.lines] == [[0.5, -0.5], [0.5, -1.5]]


def test_of_many_models_the_best_and_the_worst_are_drawn(pen):
    names = [f"m{i:02d}" for i in range(curves.PANELS + 5)]
    epochs = [{"loss": 1.0}, {"loss": 0.5}]
    reports = {name: [{"gap_fold": int(name[1:]), "epochs": epochs}] for name in names}
    panels, left_out = curves.learning(SimpleNamespace(models=names, reports=reports, students={}))
    half = curves.PANELS // 2
    falling = names[::-1]
    assert [panel.title for panel in panels] == falling[:half] + falling[-half:]
    assert left_out == 5


def test_reliability_and_thresholds_draw_what_their_legends_say(pen):
    rng = np.random.default_rng(0)
    classes = np.stack([rng.permutation(9)[:4] for _ in range(300)]).astype(np.uint16)
    labels = rng.random(classes.shape) < 0.4
    logits = {name: rng.normal(size=classes.shape) * 2 for name in ("mean", "stack")}
    ids = np.array([f"{i:03d}".encode() for i in range(300)])
    order = np.argsort(-rng.normal(size=classes.shape), axis=1)
    exported = Predictions(
        ids, np.take_along_axis(classes, order, 1), -np.sort(-rng.normal(size=classes.shape))
    )
    group = Sample(ids, classes, labels, None, sigmoid(logits["mean"]), logits["stack"], None, None)
    truth = Labels.from_lists([c[own] for c, own in zip(classes, labels, strict=True)])
    run = SimpleNamespace(
        exported=exported, num_classes=9, has_holdout=True, judged=(exported, "all"),
        labels_of=lambda ids: truth,
    )  # fmt: skip
    figure = confidence.reliability(run, group)
    back = np.argsort(order, axis=1)
    scores = {"mean of the models": group.mean, "after stacking": sigmoid(logits["stack"])}
    scores["export"] = sigmoid(np.take_along_axis(exported.logits, back, 1))
    for style, text in figure.legend:
        name = text.split(" (")[0]
        predicted, right, number = confidence.bins(scores[name].ravel(), labels.ravel())
        kept = number >= confidence.FEW
        np.testing.assert_allclose(figure.drawing.of(style), [predicted[kept], right[kept]])
        gap = (np.abs(predicted - right) * number).sum() / number.sum()
        assert text == f"{name} (mean gap {gap:.4f})"
    assert len(figure.legend) == 3
    figure = confidence.thresholds(run)
    precision, recall = confidence.at_thresholds(exported, truth)
    expected = {"precision": precision, "recall": recall}
    for style, name in figure.legend:
        np.testing.assert_array_equal(figure.drawing.of(style)[1], expected[name])


def test_clean_labels_and_systems_keep_their_names(pen, monkeypatch):
    systems = {"export": "E", "stack": "S"}
    compared = {
        "export": {"recall": 0.5, "noisy_precision": 0.6, "soft_precision": 0.7},
        "stack": {"recall": 0.5, "noisy_precision": 0.6, "soft_precision": 0.8},
    }
    monkeypatch.setattr(clean, "curve", lambda found, _: ([0, 1], [0, ord(found)]))
    group = clean.Group("t", "s", None, systems, compared)
    figure = clean.figure(group)
    for style, name in figure.legend:
        assert figure.drawing.of(style)[1].tolist() == [0, ord(systems[name])]
    assert [(s, x.tolist(), y.tolist()) for s, x, y in figure.drawing.points] == [
        ("ink", [0.5], [0.6]), ("accent", [0.5], [0.7]),
    ]  # fmt: skip
    assert figure.drawing.words == ["noisy labels 0.600", "0.700"]
    rows = {line["system"]: line["precision"] for line in clean.lines(group)}
    assert rows == {"noisy labels": 0.6, "export": 0.7, "stack": 0.8}


def test_the_groups_of_clean_labels_are_whose_they_say(monkeypatch, store, splits):
    """Stand-ins for predictions say where they are from."""
    held, trained = store.ids[splits.holdout], store.ids[splits.training]

    def source(name):
        return SimpleNamespace(ids=held, name=name, align=lambda ids: f"{name} {len(ids)}")

    seen = {}
    monkeypatch.setattr(clean.Predictions, "read", lambda path: source(path.parent.name))
    monkeypatch.setattr(clean, "_group", lambda _, title, text, found: seen.update({title: found}))
    run = SimpleNamespace(
        clean="x", store=store, splits=splits, exported=source("export"), models=["a", "b"],
        stacked=source("stack"), stack=STACK, files=Artifacts(store.folder, store.folder),
    )  # fmt: skip
    clean.groups(run)
    soft, systems = seen.values()
    assert soft == {"soft": f"stacking {len(trained)}"}
    assert systems.pop("export").name == "export"
    assert systems == {"stack": f"stack {len(held)}", "best model, a": f"fold0 {len(held)}"}


def test_the_table_of_classes_and_the_models_lines(store, splits, monkeypatch, pen):
    counts = Counts(np.array([5, 0, 9]), np.array([1, 2, 30]), np.array([4, 7, 0]))
    training = np.array([100, 200, 300])
    names = ["x", "y", "z"]
    run = SimpleNamespace(store=SimpleNamespace(class_names=names))
    table = error_figures.class_table(run, error_figures.Analysis("", counts, training))
    assert table == [
        ["z", 300, 9, 9, 30, 0, 0.375], ["y", 200, 7, 0, 2, 7, 0.0], ["x", 100, 9, 5, 1, 4, 0.6667],
    ]  # fmt: skip
    drawn = error_figures._against_samples(run, error_figures.Analysis("", counts, training))
    [(_, xs, ys)] = drawn.drawing.points
    assert (xs.tolist(), ys.round(4).tolist()) == ([100, 200, 300], [0.6667, 0, 0.375])
    assert drawn.drawing.of("accent").round(4).tolist() == [[200], [0.375]], "medians"
    found = Predictions(store.ids[:9], np.zeros((9, 20), np.uint16), np.zeros((9, 20)))
    judged = SimpleNamespace(
        store=store, splits=splits, judged=(found, "all"), num_classes=30,
        labels_of=lambda ids: store.labels.take(np.arange(9)),
    )  # fmt: skip
    expected = np.bincount(store.labels.take(splits.training).indices, minlength=30)
    assert error_figures.analyse(judged).training.tolist() == expected.tolist()
    monkeypatch.setattr(ensemble, "shuffled_losses", lambda *_: (0.5, np.array([0.2, 0.1])))
    monkeypatch.setattr(ensemble, "correlations", lambda _: np.array([[1, 0.3], [0.3, 1]]))
    run = SimpleNamespace(models=["b", "a"], stack=STACK)
    lines, whole, videos = ensemble.importance(run, SimpleNamespace(ids=range(70)))
    assert (whole, videos) == (0.5, 70)
    assert lines == [
        {"model": "a", "gain": 0.7, "loss": 0.1, "nearest": "b", "correlation": 0.3},
        {"model": "b", "gain": 0.0, "loss": 0.2, "nearest": "a", "correlation": 0.3},
    ]


def test_a_shuffled_model_changes_its_own_columns_and_those_of_all(tmp_path, monkeypatch):
    rng, n = np.random.default_rng(0), 30
    logits, tops = rng.normal(size=(2, n, 4)), rng.integers(0, 3, (2, n, 4)).astype(float)
    names, weights = features.names(["a", "b"], {}), rng.normal(size=23)
    prior = rng.normal(size=(n, 4))
    classes = np.stack([rng.permutation(9)[:4] for _ in range(n)]).astype(np.uint16)
    labels = Labels.from_lists([rng.choice(9, 3, replace=False) for _ in range(n)])
    assert len(names) == 22

    def columns(logits) -> np.ndarray:
        own = np.broadcast_arrays(*logits, *features.of_models(logits, *tops), prior)
        return np.stack(own, 2).reshape(n * 4, -1)

    def reached(logits) -> float:
        return metrics.gap(classes, (columns(logits) @ weights).reshape(n, 4), labels)

    rows = SimpleNamespace(matrix=lambda chosen, variant: columns(logits))
    group = Sample(np.arange(n), classes, None, logits, None, None, rows, np.arange(n))
    run = SimpleNamespace(
        files=Artifacts(tmp_path, tmp_path), models=["a", "b"], labels_of=lambda ids: labels
    )
    learner = SimpleNamespace(score=lambda matrix: matrix @ weights)
    monkeypatch.setattr(ensemble, "read_snapshot", lambda *_: None)
    about = {"features": names, "label_features": ["prior"]}
    monkeypatch.setattr(ensemble, "read_json", lambda path: about)
    monkeypatch.setattr(ensemble.Learned, "read", lambda *_: learner)
    whole, losses = ensemble.shuffled_losses(run, group)
    assert whole == pytest.approx(reached(logits))
    order = np.random.default_rng(seed_of("report", "shuffled")).permutation(n)
    for model in (0, 1):
        changed = logits.copy()
        changed[model] = logits[model][order]
        assert losses[model] == pytest.approx(whole - reached(changed))


def test_a_row_of_the_browser_has_each_systems_own_score(monkeypatch):
    classes = np.array([[4, 2, 7]], np.uint16)
    logits = np.array([[[1.0, 0.5, -1]], [[0.2, -0.3, -2]]])
    stack, ids = np.array([[3.0, -3, -4]]), np.array([b"v"])
    student = Predictions(ids, np.array([[2, 4, 9]], np.uint16), np.array([[2.0, 1.5, 0.1]]))
    group = Sample(ids, classes, None, logits, None, stack, None, None)
    run = SimpleNamespace(
        labels_of=lambda ids: Labels.from_lists([[2, 9]]), clean="x", num_classes=10,
        models=["a", "b"],
    )  # fmt: skip
    monkeypatch.setattr(browser, "clean_labels", lambda *_: Labels.from_lists([[4, 9]]))

    def mille(*values):
        return [round(1000 / (1 + np.exp(-x))) for x in values]

    [line] = browser._lines(run, group, student)
    least = 0.1  # the student's last: of a class that it does not list
    assert line["rows"] == [
        [4, 0, 1, *mille(3, 1.5, 1, 0.2)],
        [2, 1, 0, *mille(-3, 2, 0.5, -0.3)],
        [7, 0, 0, *mille(-4, least, -1, -2)],
        [9, 1, 1, -1, *mille(0.1), -1, -1],
    ]
    [line] = browser._lines(run, group, None)
    assert {row[4] for row in line["rows"]} == {-1}
