"""Stacking: features by their definition, no leak, errors, and that it beats what it stacks."""

import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from stacking import candidates, features, label_features, predict, report, rows, soft_labels, train
from stacking.config import Stacking, parameters
from stacking.config import main as configure
from yt8m.cli import InputError
from yt8m.config import read_snapshot, write_snapshot
from yt8m.files import read_json
from yt8m.labels import Labels
from yt8m.metrics import gap
from yt8m.predictions import Predictions
from yt8m.splits import HOLDOUT, NUM_FOLDS, UNUSED, Splits

CLASSES, MODELS, DEPTH = 24, ("first", "second", "third"), 12
QUICK = {
    "candidates": 8,
    "chunk_videos": 100,
    "booster": {"max_rounds": 40, "learning_rate": 0.15, "num_leaves": 7, "min_data_in_leaf": 20},
}


class FakeStore:
    """What the stage uses of a store, in memory."""

    def __init__(self, ids, labels, dims=(4, 3), frames=True):
        self.ids, self.labels, self.has_frames = ids, labels, frames
        self.dims = SimpleNamespace(rgb=dims[0], audio=dims[1], classes=CLASSES)
        rng = np.random.default_rng(5)
        self.rgb, self.audio = (rng.normal(size=(len(ids), d)).astype(np.float16) for d in dims)
        self.num_frames = rng.integers(1, 300, len(ids)).astype(np.int32)

    def video(self, rows):
        return self.rgb[rows], self.audio[rows]


class World:
    """A run folder with first-level predictions of a toy problem, and verbs to run on it."""

    def __init__(self, folder, monkeypatch, videos=1200, holdout=0.2, seed=0, related=True):
        rng = np.random.default_rng(seed)
        self.folder, self.stacking = folder, folder / "stacking"
        self.ids = np.array([f"v{i:04d}".encode() for i in rng.permutation(videos)])
        truth = rng.normal(-3.5, 2.5, (videos, CLASSES)) + rng.normal(0, 1, CLASSES)
        drawn = rng.random(truth.shape) < 1 / (1 + np.exp(-truth))
        self.shown = truth if related else rng.normal(-3.5, 2.5, truth.shape)
        self.lists = [np.flatnonzero(row) for row in drawn]
        fold = rng.integers(0, NUM_FOLDS, videos).astype(np.int8)
        fold[rng.random(videos) < holdout] = HOLDOUT
        fold[:7] = UNUSED
        self.splits = Splits(fold)
        self.splits.write(folder / "folds.npz", self.ids)
        self.store = FakeStore(self.ids, Labels.from_lists(self.lists))
        (folder / "models.txt").write_text("\n".join(MODELS) + "\n")
        for index, name in enumerate(MODELS):
            noise = rng.normal(0, 1 + 0.7 * index, truth.shape)
            if name == "first":  # the best one, but useless for short videos: stacks can learn it
                noise[self.store.num_frames < 120] *= 4
            for k in range(NUM_FOLDS):
                own = rng.normal(0, 0.3, truth.shape)
                self.write_predictions(name, k, self.shown + noise + own, rng)
        for module in (rows, soft_labels, report):
            monkeypatch.setattr(module, "Store", lambda _: self.store)
        self.configure()

    def configure(self, **changes):
        settings = Stacking.model_validate(QUICK | changes)
        self.config = self.folder / "config.json"
        write_snapshot(self.config, settings)

    def path(self, name, k):
        return self.folder / "first_level" / name / f"fold{k}" / "predictions.npz"

    def write_predictions(self, name, k, logits, rng):
        of = rng.permutation(np.concatenate([self.splits.rows(k), self.splits.holdout]))
        order = np.argsort(-logits[of], axis=1)[:, :DEPTH]
        values = np.take_along_axis(logits[of], order, 1).astype(np.float16)
        Predictions(self.ids[of], order.astype(np.uint16), values).write(self.path(name, k))

    def rows(self, k):
        out = self.stacking / f"fold{k}" / "rows"
        models = self.folder / "models.txt"
        rows.main(self.config, models, self.folder, None, self.folder / "folds.npz", out, fold=k)

    def train(self, k):
        folder = self.stacking / f"fold{k}"
        train.main(self.config, self.stacking, folder / "model.txt", fold=k)
        out = folder / "predictions.npz"
        predict.main(self.config, folder / "rows", folder / "model.txt", out, fold=k)

    def run(self):
        for k in range(NUM_FOLDS):
            self.rows(k)
        for k in range(NUM_FOLDS):
            self.train(k)
        folds, out = self.folder / "folds.npz", self.stacking / "report.json"
        soft_labels.main(self.stacking, None, folds, self.stacking / "soft_labels.npz")
        report.main(self.config, self.folder / "models.txt", self.folder, None, folds, out)
        return read_json(out)

    def contents(self, k, names):
        return {name: (self.stacking / f"fold{k}" / name).read_bytes() for name in names}


