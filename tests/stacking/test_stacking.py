"""Stacking: no leak, bounded chunks, errors, and that it beats what it stacks."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from stacking_world import CLASSES, LEARNT, MODELS, QUICK, StackingWorld

from stacking import predict, rows, soft_labels, train, unlabelled
from stacking.config import Stacking, parameters
from stacking.learners.booster import fit, sequences
from stacking.table import FOLD_PREFIX, Rows
from yt8m.base.checksums import seal_text
from yt8m.base.cli import InputError, parser_of
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNLABELLED, Splits
from yt8m.records.labels import Labels
from yt8m.training.metrics import evaluate, gap


@pytest.fixture
def world(tmp_path, monkeypatch):
    return StackingWorld(tmp_path, monkeypatch)


INPUTS = ("classes", "features", "label_features")
OF_ROWS = [f"rows/{p}{name}.npy" for p in ("", "holdout_") for name in (*INPUTS, "ids", "labels")]


def test_the_stack_beats_its_members_and_soft_labels_are_out_of_fold(world):
    figures = world.run()
    stack, members = figures["stack"], figures["members"]
    for key in ("gap_oof", "gap_holdout", "gap_holdout_single"):
        best = max(member[key] for member in members.values())
        assert stack[key] > best + 0.02
        assert stack[key] > figures["mean"][key] + 0.01
        assert figures["weighted_mean"][key] > best
    assert figures["best_member"] == max(members, key=lambda name: members[name]["gap_oof"])
    assert set(figures["weighted_mean"]["weights"]) == set(MODELS)
    assert min(figures["weighted_mean"]["weights"].values()) >= 0
    assert sum(figures["importance"].values()) == pytest.approx(1)
    assert figures["videos"] == len(world.splits.training)
    assert 0.7 < figures["recall"] <= 1
    assert figures["rounds"] == [
        read_json(world.stacking / f"fold{k}" / "train.json")["rounds"] for k in range(NUM_FOLDS)
    ]

    holdout = world.store.labels.take(world.splits.holdout)
    for name, own in (("stack", stack), *members.items()):
        kept = Predictions.read(world.stacking / "holdout" / f"{name}.safetensors")
        kept = kept.align(world.ids[world.splits.holdout])
        figures = evaluate(kept.classes, kept.logits, holdout, CLASSES)
        assert own["holdout"] == pytest.approx(figures, abs=2e-3)
        assert own["gap_holdout"] == own["holdout"]["gap20"]

    soft = Predictions.read(world.stacking / "soft_labels.safetensors")
    assert (soft.ids == world.ids[world.splits.training]).all()
    assert (np.diff(soft.logits.astype(np.float32), axis=1) <= 0).all()
    labels = world.store.labels.take(world.splits.training)
    pooled = evaluate(soft.classes, soft.logits, labels, CLASSES)
    # Float16 ties are in another order.
    assert stack["out_of_fold"] == pytest.approx(pooled, abs=1e-3)
    assert stack["gap_oof"] == stack["out_of_fold"]["gap20"]
    singles = []
    for k in range(NUM_FOLDS):
        own = Predictions.read(world.stacking / f"fold{k}" / "predictions.safetensors")
        ids = world.ids[world.splits.rows(k)]
        assert (soft.align(ids).logits == own.align(ids).logits).all()
        alone = own.align(world.ids[world.splits.holdout])
        singles.append(evaluate(alone.classes, alone.logits, holdout, CLASSES))
        assert len(own.ids) == len(ids) + len(world.splits.holdout)
    means = {name: np.mean([figures[name] for figures in singles]) for name in singles[0]}
    assert stack["holdout_single"] == pytest.approx(means)


def test_no_label_of_a_fold_or_of_the_holdout_reaches_its_booster_or_network(world):
    world.configure(learner="both")
    world.all_rows()
    world.train(2)
    names = [f"rows/{p}{name}.npy" for p in ("", "holdout_") for name in INPUTS]
    names += [*LEARNT.values(), "predictions.safetensors"]
    before = world.contents(2, names)
    hidden = np.concatenate([world.splits.rows(2), world.splits.holdout])
    for row in hidden:
        world.lists[row] = np.arange(row % 5)
    world.store.labels = Labels.from_lists(world.lists)
    world.all_rows()
    world.train(2)
    assert world.contents(2, names) == before
    for row in world.splits.rows(3)[:40]:  # the test would see a change: these labels are used
        world.lists[row] = np.arange(5)
    world.store.labels = Labels.from_lists(world.lists)
    world.all_rows()
    world.train(2)
    after = world.contents(2, names)
    assert after["rows/label_features.npy"] != before["rows/label_features.npy"]
    assert all(after[name] != before[name] for name in LEARNT.values())


def test_rerun_chunks_and_order_of_predictions_change_nothing(world):
    world.all_rows()
    world.train(0)
    names = [*OF_ROWS, "model.txt", "predictions.safetensors"]
    before = world.contents(0, names)
    for name in MODELS:
        for k in range(NUM_FOLDS):
            old = Predictions.read(world.path(name, k))
            old.align(np.sort(old.ids)).write(world.path(name, k))
    world.configure(chunk_videos=7)
    world.all_rows()
    world.train(0)
    assert world.contents(0, names) == before
    assert not list(world.stacking.rglob("*.tmp")) + list(world.stacking.rglob("lists"))


def test_unlabelled_videos_are_labelled_as_the_holdout_is(world, monkeypatch):
    world.configure(learner="both")
    figures = world.run()
    stack = figures["stack"]["gap_oof"]
    assert stack > max(member["gap_oof"] for member in figures["members"].values()) + 0.02
    assert sum(figures["importance"].values()) == pytest.approx(1)
    assert (figures["learner"], len(figures["rounds"])) == ("both", NUM_FOLDS)
    holdout = world.ids[world.splits.holdout]
    fold = np.where(world.splits.fold == HOLDOUT, UNLABELLED, world.splits.fold)
    monkeypatch.setattr(unlabelled, "Store", lambda _: world.store)
    for module in (unlabelled, soft_labels):
        monkeypatch.setattr(module, "open_both", lambda data, _: (data, Splits(fold)))
    world.configure(learner="both", chunk_videos=7)
    for k in range(NUM_FOLDS):
        for name in MODELS:
            whole = Predictions.read(world.path(name, k)).align(holdout[::-1])
            whole.write(world.path(name, k).with_name("unlabelled.safetensors"))
        out, inputs = (
            world.stacking / f"fold{k}",
            (world.folder, None, world.folder / "folds.safetensors"),
        )
        files = (out / "rows", out, *inputs, out / "unlabelled.safetensors")
        unlabelled.main(world.config, *files, fold=k)
        found, own = (
            Predictions.read(out / f"{x}.safetensors") for x in ("unlabelled", "predictions")
        )
        assert (found.ids == holdout).all()
        assert (found.classes == own.align(holdout).classes).all()
        assert (found.logits == own.align(holdout).logits).all()
    to = world.stacking / "unlabelled.safetensors"
    soft_labels.main(world.stacking, None, inputs[-1], to, unlabelled=True)
    soft, mean = map(Predictions.read, (to, world.stacking / "holdout" / "stack.safetensors"))
    assert (soft.ids == holdout).all()
    assert (soft.classes == mean.align(holdout).classes).all()
    assert (soft.logits == mean.align(holdout).logits).all()
    assert not list(world.stacking.rglob("*.tmp"))


def test_without_a_holdout(tmp_path, monkeypatch):
    figures = StackingWorld(tmp_path, monkeypatch, holdout=0).run()
    assert figures["stack"]["gap_holdout"] is None
    assert figures["mean"]["gap_holdout_single"] is None
    assert figures["recall_holdout"] is None
    assert figures["holdout_videos"] == 0
    assert figures["stack"]["gap_oof"] > figures["members"]["first"]["gap_oof"]


def test_random_labels_are_at_chance(tmp_path, monkeypatch):
    world = StackingWorld(tmp_path, monkeypatch, related=False)
    figures = world.run()
    labels = world.store.labels.take(world.splits.holdout)
    counts = world.store.labels.take(world.splits.training).class_counts(CLASSES)
    classes = np.broadcast_to(np.arange(CLASSES), (len(labels), CLASSES))
    chance = gap(classes, np.broadcast_to(counts / counts.max(), classes.shape), labels)
    assert figures["stack"]["gap_holdout"] < chance + 0.02
    assert figures["stack"]["gap_oof"] < chance + 0.02


def test_soft_label_targets_are_learnt(world):
    world.all_rows()
    settings = read_snapshot(world.config, Stacking)
    train_part, inner, names = sequences(world.stacking, 0, settings)
    for part in [*train_part, *inner]:
        part.labels = 0.2 + 0.5 * part.labels
    options = parameters(settings, 1)
    booster, losses = fit(train_part, inner, names, options, "[t]")
    assert losses[-1] < losses[0]
    rows_of = Rows.open(world.stacking / "fold0" / "rows", FOLD_PREFIX)
    mean = booster.predict(rows_of.matrix(slice(None), 0)).mean()
    assert mean == pytest.approx(0.2 + 0.5 * np.mean(rows_of.labels), abs=0.03)


def test_the_inner_split_shares_no_video_and_skips_the_fold(world):
    world.all_rows()
    parts, inner, names = sequences(world.stacking, 1, read_snapshot(world.config, Stacking))
    videos = sum(len(part.videos) for part in [*parts, *inner])
    assert videos == len(world.splits.others(1))
    assert 0.04 < sum(len(part.videos) for part in inner) / videos < 0.2
    by_fold = {id(part.features): set() for part in parts}
    for part in [*parts, *inner]:
        seen = by_fold.setdefault(id(part.features), set())
        assert not seen & set(part.videos)
        seen |= set(part.videos)
    one = parts[0]
    assert one[3].dtype == np.float64
    assert (one[2:30:3] == np.stack([one[i] for i in range(2, 30, 3)])).all()
    assert (one[[5, 1]] == np.stack([one[5], one[1]])).all()
    assert one[0].shape == (len(names),)


def test_of_too_many_rows_a_booster_learns_from_a_sample_of_the_videos(world):
    world.all_rows()
    chosen = []
    for most in (1000, 3000):
        world.configure(booster=QUICK["booster"] | {"most_rows": most})
        settings = read_snapshot(world.config, Stacking)
        parts, inner, _ = sequences(world.stacking, 1, settings)
        assert sum(map(len, [*parts, *inner])) == pytest.approx(most, rel=0.2)
        assert 0.03 < sum(map(len, inner)) / most < 0.25
        chosen.append({i for part in [*parts, *inner] for i in part.rows.ids[part.videos]})
    assert chosen[0] < chosen[1], "by the videos' ids: the same whatever their number"
    assert chosen[1] < set(world.ids[world.splits.others(1)])


def test_missing_and_doubled_videos_are_named(world):
    path = world.path("second", 1)
    whole = Predictions.read(path)
    replace(whole, ids=whole.ids[3:], classes=whole.classes[3:], logits=whole.logits[3:]).write(
        path
    )
    with pytest.raises(InputError, match=r"second.fold1.*: 3 of [0-9]+ videos are absent"):
        world.rows(1)
    assert not (world.stacking / "fold1" / "rows").exists()
    twice = (np.concatenate([part] * 2) for part in (whole.ids, whole.classes, whole.logits))
    Predictions(*twice, origin=whole.origin).write(path)
    with pytest.raises(InputError, match="appears twice"):
        world.rows(1)


def test_absent_inputs_are_named(world):
    out = world.stacking / "fold0" / "model.txt"
    arguments = world.config, out.parent / "rows", out.parent, out.with_suffix(".safetensors")
    with pytest.raises(InputError, match=r"fold1.rows: has no rows; run `make`"):
        train.main(world.config, world.stacking, out, fold=0)
    world.all_rows()
    with pytest.raises(InputError, match=r"model.txt: no such file"):
        predict.main(*arguments)
    out.write_text("nonsense")
    with pytest.raises(InputError, match=r"model.txt: is cut off, or its checksum differs; delete"):
        predict.main(*arguments)
    out.write_text(seal_text("nonsense"))
    with pytest.raises(InputError, match=r"model.txt: not a LightGBM model"):
        predict.main(*arguments)
    train.main(world.config, world.stacking, out, fold=0)
    (world.folder / "models.txt").write_text("first\nthird\n")
    world.rows(0)
    with pytest.raises(InputError, match="was trained on other columns"):
        predict.main(*arguments)
    with pytest.raises(InputError, match="its columns differ"):
        train.main(world.config, world.stacking, out, fold=1)
    (world.folder / "models.txt").write_text("first\nfirst\n")
    with pytest.raises(InputError, match="2 names, 1 different"):
        world.rows(0)


@pytest.mark.parametrize(("verb", "paths"), [(rows, 6), (train, 3), (predict, 4)])
def test_command_lines_of_the_makefile(verb, paths):
    arguments = parser_of(verb.main).parse_args(["x"] * paths + ["--fold", "3"])
    assert arguments.fold == 3


def test_the_stage_does_not_load_torch():
    modules = "rows, train, predict, unlabelled, soft_labels, report"
    code = f"import sys; from stacking import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
