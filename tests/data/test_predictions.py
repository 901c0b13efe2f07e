"""Sparse predictions, labels and splits: everything joins by id, never by position."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import yt8m.data.splits
import yt8m.records.labels
from yt8m.base.arrays import write_arrays
from yt8m.base.cli import InputError
from yt8m.data import predictions
from yt8m.data.predictions import Predictions, sigmoid, top_k
from yt8m.data.splits import HOLDOUT, Splits, row_finder, uniform
from yt8m.records.labels import Labels


def _predictions(n=5):
    ids = np.array([f"v{i:03d}".encode() for i in range(n)])
    rng = np.random.default_rng(0)
    classes, logits = top_k(torch.from_numpy(rng.normal(size=(n, 9)).astype("f4")), 4)
    return Predictions(ids, classes, logits)


def test_a_round_trip_and_any_order_of_ids(tmp_path):
    predictions = _predictions()
    predictions.write(tmp_path / "p.safetensors")
    shuffled = np.random.default_rng(1).permutation(5)
    aligned = Predictions.read(tmp_path / "p.safetensors").align(predictions.ids[shuffled])
    np.testing.assert_array_equal(aligned.classes, predictions.classes[shuffled])
    np.testing.assert_array_equal(aligned.logits, predictions.logits[shuffled])
    assert aligned.align(predictions.ids[shuffled]) is aligned


@pytest.mark.parametrize("block", [2, 1 << 15])
def test_an_absent_or_doubled_id_is_an_error_that_names_it(tmp_path, monkeypatch, block):
    monkeypatch.setattr(yt8m.data.splits, "SOUGHT", block)
    predictions = _predictions()
    predictions.write(tmp_path / "p.safetensors")
    read = Predictions.read(tmp_path / "p.safetensors")
    with pytest.raises(
        InputError, match=r"p.safetensors: 2 of 3 videos are absent \(first: X0ab\)"
    ):
        read.align(np.array([b"v001", b"X0ab", b"v00"]))
    with pytest.raises(InputError, match="id v000 appears twice"):
        replace(read, ids=np.repeat(read.ids[:1], 5)).align(predictions.ids)


def test_the_same_predictions_are_the_same_bytes_at_any_time(tmp_path, monkeypatch):
    _predictions().write(tmp_path / "now.safetensors")
    later = time.localtime(time.time() + 3600)
    monkeypatch.setattr(time, "localtime", lambda *_: later)
    _predictions().write(tmp_path / "later.safetensors")
    now, later = tmp_path / "now.safetensors", tmp_path / "later.safetensors"
    assert now.read_bytes() == later.read_bytes()
    assert np.array_equal(Predictions.read(now).ids, _predictions().ids)


def test_arrays_saved_by_numpy_are_predictions_too(tmp_path):
    made, path = _predictions(), tmp_path / "a.npz"
    np.savez_compressed(path, ids=made.ids, classes=made.classes, logits=made.logits)
    read = Predictions.read(path)
    for name in ("ids", "classes", "logits"):
        np.testing.assert_array_equal(getattr(read, name), getattr(made, name))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="a.npz: cannot be read .*; write it by np.savez"):
        Predictions.read(path)
    np.savez(path, ids=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="a.npz: cannot be read .*Object arrays"):
        Predictions.read(path)
    with pytest.raises(InputError, match="b.npz: no such file"):
        Predictions.read(tmp_path / "b.npz")


def test_what_is_not_predictions_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", ids=np.zeros(2))
    write_arrays(tmp_path / "a.safetensors", {"ids": np.zeros(2)})
    for name in ("a.npz", "a.safetensors"):
        with pytest.raises(InputError, match=rf"{name}: holds \['ids'\], not predictions"):
            Predictions.read(tmp_path / name)
    (tmp_path / "b.safetensors").write_bytes(b"PK\x03\x04 truncated")
    with pytest.raises(InputError, match="b.safetensors: cannot be read"):
        Predictions.read(tmp_path / "b.safetensors")
    with pytest.raises(InputError, match="c.safetensors: no such file"):
        Predictions.read(tmp_path / "c.safetensors")


def test_float16_logits_keep_the_order_near_certainty():
    logits = torch.tensor([[20.0, 25.0, 15.0, 1e6]])
    classes, kept = top_k(logits, 4)
    assert classes.tolist() == [[3, 1, 0, 2]]
    assert np.isfinite(kept).all()
    assert (np.diff(kept[0].astype("f4")) < 0).all()
    np.testing.assert_allclose(sigmoid(np.array([-1e4, 0.0, 1e4])), [0, 0.5, 1])


def test_labels_take_contains_and_counts(monkeypatch):
    labels = Labels.from_lists([[3, 1, 1], [], [0]])
    assert labels.counts().tolist() == [2, 0, 1]
    assert labels.take(np.array([2, 0])).indices.tolist() == [0, 1, 3]
    found = labels.contains(np.array([[1, 0], [1, 0], [1, 0]]))
    assert found.tolist() == [[True, False], [False, False], [False, True]]
    joined = Labels.concatenate([labels, labels.take(np.array([2]))])
    assert joined.class_counts(4).tolist() == [2, 1, 0, 1]
    assert joined.class_counts(4, np.array([3, 0, 1])).tolist() == [1, 1, 0, 1]
    monkeypatch.setattr(yt8m.records.labels, "BLOCK", 2)
    assert joined.class_counts(4, np.arange(4)).tolist() == [2, 1, 0, 1]
    assert joined.take(np.array([2, 0, 1, 3, 0])).indices.tolist() == [0, 1, 3, 0, 1, 3]
    assert joined.take(np.array([2, 0, 1, 3, 0])).indptr.tolist() == [0, 1, 3, 3, 4, 6]
    assert Labels.from_lists([]).contains(np.zeros((0, 3), int)).shape == (0, 3)


def test_the_hash_of_an_id_is_the_same_everywhere_and_salts_are_independent():
    ids = np.array([f"{i:04d}".encode() for i in range(20_000)])
    one, two = uniform(ids, "one"), uniform(ids, "two")
    assert uniform(np.array([b"ab12"]), "fold")[0] == uniform(np.array([b"ab12", b"x"]), "fold")[0]
    assert abs(one.mean() - 0.5) < 0.01
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.03


def test_splits_align_by_id(tmp_path):
    ids = np.array([b"a", b"b", b"c", b"d"])
    Splits(np.array([0, 1, HOLDOUT, 4], np.int8)).write(tmp_path / "f.safetensors", ids)
    splits = Splits.read(tmp_path / "f.safetensors", ids[::-1])
    assert splits.fold.tolist() == [4, HOLDOUT, 1, 0]
    assert splits.others(4).tolist() == [2, 3]
    assert splits.training.tolist() == [0, 2, 3]
    assert splits.holdout.tolist() == [1]
    assert row_finder(ids, "x")(np.array([b"d", b"a"])).tolist() == [3, 0]


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(predictions, "LONGEST", 10_000)
    np.savez_compressed(tmp_path / "a.npz", ids=np.zeros(10_000_000, np.uint8))
    with pytest.raises(InputError, match=r"a.npz: ids.npy claims 10,000,128 bytes in .*; write"):
        Predictions.read(tmp_path / "a.npz")