@pytest.fixture
def world(tmp_path, monkeypatch):
    return World(tmp_path, monkeypatch)


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

    soft = Predictions.read(world.stacking / "soft_labels.npz")
    assert (soft.ids == world.ids[world.splits.training]).all()
    assert (np.diff(soft.logits.astype(np.float32), axis=1) <= 0).all()
    labels = world.store.labels.take(world.splits.training)
    pooled = gap(soft.classes, soft.logits, labels)
    assert pooled == pytest.approx(stack["gap_oof"], abs=1e-4)  # float16 ties in another order
    for k in range(NUM_FOLDS):
        own = Predictions.read(world.stacking / f"fold{k}" / "predictions.npz")
        ids = world.ids[world.splits.rows(k)]
        assert (soft.align(ids).logits == own.align(ids).logits).all()
        assert len(own.ids) == len(ids) + len(world.splits.holdout)


def test_no_label_of_a_fold_or_of_the_holdout_reaches_its_booster(world):
    for k in range(NUM_FOLDS):
        world.rows(k)
    world.train(2)
    names = [f"rows/{p}{name}.npy" for p in ("", "holdout_") for name in INPUTS]
    names += ["model.txt", "predictions.npz"]
    before = world.contents(2, names)
    hidden = np.concatenate([world.splits.rows(2), world.splits.holdout])
    for row in hidden:
        world.lists[row] = np.arange(row % 5)
    world.store.labels = Labels.from_lists(world.lists)
    for k in range(NUM_FOLDS):
        world.rows(k)
    world.train(2)
    assert world.contents(2, names) == before
    for row in world.splits.rows(3)[:40]:  # the test would see a change: these labels are used
        world.lists[row] = np.arange(5)
    world.store.labels = Labels.from_lists(world.lists)
    for k in range(NUM_FOLDS):
        world.rows(k)
    world.train(2)
    after = world.contents(2, names)
    assert after["rows/label_features.npy"] != before["rows/label_features.npy"]
    assert after["model.txt"] != before["model.txt"]


def test_rerun_chunks_and_order_of_predictions_change_nothing(world):
    for k in range(NUM_FOLDS):
        world.rows(k)
    world.train(0)
    names = [*OF_ROWS, "model.txt", "predictions.npz"]
    before = world.contents(0, names)
    for name in MODELS:
        for k in range(NUM_FOLDS):
            old = Predictions.read(world.path(name, k))
            old.align(np.sort(old.ids)).write(world.path(name, k))
    world.configure(chunk_videos=7)
    for k in range(NUM_FOLDS):
        world.rows(k)
    world.train(0)
    assert world.contents(0, names) == before
    assert not list(world.stacking.rglob("*.tmp")) + list(world.stacking.rglob("lists"))


def test_without_a_holdout(tmp_path, monkeypatch):
    figures = World(tmp_path, monkeypatch, holdout=0).run()
    assert figures["stack"]["gap_holdout"] is None
    assert figures["mean"]["gap_holdout_single"] is None
    assert figures["recall_holdout"] is None
    assert figures["holdout_videos"] == 0
    assert figures["stack"]["gap_oof"] > figures["members"]["first"]["gap_oof"]


def test_random_labels_are_at_chance(tmp_path, monkeypatch):
    world = World(tmp_path, monkeypatch, related=False)
    figures = world.run()
    labels = world.store.labels.take(world.splits.holdout)
    counts = world.store.labels.take(world.splits.training).class_counts(CLASSES)
    classes = np.broadcast_to(np.arange(CLASSES), (len(labels), CLASSES))
    chance = gap(classes, np.broadcast_to(counts / counts.max(), classes.shape), labels)
    assert figures["stack"]["gap_holdout"] < chance + 0.02
    assert figures["stack"]["gap_oof"] < chance + 0.02


def test_soft_label_targets_are_learnt(world):
    for k in range(NUM_FOLDS):
        world.rows(k)
    settings = read_snapshot(world.config, Stacking)
    train_part, inner, names = train.sequences(world.stacking, 0, settings)
    for part in [*train_part, *inner]:
        part.labels = 0.2 + 0.5 * part.labels
    options = parameters(settings, 1)
    booster, losses = train.fit(train_part, inner, names, options, "[t]", 0.0)
    assert losses[-1] < losses[0]
    rows_of = rows.Rows.open(world.stacking / "fold0" / "rows", rows.OWN)
    mean = booster.predict(rows_of.matrix(slice(None), 0)).mean()
    assert mean == pytest.approx(0.2 + 0.5 * np.mean(rows_of.labels), abs=0.03)


