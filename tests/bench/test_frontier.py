"""Exports of sets of models, their fidelity, and cross-fitted soft labels, on a small run."""

import re

import numpy as np
import pytest
from distill_world import make_run
from export_world import run_export

from bench.experiments import crossfit, fidelity, frontier
from yt8m.base.files import read_json, write_json
from yt8m.data.predictions import Predictions
from yt8m.data.store import Store

MODELS = {"wide": ("mlp", {"widths": [12]}, {}), "heard": ("linear", {}, {"features": ["audio"]})}


@pytest.fixture(scope="module")
def run(data_set, tmp_path_factory):
    run = tmp_path_factory.mktemp("frontier")
    make_run(run, data_set, MODELS, epochs=1)
    (run / "store").symlink_to(data_set / "store")
    (run / "soft.safetensors").rename(run / "stacking/soft_labels.safetensors")
    write_json(run / "stacking/report.json", {"members": dict.fromkeys(MODELS)})
    return run


def test_a_set_is_exported_and_scored(run, tmp_path):
    frontier.main(run, tmp_path, "heard+wide", dtypes="int8")
    (point,) = read_json(tmp_path / "points.json")
    assert (point["members"], point["dtype"]) == ("heard+wide", "int8")
    assert 0 < point["fold"] < 1
    assert point["megabytes"] > 0.05
    row = (tmp_path / "table.md").read_text().splitlines()[2].split("|")
    figures = [float(cell) for cell in row[3:-1]]
    expected = [point["holdout"][name] for name in ("gap20", "map", "hit1", "perr")]
    np.testing.assert_allclose(figures[1:], [point["fold"], *expected], atol=6e-5)
    assert (tmp_path / "frontier.svg").read_text().count("<polyline") == 1
    before = (tmp_path / "table.md").read_text()
    frontier.main(run, tmp_path, "heard+wide", dtypes="int8")
    assert (tmp_path / "table.md").read_text() == before


def test_fidelity_of_a_perfect_and_of_a_shuffled_student(run, data_set, tmp_path):
    """By the figures' definition: an export's own lists overlap wholly and lose the entropy."""
    rng = np.random.default_rng(0)
    classes = np.array([rng.permutation(30)[:20] for _ in range(9)])
    logits = -np.sort(-rng.normal(size=(9, 20)), axis=1).astype(np.float16)
    teacher = Predictions(np.arange(9).astype("S"), classes.astype(np.uint16), logits)
    scores = 1 / (1 + np.exp(-logits.astype(np.float64)))
    overlap, loss, entropy = fidelity.figures_of(teacher, classes, scores)
    assert overlap == 1
    assert loss == pytest.approx(entropy, rel=1e-5)
    other = fidelity.figures_of(teacher, classes[:, ::-1], scores)
    assert other[0] == 1
    assert other[1] > loss + 1
    absent = fidelity.figures_of(teacher, classes + 30, scores)
    assert absent[0] == 0
    run_export(run / "distill", data_set, run / "export", onnx=False)
    names = np.array(Store(run / "store").ids)
    (run / "stacking/holdout").mkdir(exist_ok=True)
    everything = Predictions(names, np.tile(classes[:1], (len(names), 1)).astype(np.uint16),
                             np.tile(logits[:1], (len(names), 1)))  # fmt: skip
    everything.write(run / "stacking/holdout/stack.safetensors")
    fidelity.main(run, videos=50)
    table = (run / "fidelity.md").read_text()
    assert re.findall(r"\| (\w+) +\| 50", table) == ["training", "holdout"]


def test_soft_labels_of_a_fold_know_neither_its_labels_nor_their_own(run, tmp_path, monkeypatch):
    """The rows that teachers and networks learn from, as they are asked for."""
    asked, fit = {}, crossfit.fit

    def note(model, examples, settings, folder, name, *rest):
        asked[str(folder.relative_to(tmp_path))] = examples.rows
        return fit(model, examples, settings, folder, name, *rest)

    monkeypatch.setattr(crossfit, "fit", note)
    crossfit.main(run, tmp_path, "wide heard", "wide", epochs=1)
    data = Store(run / "store")
    fold = crossfit.Splits.read(run / "folds.safetensors", data.ids).fold
    for path, rows in asked.items():
        if path.startswith("pairs/"):
            left_out = {int(k) for k in path.split("/")[1]}
            assert set(fold[rows]) == set(range(5)) - left_out
    assert sum(path.startswith("pairs/") for path in asked) == 20
    for k in range(5):
        soft = Predictions.read(tmp_path / f"without{k}/predictions.safetensors")
        rows = np.flatnonzero(np.isin(data.ids, soft.ids))
        assert set(fold[rows]) == set(range(5)) - {k}
        assert set(fold[asked[f"run/first_level/wide/fold{k}"]]) == set(range(5)) - {k}
    found = read_json(tmp_path / "result.json")
    assert found.keys() == {"labels", "soft labels"}
    assert all(0 < value <= 1 for part in found.values() for value in part.values())
