"""Label-noise options against direct definitions; what they learn from, what they leave alone."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from noise_world import (
    ALL,
    CLASSES,
    FREQUENCY,
    VIDEOS,
    agree,
    bce_of,
    objective_of,
    shares_of,
    some_logits,
    some_targets,
)

from yt8m.base.cli import InputError
from yt8m.base.config import validate
from yt8m.inputs.batch import HardTargets
from yt8m.records.labels import Labels
from yt8m.training import class_accuracy as accuracy
from yt8m.training import noise
from yt8m.training.settings import Noise, Training


def test_without_options_it_is_the_bare_loss():
    objective, targets = objective_of(), some_targets()(ALL)
    assert objective.labels(targets) is targets
    assert not list(objective.parameters())
    logits = some_logits()
    assert objective(logits, targets) == objective_of(noise=Noise(test_passes=3))(logits, targets)
    agree(objective(logits, targets), logits, bce_of(logits, targets.dense().double()))


def test_smoothing_moves_targets_towards_the_frequencies():
    targets, logits = some_targets(), some_logits()
    objective = objective_of(targets, noise=Noise(smoothing=0.2))
    smooth = 0.8 * targets(ALL).dense().double() + 0.2 * shares_of(targets)
    agree(objective(logits, targets(ALL)), logits, bce_of(logits, smooth))


def test_the_matrix_has_the_precision_and_the_recall():
    kept, false = noise.matrix(FREQUENCY[1:5], 0.8, 0.5)
    there = FREQUENCY[1:5] * 0.8 / 0.5  # share of the videos that truly have the class
    torch.testing.assert_close(kept, torch.full((4,), 0.5))
    labelled = kept * there + false * (1 - there)
    torch.testing.assert_close(labelled, FREQUENCY[1:5])
    torch.testing.assert_close(kept * there / labelled, torch.full((4,), 0.8))
    for precision, recall in ((1e-3, 1e-3), (0.788, 0.145), (1.0, 1.0), (1.0, 0.1)):
        kept, false = noise.matrix(torch.linspace(1e-6, 1 - 1e-6, 99), precision, recall)
        assert (kept > false).all(), "a label must speak for the class"
        assert (kept <= 1).all()
        assert (false >= 0).all()


def test_forward_correction_is_bce_of_the_labels_probability():
    targets, logits = some_targets(), some_logits()
    objective = objective_of(targets, noise=Noise(correction="forward", label_recall=0.6))
    kept, false = noise.matrix(shares_of(targets).float(), 0.788, 0.6)
    p = logits.double().sigmoid()
    p, dense = kept * p + false * (1 - p), targets(ALL).dense()
    expected = -(dense * p.log() + (1 - dense) * (1 - p).log()).sum(1).mean()
    agree(objective(logits, targets(ALL)), logits, expected)


def test_forward_correction_is_exact_where_float32_has_no_probability_left():
    kept, false = torch.tensor([0.9]), torch.tensor([0.0])
    x = torch.tensor([[-60.0], [60.0]], requires_grad=True)
    out = noise.logits_of_labels(x, kept, false)
    torch.testing.assert_close(out[0], x[0] + kept.log())
    torch.testing.assert_close(out[1], kept.logit())
    (slope,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(slope, torch.tensor([[1.0], [0.0]]))


def test_backward_correction_weighs_both_losses_by_the_inverse_matrix():
    targets, logits = some_targets(), some_logits()
    objective = objective_of(targets, noise=Noise(correction="backward", label_recall=0.8))
    kept, false = (part.double() for part in noise.matrix(shares_of(targets).float(), 0.788, 0.8))
    x, dense, expected = logits.double(), targets(ALL).dense().long(), 0.0
    for c in range(CLASSES):
        matrix = torch.stack([1 - false[c], false[c], 1 - kept[c], kept[c]]).view(2, 2)
        both = torch.stack([-F.logsigmoid(-x[:, c]), -F.logsigmoid(x[:, c])])  # absent, present
        corrected = torch.linalg.inv(matrix) @ both
        expected = expected + corrected.gather(0, dense[None, :, c]).mean()
        # What it is for: the expectation over labels, given the truth, is the loss of the truth.
        torch.testing.assert_close(matrix @ corrected, both)
    agree(objective(logits, targets(ALL)), logits, expected)


@pytest.mark.parametrize("how", ["forward", "backward"])
def test_correction_of_perfect_labels_changes_nothing(how):
    targets, logits = some_targets()(ALL), some_logits()
    perfect = Noise(correction=how, label_precision=1.0, label_recall=1.0)
    loss = objective_of(noise=perfect)(logits, targets)
    agree(loss, logits, bce_of(logits, targets.dense().double()))


def test_backward_correction_and_smoothing_go_together():
    targets, logits = some_targets(), some_logits()
    both = objective_of(targets, noise=Noise(correction="backward", smoothing=0.1))
    share = shares_of(targets)
    kept, false = noise.matrix(share.float(), 0.788, 0.145)
    smooth = 0.9 * targets(ALL).dense().double() + 0.1 * share
    corrected = (smooth - false) / (kept - false)
    agree(both(logits, targets(ALL)), logits, bce_of(logits, corrected))


def test_flipping_drops_and_adds_at_its_rates():
    labels = Labels.from_lists([[0, 1, 2]] * 20_000)
    targets = HardTargets(labels, CLASSES)(np.arange(20_000))
    torch.manual_seed(0)
    drop = torch.tensor([0.1, 0.5, 0.0, 0, 0, 0, 0])
    add = torch.tensor([0.2, 0.0, 0.0, 0.05, 0.0, 0.01, 0.0])
    dense = noise.flip_labels(targets, drop, add).dense()
    assert dense.max() == 1, "no label is there twice"
    expected = torch.tensor([0.9, 0.5, 1.0, 0.05, 0.0, 0.01, 0.0])
    torch.testing.assert_close(dense.mean(0), expected, atol=0.01, rtol=0)
    nothing = torch.zeros(CLASSES)
    assert torch.equal(noise.flip_labels(targets, nothing, nothing).dense(), targets.dense())


def test_flipping_keeps_the_frequencies_when_as_many_are_added_as_dropped():
    targets = some_targets(20_000)
    objective = objective_of(targets, noise=Noise(drop=0.3, add=0.3))
    torch.manual_seed(0)
    before = targets(np.arange(20_000))
    after = objective.labels(before)
    assert 0.9 < after.dense().sum() / before.dense().sum() <= 1  # some fall on labels
    changed = (after.dense() != before.dense()).sum() / before.dense().sum()
    assert 0.4 < changed < 0.61
    torch.manual_seed(0)
    assert torch.equal(objective.labels(before).dense(), after.dense())
    assert not torch.equal(objective.labels(before).dense(), after.dense())


@pytest.fixture
def doubted(monkeypatch):
    """Accuracies as if from cross-validation."""
    found = torch.linspace(0.2, 0.8, CLASSES)
    monkeypatch.setattr("yt8m.training.objective.label_accuracies", lambda *_: found)
    return found


def test_flipping_by_accuracy_flips_uncertain_classes_more(doubted):
    targets = some_targets()
    objective = objective_of(targets, noise=Noise(drop=0.2, add=0.1, by_accuracy=True))
    counts = torch.from_numpy(targets.labels.class_counts(CLASSES))
    assert (objective.drop.diff() < 0).all()
    torch.testing.assert_close(objective.drop / objective.drop[0], (1 - doubted) / 0.8)
    overall = (objective.drop * counts).sum() / counts.sum()
    torch.testing.assert_close(overall, torch.tensor(0.2))
    torch.testing.assert_close(objective.add.sum() * VIDEOS, 0.1 * counts.sum())


def test_accuracies_leave_flipping_alone_unless_asked(doubted):
    found = [objective_of(noise=Noise(drop=0.2, add=0.1, confidence=c)) for c in (0.0, 1.0)]
    assert found[1].doubt is not None
    torch.testing.assert_close(found[0].drop, torch.full((CLASSES,), 0.2))
    assert torch.equal(found[0].drop, found[1].drop)
    assert torch.equal(found[0].add, found[1].add)


def test_the_confidence_penalty_is_on_the_scores_of_uncertain_classes(doubted):
    targets, logits = some_targets()(ALL), some_logits()
    loss = objective_of(noise=Noise(confidence=0.3))(logits, targets)
    penalty = 0.3 * (logits.double().sigmoid() * (1 - doubted)).sum(1).mean()
    agree(loss, logits, bce_of(logits, targets.dense().double()) + penalty)


def test_accuracies_come_from_the_training_videos_alone(store, splits, monkeypatch):
    monkeypatch.setattr(accuracy, "VIDEOS", 150)
    rows, classes = splits.others(0), store.dims.classes
    found = accuracy.label_accuracies(store, rows, HardTargets(store.labels, classes), 0)
    assert found.shape == (classes,)
    assert ((found >= 0) & (found <= 1)).all()
    assert found.std() > 0.01
    lists = np.split(store.labels.indices, store.labels.indptr[1:-1])
    for row in [*splits.rows(0), *splits.holdout]:
        lists[row] = np.array([0, 1], np.uint16)
    other = HardTargets(Labels.from_lists(lists), classes)
    assert torch.equal(accuracy.label_accuracies(store, rows, other, 0), found)
    # The most accurate class, given to videos at random, is no longer so.
    best, rng = int(found.argmax()), np.random.default_rng(0)
    for row in rows:
        kept = lists[row][lists[row] != best]
        lists[row] = np.append(kept, best) if rng.random() < 0.2 else kept
    shuffled = HardTargets(Labels.from_lists(lists), classes)
    assert accuracy.label_accuracies(store, rows, shuffled, 0)[best] < found[best] - 0.05


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"noise": {"smoothing": 1.0}}, "noise.smoothing = 1.0: .* less than 1"),
        ({"noise": {"drop": 0.1, "flip": 1}}, "unknown key 'noise.flip'; allowed: .*adaptation"),
        ({"noise": {"correction": "sideways"}}, "noise.correction = 'sideways'"),
        ({"noise": {"by_accuracy": True}}, "set drop or add"),
        ({"noise": {"adaptation": True, "correction": "forward"}}, "choose one"),
        ({"loss": "hinge", "noise": {"smoothing": 0.1}}, 'need loss = "bce"'),
        ({"loss": "lsep", "noise": {"adaptation": True}}, 'need loss = "bce"'),
        ({"loss": "mse", "noise": {"correction": "forward"}}, 'need loss = "bce"'),
    ],
)
def test_options_that_do_not_fit_are_refused(values, text):
    with pytest.raises(InputError, match=f"x.toml: .*{text}"):
        validate(values, Training, "x.toml")


def test_options_that_fit_any_loss_are_accepted():
    found = validate({"loss": "lsep", "noise": {"drop": 0.1, "test_passes": 3}}, Training, "")
    assert found.noise.drop == 0.1
