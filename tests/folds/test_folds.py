"""Folds: by a hash of the id, whatever the disk and the holdout; balance and error texts."""

import numpy as np
import pytest

from folds import assign, decode
from yt8m.base.cli import InputError
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNUSED, Splits
from yt8m.records import synthetic
from yt8m.records.labels import Labels

IDS = synthetic.make_ids(20_000, 0)
ALL = np.ones(len(IDS), bool)


@pytest.mark.parametrize("holdout", [0, 0.1, 0.5])
def test_sizes(holdout):
    fold = assign.assign(IDS, ALL, holdout).fold
    assert (fold == HOLDOUT).mean() == pytest.approx(holdout, abs=0.015)
    for k in range(NUM_FOLDS):
        assert (fold == k).mean() == pytest.approx((1 - holdout) / NUM_FOLDS, abs=0.015)


def test_the_holdout_changes_no_fold_and_grows_by_inclusion():
    none, some, more = (assign.assign(IDS, ALL, h).fold for h in (0, 0.1, 0.3))
    for fold in (some, more):
        np.testing.assert_array_equal(fold[fold >= 0], none[fold >= 0])
    assert set(np.flatnonzero(some == HOLDOUT)) < set(np.flatnonzero(more == HOLDOUT))


def test_the_holdout_is_independent_of_the_folds():
    none, some = (assign.assign(IDS, ALL, h).fold for h in (0, 0.5))
    shares = [(some[none == k] == HOLDOUT).mean() for k in range(NUM_FOLDS)]
    np.testing.assert_allclose(shares, 0.5, atol=0.03)


def test_order_and_subset_do_not_matter():
    order = np.random.default_rng(0).permutation(len(IDS))[:777]
    whole, part = assign.assign(IDS, ALL, 0.1), assign.assign(IDS[order], ALL[order], 0.1)
    np.testing.assert_array_equal(part.fold, whole.fold[order])


def test_videos_without_a_labels_field_are_unused():
    labelled = np.arange(len(IDS)) % 3 > 0
    fold = assign.assign(IDS, labelled, 0.2).fold
    assert (fold[~labelled] == UNUSED).all()
    assert (fold[labelled] != UNUSED).all()


def test_command(data_set, store, tmp_path, capsys):
    assign.main(data_set / "store", tmp_path / "folds.safetensors", holdout=0.2)
    splits = Splits.read(tmp_path / "folds.safetensors", store.ids)
    text = capsys.readouterr().out
    for k in range(NUM_FOLDS):
        assert f"fold {k} {len(splits.rows(k)):>11,} videos" in text
        assert f"training without fold {k}: " in text
    assert f"holdout {len(splits.holdout):>10,} videos" in text
    np.testing.assert_array_equal(splits.fold, assign.assign(store.ids, ALL[:400], 0.2).fold)


def test_classes_without_positives_are_named():
    labels = Labels.from_lists([[0], [0, 1], [1], [2], [2], [3]])
    splits = Splits(np.array([0, 1, 2, 3, 4, HOLDOUT], np.int8))
    lines = assign.balance(splits, labels, ["a", "b", "c", "d", "e"]).splitlines()[6:]
    assert lines[0] == "all folds: 2 of 5 classes have no positive (d, e)"
    assert lines[1] == "training without fold 0: 2 of 5 classes have no positive (d, e)"
    names = [f"n{i}" for i in range(9)]
    assert "6 of 9 classes have no positive (n3, n4, n5, n6, n7, ...)" in assign.balance(
        splits, labels, names
    )


def test_unused_videos_are_counted():
    splits = Splits(np.array([0, UNUSED, 1, 2, 3, 4, UNUSED], np.int8))
    text = assign.balance(splits, Labels.from_lists([[1]] * 7), ["a", "b"])
    assert "unused           2 videos without a labels field" in text
    assert "fold 0           1 videos   1.00 labels a video" in text


@pytest.mark.parametrize("holdout", [-0.1, 1, 2.5, float("nan")])
def test_holdout_out_of_range(data_set, tmp_path, holdout):
    match = f"--holdout {holdout}: at least 0 and less than 1 is allowed"
    with pytest.raises(InputError, match=match):
        assign.main(data_set / "store", tmp_path / "folds.safetensors", holdout=holdout)


def test_too_few_videos(tmp_path):
    synthetic.main(tmp_path / "r", videos=3, classes=5, rgb=2, audio=2, shards=1)
    decode.main(tmp_path / "r", tmp_path / "store", jobs=1)
    with pytest.raises(InputError, match=r"fold \d has no videos: 3 of 3 videos have labels"):
        assign.main(tmp_path / "store", tmp_path / "folds.safetensors")
    assert not (tmp_path / "folds.safetensors").exists()
