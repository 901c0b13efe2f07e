"""What is done block by block is the same with blocks of three as with one block."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import yt8m.data.predictions
from distill.export import batches, run
from folds import assign, hashes
from stacking import candidates, soft_labels
from stacking.learners import booster, network
from stacking.table import Rows
from yt8m.base import arrays
from yt8m.data.predictions import Predictions
from yt8m.inputs import derived
from yt8m.inputs.batch import HardTargets, Source
from yt8m.inputs.settings import Inputs
from yt8m.networks.candidate_head import CandidateHead
from yt8m.records import framing
from yt8m.records.labels import Labels
from yt8m.training import loop, losses

VIDEOS, K, CLASSES = 20, 4, 9
IDS = np.array([f"v{i * 7 % 20:02d}".encode() for i in range(VIDEOS)])


def _predictions(seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    classes = np.stack([rng.permutation(CLASSES)[:K] for _ in IDS]).astype(np.uint16)
    return Predictions(IDS, classes, -np.sort(-rng.normal(size=classes.shape)).astype(np.float16))


def _shuffled(found: Predictions) -> np.ndarray:
    return np.random.default_rng(5).permutation(found.ids)


def _rows() -> Rows:
    rng = np.random.default_rng(1)
    columns, known = rng.normal(size=(VIDEOS, K, 5)), rng.normal(size=(5, VIDEOS, K, 2))
    labels = rng.integers(0, 2, (VIDEOS, K)).astype(np.uint8)
    return Rows(IDS, labels, labels, columns.astype("f"), known.astype("f"), IDS)


def _pair_loss(store, tmp_path):
    lists = [np.arange(i % 5) for i in range(VIDEOS)]  # 40 positives
    targets = HardTargets(Labels.from_lists(lists), CLASSES)(np.arange(VIDEOS))
    found = []
    for name in ("soft_ranking", "soft_ranking_batch", "sigmoid_ranking", "hinge_ranking"):
        logits = torch.randn(VIDEOS, CLASSES, generator=torch.Generator().manual_seed(0))
        loss = getattr(losses, name)(logits.requires_grad_(), targets)
        loss.backward()
        found += [loss.detach().numpy(), logits.grad.numpy()]
    return found


def _align(store, tmp_path):
    found = _predictions()
    ids = _shuffled(found)
    one = found.align(ids, tmp_path)
    for i in range(VIDEOS):
        row = found.ids.tolist().index(ids[i])
        assert (one.classes[i] == found.classes[row]).all()
        assert (one.logits[i] == found.logits[row]).all()
    return [one.classes, one.logits]


def _average(store, tmp_path):
    found = candidates.average([_predictions(seed) for seed in range(3)], CLASSES)
    return [found.classes, found.logits]


def _score(store, tmp_path):
    torch.manual_seed(0)
    learner = network.NetworkOfRows(CandidateHead(7, 4, 1))
    return [learner.score(_rows().matrix(slice(None), 2))]


def _sequence(store, tmp_path):
    part = booster.RowSequence(_rows(), np.array([1, 4, 5, 6, 9, 12, 13, 17]), 3)
    return [part[0:32], part[5:30], part[[3, 1]], part.labels]


def _loop(store, tmp_path):
    torch.manual_seed(0)
    model = torch.nn.Linear(32, 30)
    wrapped = torch.nn.Module()
    wrapped.layer, wrapped.forward = model, lambda batch: model(batch.joined)
    found = loop.predict(wrapped, Source(store, "video", Inputs()), np.arange(50, 70), 5)
    return [found.classes, found.logits]


def _doubled(store, tmp_path):
    numbers = np.random.default_rng(0).permutation(33).astype(np.uint64)
    numbers[[20, 29, 32]] = numbers[[3, 11, 3]]
    found = hashes.rows_alike(lambda block: numbers[block], len(numbers))
    assert sorted(found) == [3, 11, 20, 29, 32]
    return [np.sort(found)]


def _folds(store, tmp_path):
    return [assign.assign(store.ids, store.labelled, 0.3).fold]


def _exported(store, tmp_path):
    """A stand-in for an export of frames: the sums of features of each video."""

    def top(features, k, lengths):
        sums = np.stack([np.sum(x, axis=(1, 2)) for x in features.values()], 1)
        return np.argsort(sums), np.concatenate([sums, lengths[:, None]], 1)

    exported = SimpleNamespace(manifest=SimpleNamespace(dims=store.dims), top=top)
    return list(run.best_of(exported, store, np.arange(30, 50)))


def _labels_a_video(store, tmp_path):
    return [np.array(soft_labels.labels_a_video(_predictions()))]


def _file(store, tmp_path):
    path = tmp_path / "x.safetensors"
    arrays.write_arrays(path, {"ids": IDS, "values": np.arange(33.0)})
    found = arrays.open_arrays(path)
    return [
        np.frombuffer(path.read_bytes(), np.uint8),
        found["values"],
        found["ids"].view(np.uint8),
    ]


CASES = [
    (losses._PairLoss, ["BLOCK"], _pair_loss),
    (yt8m.data.predictions, ["BLOCK"], _align),
    (candidates, ["CHUNK"], _average),
    (network, ["CHUNK"], _score),
    (booster, ["TOGETHER"], _sequence),
    (loop, ["PREDICTED"], _loop),
    (hashes, ["BLOCK", "SORTED"], _doubled),
    (assign, ["BLOCK"], _folds),
    (run, ["TOGETHER"], _exported),
    (batches, ["VIDEOS", "MOST"], _exported),
    (soft_labels, ["BLOCK"], _labels_a_video),
    (arrays, ["BLOCK_BYTES"], _file),
]


@pytest.mark.parametrize(
    ("module", "names", "compute"), CASES, ids=lambda x: getattr(x, "__name__", "")
)
def test_blocks_of_three_give_the_same(module, names, compute, store, tmp_path, monkeypatch):
    whole = copy.deepcopy(compute(store, tmp_path))
    for name in names:
        assert getattr(module, name) > 33, "one block is enough for the first result"
        monkeypatch.setattr(module, name, 3)
    for one, other in zip(compute(store, tmp_path), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("zipped", ["", ".gz"])
def test_records_end_anywhere_in_a_block(tmp_path, monkeypatch, zipped):
    payloads = [bytes([65 + i]) * size for i, size in enumerate((0, 9, 31, 90, 1, 40))]
    path = tmp_path / f"a.tfrecord{zipped}"
    framing.write_records(path, payloads)
    for block in range(framing.HEADER.size, 240):
        monkeypatch.setattr(framing, "BLOCK", block)
        monkeypatch.setattr(framing, "READ", max(1, block // 3))
        found = list(framing.read_records(path))  # all views are kept
        assert [bytes(view) for view in found] == payloads, block
        assert [bytes(view) for view in framing.read_records(path)] == payloads, block


def test_of_too_many_videos_those_that_are_looked_at_are_spread_evenly():
    rows = np.arange(1000, 2000)
    assert derived._spread(rows, 1000) is rows
    assert derived._spread(rows, 4).tolist() == [1000, 1333, 1666, 1999]
