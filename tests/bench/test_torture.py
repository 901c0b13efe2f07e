"""Short forms of the torture: mutated records, and damaged files that are read without make."""

import shutil

import numpy as np
import pytest

from bench.torture import mutants
from bench.torture.damage import HOW, damage, try_reader
from bench.torture.mutants import payloads_of, try_mutants
from distill.export.run import Exported
from folds.parts import Finished
from yt8m.base.arrays import open_arrays
from yt8m.base.checksums import open_checked
from yt8m.records.description import describe, find_shards
from yt8m.records.layouts import Layouts
from yt8m.records.reader import dims_of


@pytest.fixture(params=["video", "frame"])
def level(data_set, request):
    """Payloads of a level, their description and their sizes."""
    shards = find_shards(data_set / "records")[request.param]
    names, _ = describe(data_set / "records", {request.param: shards}, None)
    return payloads_of(shards, 5), names, dims_of(shards, names)


def test_both_readers_agree_on_mutated_records(level):
    assert try_mutants(*level, 800, 0) == []


def test_a_reader_that_takes_more_than_protobuf_is_found(level, monkeypatch):
    payloads, names, dims = level
    right = mutants._fast
    monkeypatch.setattr(Layouts, "read", lambda *_: None)
    assert try_mutants(*level, 50, 0) == []
    monkeypatch.setattr(mutants, "_fast", lambda *_: right(*_) and (lambda: 1 / 0))
    found = try_mutants(payloads, names, dims, 3, 0)
    assert len(found) == 3
    assert "ZeroDivisionError" in found[0]


def test_what_is_damaged_is_refused_by_its_reader(data_set, students, tmp_path):
    rng, export = np.random.default_rng(0), shutil.copytree(students / "out", tmp_path / "out")
    store = shutil.copytree(data_set / "store", tmp_path / "store")
    folds = shutil.copy(data_set / "folds.safetensors", tmp_path)
    cases = [(path, lambda path=path: open_checked(path)) for path in store.rglob("*.npy")]
    cases += [(tmp_path / "folds.safetensors", lambda: open_arrays(folds))]
    cases += [(export / "model.onnx", lambda: Exported(export, "onnx"))]
    names = ("model.json", "model.safetensors")
    cases += [(export / name, lambda: Exported(export, "torch")) for name in names]
    for path, read in cases:
        for how in HOW[1:3] * 2:
            assert try_reader(read, path, how, rng) is None
        read()
    assert len(Finished(store, look=True).parts["video"]) == 1


def test_damage_is_done(tmp_path):
    rng, (one, two) = np.random.default_rng(0), (tmp_path / "one", tmp_path / "two")
    for how in HOW:
        one.write_bytes(b"12345678")
        two.write_bytes(b"abc")
        assert damage(one, how, two, rng)
        expected = {"deleted": None, "exchanged": b"abc"}
        found = one.read_bytes() if one.exists() else None
        assert found == expected.get(how, found) != b"12345678"
        assert two.read_bytes() == (b"12345678" if how == "exchanged" else b"abc")
    said = try_reader(lambda: None, two, "flipped", rng)
    assert said == "two flipped: was read without a word"