def test_the_inner_split_shares_no_video_and_skips_the_fold(world):
    for k in range(NUM_FOLDS):
        world.rows(k)
    parts, inner, names = train.sequences(world.stacking, 1, read_snapshot(world.config, Stacking))
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


def test_missing_and_doubled_videos_are_named(world):
    path = world.path("second", 1)
    whole = Predictions.read(path)
    Predictions(whole.ids[3:], whole.classes[3:], whole.logits[3:]).write(path)
    with pytest.raises(InputError, match=r"second.fold1.*: 3 of [0-9]+ videos are absent"):
        world.rows(1)
    assert not (world.stacking / "fold1" / "rows").exists()
    Predictions.concatenate([whole, whole]).write(path)
    with pytest.raises(InputError, match="is there twice"):
        world.rows(1)


def test_absent_inputs_are_named(world):
    out = world.stacking / "fold0" / "model.txt"
    with pytest.raises(InputError, match=r"fold1.rows: no rows there; run `make`"):
        train.main(world.config, world.stacking, out, fold=0)
    for k in range(NUM_FOLDS):
        world.rows(k)
    with pytest.raises(InputError, match=r"model.txt: no such file"):
        predict.main(world.config, out.parent / "rows", out, out.with_suffix(".npz"), fold=0)
    out.write_text("nonsense")
    with pytest.raises(InputError, match=r"model.txt: not a LightGBM model"):
        predict.main(world.config, out.parent / "rows", out, out.with_suffix(".npz"), fold=0)
    train.main(world.config, world.stacking, out, fold=0)
    (world.folder / "models.txt").write_text("first\nthird\n")
    world.rows(0)
    with pytest.raises(InputError, match="was trained on other columns"):
        predict.main(world.config, out.parent / "rows", out, out.with_suffix(".npz"), fold=0)
    with pytest.raises(InputError, match="other columns than its neighbours"):
        train.main(world.config, world.stacking, out, fold=1)
    (world.folder / "models.txt").write_text("first\nfirst\n")
    with pytest.raises(InputError, match="2 names, 1 different"):
        world.rows(0)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("candidats = 3", "unknown key 'candidats'; allowed: booster, candidates"),
        ("[booster]\nleaves = 3", "unknown key 'booster.leaves'"),
        ("candidates = 0", "candidates"),
        ("[booster.extra]\nlambda_l3 = 1.0", "unknown LightGBM parameter 'lambda_l3'; did you"),
        ("[booster.extra]\nnum_leaf = 7", "'num_leaf' is set by this stage"),
    ],
)
def test_wrong_settings(tmp_path, text, error):
    toml = tmp_path / "plan.toml"
    toml.write_text(text)
    with pytest.raises(InputError, match=error) as raised:
        configure(toml, tmp_path / "config.json")
    assert str(toml) in str(raised.value)


def test_settings_reach_lightgbm_and_snapshots_stay(tmp_path):
    toml, out = tmp_path / "plan.toml", tmp_path / "config.json"
    toml.write_text("[booster]\nquantised = true\n[booster.extra]\npath_smooth = 1.0\n")
    configure(toml, out)
    options = parameters(read_snapshot(out, Stacking), 2)
    assert options["use_quantized_grad"]
    assert options["path_smooth"] == 1
    assert options["num_threads"] == 2
    written = out.stat().st_mtime_ns
    toml.write_text("# a comment\n" + toml.read_text())
    configure(toml, out)
    assert out.stat().st_mtime_ns == written


def random_lists(rng, n, count, depth):
    lists = []
    for _ in range(count):
        classes = np.stack([rng.permutation(CLASSES)[:depth] for _ in range(n)]).astype(np.uint16)
        logits = -np.sort(-rng.normal(0, 3, (n, depth)), axis=1).astype(np.float16)
        lists.append((classes, logits))
    return lists


