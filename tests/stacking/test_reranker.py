"""The network over rows, and the columns that a graph makes, against their definitions."""

from typing import get_args

import numpy as np
import pytest
import torch
from kinds import as_tensors
from scipy.special import erf

from stacking import features, label_features
from stacking.candidates import pool
from stacking.config import RankBy
from yt8m.networks.candidate_head import CandidateHead
from yt8m.networks.reranker import Columns, Reranker
from yt8m.records.labels import Labels

VIDEOS, SMOOTHING = 200, 2.0


def scaled_head(columns=5, **sizes):
    """A head, and the table (300, columns) that gave its scale: column 3 is always 7."""
    torch.manual_seed(0)
    head = CandidateHead(columns, **sizes)
    table = np.random.default_rng(0).normal(3, 2, (300, columns)).astype(np.float32)
    table[:, 3] = 7
    head.fit_scale(torch.from_numpy(table))
    return head, table


def test_a_head_by_definition():
    head, table = scaled_head(width=8, layers=2)
    rows = np.random.default_rng(1).normal(0, 9, (4, 6, 5)).astype(np.float32)
    x = (rows - table.mean(0)) / np.where(table.std(0) > 0, table.std(0), 1)
    assert np.abs(x[..., :3]).max() > 6, "the test sees the clipping"
    x[..., 3] = 0
    x = x.clip(-6, 6)
    layers = [part for part in head.layers if hasattr(part, "weight")]
    assert [tuple(layer.weight.shape) for layer in layers] == [(8, 5), (8, 8), (1, 8)]
    for layer in layers:
        x = x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()
        x = x * (1 + erf(x / np.sqrt(2))) / 2 if layer is not layers[-1] else x
    found = head(torch.from_numpy(rows)).detach().numpy()
    assert found.shape == (4, 6)
    np.testing.assert_allclose(found, x[..., 0], rtol=1e-4, atol=1e-5)


def test_a_column_that_was_constant_counts_as_nothing():
    head, table = scaled_head(layers=0)
    other = table.copy()
    other[:, 3] = -5
    found = [head(torch.from_numpy(rows)) for rows in (table, other)]
    assert torch.equal(*found)
    assert found[0].std() > 0.1
    head.fit_scale(torch.full((9, 5), 1e6))
    assert head.scale.tolist() == [0] * 5


def random_labels(classes: int) -> Labels:
    rng = np.random.default_rng(2)
    return Labels.from_lists([rng.integers(0, classes, rng.integers(0, 4)) for _ in range(VIDEOS)])


def build_both(columns: Columns, classes: int):
    """A re-ranker with random weights, and the statistics of labels that it has."""
    inputs = len(columns.kept) + len(features.AGREEMENT) + len(features.OF_VIDEO)
    torch.manual_seed(0)
    inputs += 2 + len(label_features.NAMES)
    reranker = Reranker(columns, classes, inputs, width=4, layers=1)
    rows = np.arange(VIDEOS)
    known = label_features.statistics(random_labels(classes), rows, classes, SMOOTHING)
    pairs = label_features.sparse_pairs(random_labels(classes), rows, classes).toarray().ravel()
    reranker.counts = torch.from_numpy(known.counts)
    reranker.pair_at = torch.from_numpy(np.flatnonzero(pairs)).int()
    reranker.pair_counts = torch.from_numpy(pairs[pairs > 0])
    return reranker, known


@pytest.mark.parametrize("rank_by", get_args(RankBy))
@pytest.mark.parametrize(
    ("classes", "kept", "candidates", "evidence"),
    [
        (24, (24, 24, 24), 12, 5),
        (30, (22, 9, 30), 9, 99),
        (24, (4,), 4, 3),
        (6, (6, 3), 3, 1),
        (1, (1,), 1, 10),
    ],
    ids=["all classes", "shorter lists", "one model, four places", "few classes", "one class"],
)
def test_rows_are_those_of_stacking(rank_by, classes, kept, candidates, evidence):
    columns = Columns(kept, candidates, rank_by, evidence, SMOOTHING, VIDEOS)
    reranker, known = build_both(columns, classes)
    rng = np.random.default_rng(3)
    logits = [rng.normal(-1, 3, (50, classes)).astype(np.float32) for _ in kept]
    video = {name: rng.normal(size=(50, 7)).astype(np.float32) for name in ("rgb", "audio")}
    with torch.inference_mode():
        inputs = [torch.from_numpy(x) for x in logits], as_tensors(video)
        found, table = (part.numpy() for part in reranker.rows(*inputs))
        best, best_logits = (part.numpy() for part in reranker(*inputs))
        scores = reranker.head(torch.from_numpy(table)).numpy()

    lists = []
    for x, keep in zip(logits, kept, strict=True):
        order = np.argsort(-x, axis=1)[:, :keep]
        lists.append((order.astype(np.uint16), np.take_along_axis(x, order, 1)))
    expected, votes = pool(lists, rank_by, classes, candidates)
    if rank_by == "rank":  # has ties, which come in any order
        longer, all_votes = pool(lists, rank_by, classes, min(kept))
        by_class = np.full((50, classes), -1, np.float32)
        np.put_along_axis(by_class, longer.astype(int), all_votes, 1)
        own = np.take_along_axis(by_class, found, 1)
        np.testing.assert_allclose(own[own >= 0], votes[own >= 0], rtol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)
    own = features.features(lists, found, classes, features.norms(video))
    probability = own[:, :, len(kept) + features.AGREEMENT.index("probability_mean")]
    of_labels = label_features.label_features(known, found, probability, evidence)
    wanted = np.concatenate([own, of_labels], axis=2)
    names = features.names(["m"] * len(kept), features.norms(video)) + list(label_features.NAMES)
    for index, name in enumerate(names):
        np.testing.assert_allclose(
            table[..., index], wanted[..., index], rtol=1e-3, atol=1e-4, err_msg=name
        )
    order = np.argsort(-scores, axis=1, kind="stable")
    np.testing.assert_array_equal(best, np.take_along_axis(found, order, 1))
    np.testing.assert_array_equal(best_logits, np.take_along_axis(scores, order, 1))


def test_a_place_in_a_list_is_counted_not_a_value():
    """Of models that give many classes the same logit, as `neighbours` does."""
    reranker, _ = build_both(Columns((22,), 22, "logit", 5, SMOOTHING, VIDEOS), 24)
    zeros = {name: torch.zeros(3, 2) for name in ("rgb", "audio")}
    _, table = reranker.rows([torch.zeros(3, 24)], zeros)
    at = [1 + features.AGREEMENT.index(name) for name in ("in_top5", "in_top20")]
    assert table[..., at].sum(1).tolist() == [[5, 20]] * 3
