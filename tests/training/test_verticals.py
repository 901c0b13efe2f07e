"""Verticals: their targets, their weight, and that noise leaves them alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from noise_world import ALL, CLASSES, VIDEOS, objective_of, some_logits, some_targets

from yt8m.inputs.batch import HardTargets, Targets
from yt8m.records.labels import Labels
from yt8m.training.settings import Noise

VERTICAL_OF = np.array([1, 0, -1, 0, 2, 2, 1])


def test_a_vertical_has_the_largest_target_of_its_classes():
    hard = some_targets()(ALL)
    values = torch.rand(len(hard.values), generator=torch.Generator().manual_seed(0))
    for targets in (hard, replace(hard, values=values)):
        out = objective_of(verticals=3, vertical_of=VERTICAL_OF).labels(targets)
        assert out.shape == (VIDEOS, CLASSES + 3)
        dense, own = out.dense(), targets.dense()
        assert torch.equal(dense[:, :CLASSES], own)
        for v in range(3):
            assert torch.equal(dense[:, CLASSES + v], own[:, VERTICAL_OF == v].amax(1))


@pytest.mark.parametrize("loss", ["bce", "soft_ranking", "balanced_bce"])
def test_verticals_are_weighed_apart_and_untouched_by_noise(loss):
    targets, logits = some_targets(), some_logits(classes=CLASSES + 3)
    arguments = {"verticals": 3, "vertical_of": VERTICAL_OF, "loss": loss}
    zero, one, three = (objective_of(targets, vertical_weight=w, **arguments) for w in (0, 1, 3))
    wanted = one.labels(targets(ALL))
    losses = [objective(logits, wanted) for objective in (zero, one, three)]
    torch.testing.assert_close(losses[2] - losses[0], 3 * (losses[1] - losses[0]))
    alone = objective_of(targets, loss=loss)(logits[:, :CLASSES], targets(ALL))
    torch.testing.assert_close(losses[0], alone)
    own = Targets(*torch.nonzero(wanted.dense()[:, CLASSES:], as_tuple=True), None, (VIDEOS, 3))
    above = HardTargets(Labels.from_lists([own.classes[own.rows == r] for r in ALL]), 3)
    if loss != "balanced_bce":
        other = objective_of(targets, loss=loss).loss(logits[:, CLASSES:], above(ALL))
        torch.testing.assert_close(losses[1] - losses[0], other)
    smooth = objective_of(targets, noise=Noise(smoothing=0.5), **arguments | {"loss": "bce"})
    plain = objective_of(targets, **arguments | {"loss": "bce"})
    (one,) = torch.autograd.grad(smooth(logits, wanted), logits)
    (two,) = torch.autograd.grad(plain(logits, wanted), logits)
    assert torch.equal(one[:, CLASSES:], two[:, CLASSES:])
    assert not torch.equal(one[:, :CLASSES], two[:, :CLASSES])
