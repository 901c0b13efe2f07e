"""Fixtures shared by the tests: one small generated data set, decoded once a session."""

import os

# Before numpy and torch are imported: several test processes share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from folds import assign, decode
from yt8m import synthetic
from yt8m.splits import Splits
from yt8m.store import Store


def pytest_make_parametrize_id(val, argname):
    """Bytes are named by their parameter: gzip holds the time, and test processes must agree."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def data_set(tmp_path_factory):
    """A folder with `records` (video and frame level), `store` and `folds.npz`: 400 videos."""
    root = tmp_path_factory.mktemp("data_set")
    synthetic.main(
        root / "records", videos=400, classes=30, rgb=24, audio=8, frames=True, shards=3, seed=1
    )
    decode.main(root / "records", root / "store", jobs=1)
    assign.main(root / "store", root / "folds.npz", holdout=0.2)
    return root


@pytest.fixture
def store(data_set):
    """The decoded store of `data_set`."""
    return Store(data_set / "store")


@pytest.fixture
def splits(data_set, store):
    """The folds of `store`."""
    return Splits.read(data_set / "folds.npz", store.ids)
