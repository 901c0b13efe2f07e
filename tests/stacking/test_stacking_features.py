"""Stacking: candidates and features against direct, slow definitions; its settings."""

import numpy as np
import pytest
from snapshots import write_stack_snapshot
from stacking_world import CLASSES, FakeStore

from stacking import candidates, features, label_features
from stacking.config import Stacking, parameters
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.records.labels import Labels


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
        write_stack_snapshot(toml, tmp_path / "config.json")
    assert str(toml) in str(raised.value)


def test_settings_reach_lightgbm_and_snapshots_stay(tmp_path):
    toml, out = tmp_path / "plan.toml", tmp_path / "config.json"
    toml.write_text("[booster]\nquantised = true\n[booster.extra]\npath_smooth = 1.0\n")
    write_stack_snapshot(toml, out)
    options = parameters(read_snapshot(out, Stacking), 2)
    assert options["use_quantized_grad"]
    assert options["path_smooth"] == 1
    assert options["num_threads"] == 2
    written = out.stat().st_mtime_ns
    toml.write_text("# a comment\n" + toml.read_text())
    write_stack_snapshot(toml, out)
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
    classes, scores = candidates.pool(lists, rank_by, CLASSES, 6)
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
    assert candidates.pool(lists, "probability", 10, 3)[0].tolist() == [[3, 5, 9]]


def test_features_by_definition():
    rng = np.random.default_rng(2)
    lists = random_lists(rng, 20, 4, 22)
    classes, _ = candidates.pool(lists, "probability", CLASSES, 7)
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
            **{f"logit_{p}": np.full(7, np.sort(mean)[-min(p, 7)]) for p in (1, 2, 3, 5, 10, 20)},
            "probability_top5": np.full(7, np.sort(probability)[-5:].sum()),
            "over_half": np.full(7, (probability > 0.5).sum()),
            "entropy": np.full(7, -(probability * np.log(probability)).sum()),
            "frames": np.full(7, v),
        }
        assert names == list(wanted)
        np.testing.assert_allclose(got[v].T, list(wanted.values()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("width", "neighbours"), [(6, 3), (6, 99), (1, 5)])
def test_label_features_by_definition(width, neighbours, monkeypatch):
    monkeypatch.setattr(label_features, "BLOCK", 70)  # three blocks
    rng = np.random.default_rng(3)
    lists = [rng.permutation(CLASSES)[: rng.integers(0, 5)] for _ in range(200)]
    known = label_features.statistics(Labels.from_lists(lists), np.arange(len(lists)), CLASSES, 2.0)
    counts = np.array([sum(c in row for row in lists) for c in range(CLASSES)])
    classes = np.stack([rng.permutation(CLASSES)[:width] for _ in range(10)]).astype(np.uint16)
    probability = rng.random((10, width)).astype(np.float32)
    got = label_features.label_features(known, classes, probability, neighbours)
    for v in range(10):
        for i, c in enumerate(classes[v]):
            lifts, given, back, weights = [], [], [], []
            for j in range(min(neighbours, width)):
                other = classes[v, j]
                pairs = sum(c in row and other in row for row in lists)
                apart = j != i  # nothing speaks for itself
                lifts.append(apart * np.log((pairs + 2) / (counts[c] * counts[other] / 200 + 2)))
                given.append(apart * (pairs + 2 * counts[c] / 200) / (counts[other] + 2))
                back.append(apart * (pairs + 2 * counts[other] / 200) / (counts[c] + 2))
                weights.append(probability[v, j])
            lifts, given, back, weights = map(np.array, (lifts, given, back, weights))
            best_other = min(1, width - 1) if i == 0 else 0
            wanted = {
                "prior": np.log((counts[c] + 0.5) / (200.5 - counts[c])),
                "lift": (weights * lifts).sum(),
                "lift_least": (weights * lifts).min(),
                "implied": (weights * given).max(),
                "supported": (weights * back).sum(),
                "contradicted": ((1 - weights) * back).sum(),
                "given_best": given[best_other],
                "lift_best": lifts[best_other],
            }
            assert label_features.NAMES == tuple(wanted)
            np.testing.assert_allclose(got[v, i], list(wanted.values()), rtol=1e-3, atol=1e-4)


def test_context_has_the_norms_of_all_kinds_of_features():
    labels = Labels.from_lists([[1], [2]])
    store = FakeStore(np.array([b"a", b"b"]), labels, {"audio": 3, "title": 5}, frames=False)
    context = features.video_context(store, np.array([1, 0]))
    assert list(context) == ["audio_norm", "title_norm"]
    for name, values in store.features.items():
        wanted = np.linalg.norm(values.astype(np.float64), axis=1)[::-1]
        np.testing.assert_allclose(context[f"{name}_norm"], wanted, rtol=1e-3)


def test_context_of_a_real_store(store):
    context = features.video_context(store, np.arange(5))
    assert list(context) == ["rgb_norm", "audio_norm", "frames"]
    assert (context["frames"] == store.num_frames[:5]).all()
    assert list(features.video_context(store, np.arange(0))) == list(context)
