"""Label-noise options against direct definitions; what they learn from, what they leave alone."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from yt8m import accuracy, device, noise
from yt8m.cli import InputError
from yt8m.config import validated
from yt8m.dataset import Batch, HardTargets, Source, Targets
from yt8m.labels import Labels
from yt8m.objective import Objective
from yt8m.settings import Inputs, Noise, Training
from yt8m.store import Dims
from yt8m.training import predict

VIDEOS, CLASSES = 40, 7
FREQUENCY = torch.tensor([0.3, 0.2, 0.1, 0.05, 0.02, 0.4, 0.01])


def _targets(videos=VIDEOS, seed=0) -> HardTargets:
    rng = np.random.default_rng(seed)
    lists = [rng.choice(CLASSES, rng.integers(1, 4), replace=False) for _ in range(videos)]
    return HardTargets(Labels.from_lists(lists), CLASSES)


def _objective(targets=None, verticals=0, vertical_of=None, **training) -> Objective:
    targets = targets or _targets()
    vertical_of = np.full(CLASSES, -1) if vertical_of is None else vertical_of
    store = SimpleNamespace(dims=Dims(4, 2, CLASSES, 0, verticals), vertical_of=vertical_of)
    rows = np.arange(len(targets.labels))
    return Objective(Training(**training), store, rows, targets, verticals)


def _logits(seed=0, classes=CLASSES) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (3 * torch.randn(VIDEOS, classes, generator=generator)).requires_grad_()


def _shares(targets: HardTargets) -> torch.Tensor:
    counts = torch.from_numpy(targets.labels.class_counts(CLASSES))
    return (counts + 0.5) / (len(targets.labels) + 1)


def _agree(loss, logits, expected) -> None:
    torch.testing.assert_close(loss.double(), expected, rtol=1e-4, atol=1e-5)
    (one,) = torch.autograd.grad(loss, logits, retain_graph=True)
    (two,) = torch.autograd.grad(expected, logits)
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def _bce(logits, dense) -> torch.Tensor:
    """In float64; targets outside [0, 1] too."""
    x = logits.double()
    return -(dense * F.logsigmoid(x) + (1 - dense) * F.logsigmoid(-x)).sum(1).mean()


ALL = np.arange(VIDEOS)


def test_without_options_it_is_the_bare_loss():
    objective, targets = _objective(), _targets()(ALL)
    assert objective.labels(targets) is targets
    assert not list(objective.parameters())
    logits = _logits()
    assert objective(logits, targets) == _objective(noise=Noise(test_passes=3))(logits, targets)
    _agree(objective(logits, targets), logits, _bce(logits, targets.dense().double()))


def test_smoothing_moves_targets_towards_the_frequencies():
    targets, logits = _targets(), _logits()
    objective = _objective(targets, noise=Noise(smoothing=0.2))
    smooth = 0.8 * targets(ALL).dense().double() + 0.2 * _shares(targets)
    _agree(objective(logits, targets(ALL)), logits, _bce(logits, smooth))


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
    targets, logits = _targets(), _logits()
    objective = _objective(targets, noise=Noise(correction="forward", label_recall=0.6))
    kept, false = noise.matrix(_shares(targets).float(), 0.788, 0.6)
    p = logits.double().sigmoid()
    p, dense = kept * p + false * (1 - p), targets(ALL).dense()
    expected = -(dense * p.log() + (1 - dense) * (1 - p).log()).sum(1).mean()
    _agree(objective(logits, targets(ALL)), logits, expected)


def test_forward_correction_is_exact_where_float32_has_no_probability_left():
    kept, false = torch.tensor([0.9]), torch.tensor([0.0])
    x = torch.tensor([[-60.0], [60.0]], requires_grad=True)
    out = noise.logits_of_labels(x, kept, false)
    torch.testing.assert_close(out[0], x[0] + kept.log())
    torch.testing.assert_close(out[1], kept.logit())
    (slope,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(slope, torch.tensor([[1.0], [0.0]]))


def test_backward_correction_weighs_both_losses_by_the_inverse_matrix():
    targets, logits = _targets(), _logits()
    objective = _objective(targets, noise=Noise(correction="backward", label_recall=0.8))
    kept, false = (part.double() for part in noise.matrix(_shares(targets).float(), 0.788, 0.8))
    x, dense, expected = logits.double(), targets(ALL).dense().long(), 0.0
    for c in range(CLASSES):
        matrix = torch.stack([1 - false[c], false[c], 1 - kept[c], kept[c]]).view(2, 2)
        both = torch.stack([-F.logsigmoid(-x[:, c]), -F.logsigmoid(x[:, c])])  # absent, present
        corrected = torch.linalg.inv(matrix) @ both
        expected = expected + corrected.gather(0, dense[None, :, c]).mean()
        # What it is for: the expectation over labels, given the truth, is the loss of the truth.
        torch.testing.assert_close(matrix @ corrected, both)
    _agree(objective(logits, targets(ALL)), logits, expected)


@pytest.mark.parametrize("how", ["forward", "backward"])
def test_correction_of_perfect_labels_changes_nothing(how):
    targets, logits = _targets()(ALL), _logits()
    perfect = Noise(correction=how, label_precision=1.0, label_recall=1.0)
    loss = _objective(noise=perfect)(logits, targets)
    _agree(loss, logits, _bce(logits, targets.dense().double()))


def test_backward_correction_and_smoothing_go_together():
    targets, logits = _targets(), _logits()
    both = _objective(targets, noise=Noise(correction="backward", smoothing=0.1))
    share = _shares(targets)
    kept, false = noise.matrix(share.float(), 0.788, 0.145)
    smooth = 0.9 * targets(ALL).dense().double() + 0.1 * share
    corrected = (smooth - false) / (kept - false)
    _agree(both(logits, targets(ALL)), logits, _bce(logits, corrected))


def test_flipping_drops_and_adds_at_its_rates():
    labels = Labels.from_lists([[0, 1, 2]] * 20_000)
    targets = HardTargets(labels, CLASSES)(np.arange(20_000))
    torch.manual_seed(0)
    drop = torch.tensor([0.1, 0.5, 0.0, 0, 0, 0, 0])
    add = torch.tensor([0.2, 0.0, 0.0, 0.05, 0.0, 0.01, 0.0])
    dense = noise.flipped(targets, drop, add).dense()
    assert dense.max() == 1, "no label is there twice"
    expected = torch.tensor([0.9, 0.5, 1.0, 0.05, 0.0, 0.01, 0.0])
    torch.testing.assert_close(dense.mean(0), expected, atol=0.01, rtol=0)
    nothing = torch.zeros(CLASSES)
    assert torch.equal(noise.flipped(targets, nothing, nothing).dense(), targets.dense())


def test_flipping_keeps_the_frequencies_when_as_many_are_added_as_dropped():
    targets = _targets(20_000)
    objective = _objective(targets, noise=Noise(drop=0.3, add=0.3))
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
    monkeypatch.setattr("yt8m.objective.label_accuracies", lambda *_: found)
    return found


def test_flipping_by_accuracy_flips_uncertain_classes_more(doubted):
    targets = _targets()
    objective = _objective(targets, noise=Noise(drop=0.2, add=0.1, by_accuracy=True))
    counts = torch.from_numpy(targets.labels.class_counts(CLASSES))
    assert (objective.drop.diff() < 0).all()
    torch.testing.assert_close(objective.drop / objective.drop[0], (1 - doubted) / 0.8)
    overall = (objective.drop * counts).sum() / counts.sum()
    torch.testing.assert_close(overall, torch.tensor(0.2))
    torch.testing.assert_close(objective.add.sum() * VIDEOS, 0.1 * counts.sum())


def test_accuracies_leave_flipping_alone_unless_asked(doubted):
    found = [_objective(noise=Noise(drop=0.2, add=0.1, confidence=c)) for c in (0.0, 1.0)]
    assert found[1].doubt is not None
    torch.testing.assert_close(found[0].drop, torch.full((CLASSES,), 0.2))
    assert torch.equal(found[0].drop, found[1].drop)
    assert torch.equal(found[0].add, found[1].add)


def test_the_confidence_penalty_is_on_the_scores_of_uncertain_classes(doubted):
    targets, logits = _targets()(ALL), _logits()
    loss = _objective(noise=Noise(confidence=0.3))(logits, targets)
    penalty = 0.3 * (logits.double().sigmoid() * (1 - doubted)).sum(1).mean()
    _agree(loss, logits, _bce(logits, targets.dense().double()) + penalty)


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


def test_the_noise_layer_maps_probabilities_by_a_matrix_that_it_learns():
    layer, logits = noise.Adaptation(FREQUENCY, 0.0), _logits()
    p = logits.double().sigmoid()
    kept, false = layer.kept.sigmoid(), layer.false.sigmoid()
    torch.testing.assert_close(false, 0.1 * FREQUENCY)
    expected = kept * p + false * (1 - p)
    torch.testing.assert_close(layer(logits).sigmoid().double(), expected, atol=1e-6, rtol=1e-4)
    # Truth known, 30 % of the labels lost: the layer finds that out.
    truth = torch.rand(VIDEOS, CLASSES, generator=torch.Generator().manual_seed(0)) < 0.5
    seen = (truth & (torch.arange(VIDEOS) % 10 >= 3)[:, None]).float()
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    for _ in range(300):
        optimizer.zero_grad()
        out = layer(torch.where(truth, 20.0, -20.0))
        F.binary_cross_entropy_with_logits(out, seen).backward()
        optimizer.step()
    torch.testing.assert_close(
        layer.kept.sigmoid(), (seen * truth).sum(0) / truth.sum(0), atol=0.02, rtol=0
    )
    assert (layer.false.sigmoid() < 0.01).all()


def test_dropout_of_the_noise_layer_leaves_its_flips_out():
    layer = noise.Adaptation(FREQUENCY, 0.5)
    x = torch.zeros(1, CLASSES)
    torch.manual_seed(0)
    outs = torch.stack([layer(x)[0] for _ in range(400)]).sigmoid()
    kept, false = layer.kept.sigmoid().tolist(), layer.false.sigmoid().tolist()
    for c in range(CLASSES):
        values = {round(v, 5) for v in outs[:, c].tolist()}
        combinations = {
            round(0.5 * k + 0.5 * f, 5) for k in (1.0, kept[c]) for f in (0.0, false[c])
        }
        assert values == combinations
    assert torch.equal(noise.Adaptation(FREQUENCY, 0.0)(x), noise.Adaptation(FREQUENCY, 0.0)(x))
    outs.sum().backward()
    assert torch.isfinite(layer.kept.grad).all()
    assert torch.isfinite(layer.false.grad).all()


def test_processes_share_the_noise_layers_gradients(monkeypatch):
    layer = noise.Adaptation(FREQUENCY, 0.0)
    layer(_logits()).sum().backward()
    before = [parameter.grad.clone() for parameter in layer.parameters()]
    device.average_gradients(layer)
    monkeypatch.setattr(device, "world_size", lambda: 2)
    monkeypatch.setattr(device.dist, "all_reduce", lambda gradient: gradient.add_(5.0))
    device.average_gradients(layer)
    for parameter, old in zip(layer.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.grad, (old + 5) / 2)


def _net(dropout: float = 0.5) -> torch.nn.Module:
    torch.manual_seed(1)
    layers = [torch.nn.Linear(24 + 8, 16), torch.nn.BatchNorm1d(16), torch.nn.ReLU()]
    layers += [torch.nn.Dropout(dropout), torch.nn.Linear(16, 30)]

    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = torch.nn.Sequential(*layers)

        def forward(self, batch: Batch) -> torch.Tensor:
            return self.layers(batch.features)

    return Net()


def test_passes_average_probabilities_with_dropout_alone_on(store):
    net, source, rows = _net(), Source(store, "video", Inputs()), np.arange(50)
    state = {key: value.clone() for key, value in net.state_dict().items()}
    plain = predict(net, source, rows, 30)
    passed = predict(net, source, rows, 30, passes=4, seed=7)
    again = predict(net, source, rows, 30, passes=4, seed=7)
    assert passed.logits.tobytes() == again.logits.tobytes()
    assert passed.logits.tobytes() != predict(net, source, rows, 30, passes=4).logits.tobytes()
    assert passed.logits.tobytes() != plain.logits.tobytes()
    for key, value in net.state_dict().items():
        assert torch.equal(state[key], value), f"{key}: batch statistics must not move"
    assert predict(net, source, rows, 30).logits.tobytes() == plain.logits.tobytes()
    batch = source.load(rows, "cpu")
    net.eval()
    net.layers[3].train()
    with torch.no_grad():
        torch.manual_seed(3)
        expected = torch.stack([net(batch).double().sigmoid() for _ in range(4)]).mean(0)
        torch.manual_seed(3)
        found = noise.mean_of_passes(net, batch, 4)
    torch.testing.assert_close(found.double(), expected.logit(), atol=1e-5, rtol=1e-4)


def test_many_passes_come_near_the_network_without_dropout(store):
    net, source, rows = _net(0.1), Source(store, "video", Inputs()), np.arange(20)
    plain = predict(net, source, rows, 30)
    order = plain.classes.argsort(1)
    passed = predict(net, source, rows, 30, passes=200)
    one = np.take_along_axis(plain.logits, order, 1)
    two = np.take_along_axis(passed.logits, passed.classes.argsort(1), 1)
    assert np.abs(one - two).mean() < 0.05


def test_passes_of_a_model_without_dropout_are_refused(store):
    source = Source(store, "video", Inputs())
    with pytest.raises(InputError, match=r"noise.test_passes needs a model with dropout"):
        predict(_net(0.0), source, np.arange(5), 20, passes=2)


VERTICAL_OF = np.array([1, 0, -1, 0, 2, 2, 1])


def test_a_vertical_has_the_largest_target_of_its_classes():
    hard = _targets()(ALL)
    values = torch.rand(len(hard.values), generator=torch.Generator().manual_seed(0))
    for targets in (hard, replace(hard, values=values)):
        out = _objective(verticals=3, vertical_of=VERTICAL_OF).labels(targets)
        assert out.shape == (VIDEOS, CLASSES + 3)
        dense, own = out.dense(), targets.dense()
        assert torch.equal(dense[:, :CLASSES], own)
        for v in range(3):
            assert torch.equal(dense[:, CLASSES + v], own[:, VERTICAL_OF == v].amax(1))


@pytest.mark.parametrize("loss", ["bce", "soft_ranking", "balanced_bce"])
def test_verticals_are_weighed_apart_and_untouched_by_noise(loss):
    targets, logits = _targets(), _logits(classes=CLASSES + 3)
    arguments = {"verticals": 3, "vertical_of": VERTICAL_OF, "loss": loss}
    zero, one, three = (_objective(targets, vertical_weight=w, **arguments) for w in (0, 1, 3))
    wanted = one.labels(targets(ALL))
    losses = [objective(logits, wanted) for objective in (zero, one, three)]
    torch.testing.assert_close(losses[2] - losses[0], 3 * (losses[1] - losses[0]))
    alone = _objective(targets, loss=loss)(logits[:, :CLASSES], targets(ALL))
    torch.testing.assert_close(losses[0], alone)
    own = Targets(*torch.nonzero(wanted.dense()[:, CLASSES:], as_tuple=True), None, (VIDEOS, 3))
    above = HardTargets(Labels.from_lists([own.classes[own.rows == r] for r in ALL]), 3)
    if loss != "balanced_bce":
        other = _objective(targets, loss=loss).loss(logits[:, CLASSES:], above(ALL))
        torch.testing.assert_close(losses[1] - losses[0], other)
    smooth = _objective(targets, noise=Noise(smoothing=0.5), **arguments | {"loss": "bce"})
    plain = _objective(targets, **arguments | {"loss": "bce"})
    (one,) = torch.autograd.grad(smooth(logits, wanted), logits)
    (two,) = torch.autograd.grad(plain(logits, wanted), logits)
    assert torch.equal(one[:, CLASSES:], two[:, CLASSES:])
    assert not torch.equal(one[:, :CLASSES], two[:, :CLASSES])


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
        validated(values, Training, "x.toml")


def test_options_that_fit_any_loss_are_accepted():
    found = validated({"loss": "lsep", "noise": {"drop": 0.1, "test_passes": 3}}, Training, "")
    assert found.noise.drop == 0.1
