"""Artifacts say what they were made from, and what is not so is refused."""

from dataclasses import replace

import numpy as np
import pytest

from yt8m.base.cli import InputError
from yt8m.base.digests import seal_of
from yt8m.base.files import write_json
from yt8m.data import origins
from yt8m.data.origins import Origin, check_origin, digest_of_videos, hashes_of
from yt8m.data.predictions import Predictions

IDS = np.array([f"video {i}".encode() for i in range(300)] + [b"a", b"12345678", b"123456789"])
ORIGIN = Origin("first_level/linear", 0, digest_of_videos(IDS), {"folds": "abc"})


def test_hashes_are_of_ids_alone_whatever_their_order_and_width():
    found = hashes_of(IDS)
    assert found.dtype == np.uint64
    assert len(np.unique(found)) == len(IDS)
    assert (np.diff(found.astype(object)) > 0).all()
    order = np.random.default_rng(0).permutation(len(IDS))
    np.testing.assert_array_equal(hashes_of(IDS[order]), found)
    np.testing.assert_array_equal(hashes_of(IDS.astype("S40")), found)
    np.testing.assert_array_equal(hashes_of(IDS, order), found)
    rows = order[:70]
    np.testing.assert_array_equal(hashes_of(IDS, rows), hashes_of(IDS[rows]))
    assert origins.count_known(found, IDS[:5]) == 5
    assert origins.count_known(hashes_of(IDS[3:]), IDS[:5]) == 2


def test_ids_whose_words_change_places_differ():
    one, other = np.array([b"abcdefghABCDEFGH"]), np.array([b"ABCDEFGHabcdefgh"])
    assert hashes_of(one) != hashes_of(other)


def test_hashes_of_many_videos_are_those_of_each(monkeypatch):
    whole = hashes_of(IDS)
    monkeypatch.setattr(origins, "BLOCK", 7)
    np.testing.assert_array_equal(hashes_of(IDS), whole)


def test_a_digest_is_of_the_set_of_videos():
    assert digest_of_videos(IDS) == digest_of_videos(IDS[::-1])
    assert digest_of_videos(IDS).startswith(f"{len(IDS)} ")
    assert digest_of_videos(IDS[1:]) != digest_of_videos(IDS[:-1])


def test_predictions_keep_their_origin_on_their_way(tmp_path):
    path = tmp_path / "p.safetensors"
    arrays = np.zeros((len(IDS), 2), np.uint16), np.zeros((len(IDS), 2), np.float16)
    Predictions(IDS, *arrays, origin=ORIGIN).write(path)
    found = Predictions.read(path)
    assert found.origin == ORIGIN
    assert found.align(IDS[::-1]).origin == ORIGIN
    Predictions(IDS, *arrays).write(path)
    assert Predictions.read(path).origin is None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "does not say what it was made from"),
        (replace(ORIGIN, made_by="first_level/moe"), "was made by first_level/moe, not by"),
        (replace(ORIGIN, fold=1), "was made without fold 1, not without fold 0"),
        (replace(ORIGIN, fold=None), "was made without no fold, not without fold 0"),
        (replace(ORIGIN, training=digest_of_videos(IDS[1:])), r"other videos.*302, and 303 are"),
        (replace(ORIGIN, inputs={"folds": "abd"}), "from another folds than is there"),
        (replace(ORIGIN, inputs={}), "from another folds than is there"),
    ],
)
def test_what_is_not_read_as_what_it_is_is_refused(tmp_path, found, said):
    path = tmp_path / "weights.safetensors"
    expected = (path, "first_level/linear", 0, digest_of_videos(IDS))
    assert check_origin(ORIGIN, *expected, folds="abc", config=None) == ORIGIN
    with pytest.raises(InputError, match=rf"weights.safetensors: .*{said}.*run `make`"):
        check_origin(found, *expected, folds="abc")


def test_a_file_that_its_job_did_not_write_is_refused(tmp_path):
    path = tmp_path / "first_level" / "linear" / "fold0" / "weights.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"one")
    check = (ORIGIN, path, ORIGIN.made_by, 0, ORIGIN.training)
    check_origin(*check)
    for receipt in ("first_level/linear/fold0.json", "first_level/linear/fold0/more.json"):
        name = "@run/first_level/linear/fold0/weights.safetensors"
        to = tmp_path / "receipts" / receipt
        write_json(to, {"outputs": {name: seal_of(path)}})
        check_origin(*check)
        path.write_bytes(b"two" if receipt.endswith("fold0.json") else b"six")
        with pytest.raises(InputError, match="is not what its job wrote; delete it"):
            check_origin(*check)
        check_origin(*check, sealed=False)
        to.unlink()
