"""Every figure of the stack's report equals one that is computed anew from what it is of."""

from dataclasses import replace

import numpy as np
import pytest
from stacking_world import CLASSES, MODELS, StackingWorld

from stacking import baselines, report
from stacking.candidates import average
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, Rows
from yt8m.base.files import read_json, write_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS
from yt8m.training import metrics

FOLDS = range(NUM_FOLDS)
GAINS = {"first": 0.1, "second": 0.4, "third": 0.2, "rank": 0.3}
NAMES = ("gap20", "map", "hit1", "hit5", "perr")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(world, report): rows as they are, predictions of a stack, and noted costs that differ."""
    with pytest.MonkeyPatch.context() as patch:
        world = StackingWorld(tmp_path_factory.mktemp("figures"), patch, videos=400)
        world.configure(learner="both", candidates=8, seed=5)
        for k in FOLDS:  # the best model out of fold is not the best on the holdout
            found = Predictions.read(world.path("second", k))
            of_holdout = np.isin(found.ids, world.ids[world.splits.holdout])[:, None]
            classes = np.where(of_holdout, found.classes[:, ::-1], found.classes)
            replace(found, classes=classes).write(world.path("second", k))
        world.all_rows()
        for k in FOLDS:
            folder = world.stacking / f"fold{k}"
            rows = read_json(folder / "rows/rows.json")
            write_json(folder / "rows/rows.json", rows | {"seconds": 1.0 + k})
            trees = {"rounds": 30 + k, "inner_loss": 0.5 - 0.01 * k, "seconds": 100.0 + k}
            write_json(folder / "train.json", trees)
            write_json(folder / "network/report.json", {"seconds": 1000.0 + k})
            found = Predictions.read(world.path("second", k))
            own = replace(found.origin, made_by="stacking")
            stacked = replace(found, logits=found.logits / 2 - 1, origin=own)
            stacked.write(folder / "predictions.safetensors")
        patch.setattr(report, "importance", lambda *_: GAINS)
        folds, out = world.folder / "folds.safetensors", world.stacking / "report.json"
        report.main(world.config, world.folder / "models.txt", world.folder, None, folds, out)
        yield world, read_json(out)


def _score(world, found: Predictions, rows) -> dict:
    found = found.align(world.ids[rows])
    labels = world.store.labels.take(rows)
    return metrics.evaluate(found.classes[:, :20], found.logits[:, :20], labels, CLASSES)


def _sum_of_losses(world, found: Predictions, rows) -> float:
    found = found.align(world.ids[rows])
    labels = world.store.labels.take(rows)
    return metrics.cross_entropies(found.classes, found.logits, labels).sum()


def _check(world, parts: list[Predictions], figures: dict) -> None:
    """figures: of a system whose version k predicts fold k and the holdout."""
    splits, each = world.splits, [world.splits.rows(k) for k in FOLDS]
    rows = np.concatenate(each)
    own = [part.align(world.ids[of]) for part, of in zip(parts, each, strict=True)]
    pooled = Predictions(
        *(np.concatenate([getattr(p, x) for p in own]) for x in ("ids", "classes", "logits"))
    )
    assert figures["out_of_fold"] == _score(world, pooled, rows)
    gaps = [_score(world, part, of)["gap20"] for part, of in zip(parts, each, strict=True)]
    assert figures["gap_folds"] == pytest.approx(gaps)
    assert len(set(gaps)) == NUM_FOLDS
    losses = sum(_sum_of_losses(world, part, of) for part, of in zip(parts, each, strict=True))
    assert figures["bce_oof"] == pytest.approx(losses / len(rows) / CLASSES)
    single = [_score(world, part, splits.holdout) for part in parts]
    for name in NAMES:
        mean = np.mean([one[name] for one in single])
        assert figures["holdout_single"].get(name, mean) == pytest.approx(mean)
    mean = average([part.align(world.ids[splits.holdout]) for part in parts], CLASSES, 20)
    assert figures["holdout"] == _score(world, mean, splits.holdout)
    assert figures["gap_holdout"] == figures["holdout"]["gap20"]
    assert figures["gap_oof"] == figures["out_of_fold"]["gap20"]
    assert figures["gap_holdout_single"] == figures["holdout_single"]["gap20"]
    three = {figures[f"gap_{x}"] for x in ("oof", "holdout", "holdout_single")}
    assert len(three) == 3, "an exchange would be seen"


def test_the_stack_and_its_members(made):
    world, found = made
    paths = [world.stacking / f"fold{k}/predictions.safetensors" for k in FOLDS]
    _check(world, [Predictions.read(path) for path in paths], found["stack"])
    for name in MODELS:
        parts = [Predictions.read(world.path(name, k)) for k in FOLDS]
        _check(world, parts, found["members"][name])
        assert found["members"][name]["gain"] == GAINS[name]
    best = [max(MODELS, key=lambda m: found["members"][m][x]) for x in ("gap_oof", "gap_holdout")]
    assert best[0] == found["best_member"] != best[1]
    assert found["importance"] == GAINS


def test_the_means_know_nothing_of_the_fold_that_they_predict(made):
    world, found = made
    folders = [world.stacking / f"fold{k}" / "rows" for k in FOLDS]
    own = [Rows.open(folder, FOLD_PREFIX) for folder in folders]
    rest = [Rows.open(folder, HOLDOUT_PREFIX) for folder in folders]
    samples = [baselines.sample(rows, len(MODELS), "weights 5") for rows in own]
    fitted = [baselines.fit_weights([s for j, s in enumerate(samples) if j != k]) for k in FOLDS]
    even = [(np.full(len(MODELS), 1 / len(MODELS)), 0.0)] * NUM_FOLDS
    for name, weights in (("mean", even), ("weighted_mean", fitted)):
        parts = []
        for k in FOLDS:
            both = [
                (rows.ids, rows.classes, rows.features[:, :, : len(MODELS)] @ weights[k][0] + bias)
                for rows, bias in ((own[k], weights[k][1]), (rest[k], weights[k][1]))
            ]
            ids, classes, logits = (np.concatenate(x) for x in zip(*both, strict=True))
            order = np.argsort(-logits, axis=1, kind="stable")
            sort = (np.take_along_axis(x, order, 1) for x in (classes, logits.astype(np.float32)))
            classes, logits = sort
            parts.append(Predictions(ids, classes, logits.astype(np.float16)))
        figures = {k: v for k, v in found[name].items() if k != "weights"}
        scored = _score(world, parts[2], world.splits.rows(2))["gap20"]
        assert figures["gap_folds"][2] == pytest.approx(scored, abs=1e-3)
        losses = sum(_sum_of_losses(world, parts[k], world.splits.rows(k)) for k in FOLDS)
        count = len(world.splits.training)
        assert figures["bce_oof"] == pytest.approx(losses / count / CLASSES, rel=1e-4)
    mean = np.mean([weights for weights, _ in fitted], axis=0)
    expected = dict(zip(MODELS, map(float, mean), strict=True))
    assert found["weighted_mean"]["weights"] == pytest.approx(expected, rel=1e-5)


def test_costs_and_recall(made):
    world, found = made
    rows = [Rows.open(world.stacking / f"fold{k}/rows", FOLD_PREFIX) for k in FOLDS]
    held = [Rows.open(world.stacking / f"fold{k}/rows", HOLDOUT_PREFIX) for k in FOLDS]
    labels = world.store.labels
    total = len(labels.take(world.splits.training).indices)
    assert found["recall"] == pytest.approx(sum(r.labels.sum() for r in rows) / total)
    of_holdout = len(labels.take(world.splits.holdout).indices)
    mean = np.mean([r.labels.sum() / of_holdout for r in held])
    assert found["recall_holdout"] == pytest.approx(mean)
    assert (found["videos"], found["holdout_videos"]) == (
        len(world.splits.training), len(world.splits.holdout),
    )  # fmt: skip
    assert (found["learner"], found["candidates"]) == ("both", 8)
    assert found["rows"] == 8 * found["videos"]
    assert found["rounds"] == [30, 31, 32, 33, 34]
    assert found["inner_loss"] == pytest.approx([0.5, 0.49, 0.48, 0.47, 0.46])
    assert found["seconds_rows"] == 15
    assert found["seconds_train"] == 510 + 5010