@pytest.mark.parametrize("rank_by", ["probability", "logit", "rank"])
def test_candidates_by_definition(rank_by):
    rng = np.random.default_rng(1)
    lists = random_lists(rng, 30, 3, 6) + random_lists(rng, 30, 1, 9)
    classes, scores = candidates.pooled(lists, rank_by, CLASSES, 6)
    for v in range(30):
        vote = {}
        listed = set().union(*(set(found[v]) for found, _ in lists))
        for c in listed:
            votes = []
            for found, logits in lists:
                values = candidates.votes_of(logits, rank_by)[v]
                votes.append(dict(zip(found[v], values, strict=True)).get(c, values[-1]))
            vote[c] = np.mean(votes)
        best = sorted(vote, key=lambda c, vote=vote: -vote[c])[:6]
        np.testing.assert_allclose(scores[v], [vote[c] for c in best], rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(scores[v], [vote[c] for c in classes[v]], rtol=1e-4, atol=1e-6)
        assert len(set(classes[v])) == 6


def test_tied_candidates_come_by_class():
    lists = [(np.array([[5, 3, 9]], np.uint16), np.array([[1, 1, 1]], np.float16))]
    assert candidates.pooled(lists, "probability", 10, 3)[0].tolist() == [[3, 5, 9]]


def test_features_by_definition():
    rng = np.random.default_rng(2)
    lists = random_lists(rng, 20, 4, 22)
    classes, _ = candidates.pooled(lists, "probability", CLASSES, 7)
    context = {"frames": np.arange(20, dtype=np.float32)}
    got = features.features(lists, classes, CLASSES, context)
    names = features.names(["a", "b", "c", "d"], context)
    assert got.shape == (20, 7, len(names))
    for v in range(20):
        seen = np.zeros((4, 7))
        top5, top20 = np.zeros(7), np.zeros(7)
        for m, (found, logits) in enumerate(lists):
            for i, c in enumerate(classes[v]):
                where = np.flatnonzero(found[v] == c)
                seen[m, i] = logits[v, where[0]] if len(where) else logits[v, -1]
                top5[i] += len(where) > 0 and where[0] < 5
                top20[i] += len(where) > 0 and where[0] < 20
        mean, probability = seen.mean(0), (1 / (1 + np.exp(-seen))).mean(0)
        wanted = {
            **dict(zip("abcd", seen, strict=True)),
            "logit_mean": mean,
            "logit_max": seen.max(0),
            "logit_min": seen.min(0),
            "logit_std": seen.std(0),
            "probability_mean": probability,
            "in_top5": top5,
            "in_top20": top20,
            "rank": np.arange(7),
            "margin_best": mean - mean.max(),
            "margin_next": np.append(mean[:-1] - mean[1:], 0),
            "probability_total": np.full(7, probability.sum()),
            "frames": np.full(7, v),
        }
        assert names == list(wanted)
        np.testing.assert_allclose(got[v].T, list(wanted.values()), rtol=1e-4, atol=1e-5)


def test_label_features_by_definition():
    rng = np.random.default_rng(3)
    lists = [rng.permutation(CLASSES)[: rng.integers(0, 5)] for _ in range(200)]
    known = label_features.statistics(Labels.from_lists(lists), CLASSES, 2.0)
    counts = np.array([sum(c in row for row in lists) for c in range(CLASSES)])
    classes = np.stack([rng.permutation(CLASSES)[:6] for _ in range(10)]).astype(np.uint16)
    probability = rng.random((10, 6)).astype(np.float32)
    got = label_features.label_features(known, classes, probability, 3)
    for v in range(10):
        for i, c in enumerate(classes[v]):
            lift = conditional = total = 0.0
            for j in range(3):
                if j == i:
                    continue
                other = classes[v, j]
                pairs = sum(c in row and other in row for row in lists)
                expected = counts[c] * counts[other] / 200
                lift += probability[v, j] * np.log((pairs + 2) / (expected + 2))
                p = (pairs + 2 * counts[c] / 200) / (counts[other] + 2)
                conditional += probability[v, j] * p
                total += probability[v, j]
            prior = np.log((counts[c] + 0.5) / (200.5 - counts[c]))
            wanted = [prior, lift, conditional / total]
            np.testing.assert_allclose(got[v, i], wanted, rtol=1e-3, atol=1e-4)


def test_context_has_only_the_modalities_there_are():
    store = FakeStore(np.array([b"a", b"b"]), Labels.from_lists([[1], [2]]), (0, 3), frames=False)
    context = features.video_context(store, np.array([1, 0]))
    assert list(context) == ["audio_norm"]
    wanted = np.linalg.norm(store.audio.astype(np.float64), axis=1)[::-1]
    np.testing.assert_allclose(context["audio_norm"], wanted, rtol=1e-3)


def test_the_stage_does_not_load_torch():
    modules = "rows, train, predict, soft_labels, report"
    code = f"import sys; from stacking import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
