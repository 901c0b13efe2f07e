"""Fixtures shared by the tests: one small generated data set, decoded once a session."""

import os
import shutil

# Before numpy and torch are imported: several test processes share few cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("YT8M_FSYNC", "0")

import numpy as np
import pytest
import torch
from convert_world import write_forms
from download_world import NAMES, content
from export_world import random_network, run_export
from forked_python import ForkedPython
from make_world import make, make_tree
from record_bytes import videos_of
from shard_server import STALL, Shards, serving

from distill.config import DistillConfig
from folds import assign, decode, fetching, parts
from yt8m.base.config import write_snapshot
from yt8m.data.splits import Splits
from yt8m.data.store import DERIVED, Store
from yt8m.records import synthetic
from yt8m.records.video import video_level
from yt8m.training.weights import save_weights

LONGEST = ("jobs", "distill", "export", "bench")


def pytest_make_parametrize_id(val, argname):
    """Bytes are named by their parameter: gzip holds the time, and test processes must agree."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items):
    """The folders whose tests take longest begin, so that no process is left with one of them."""
    items.sort(key=lambda item: item.path.parent.name not in LONGEST)


@pytest.fixture(scope="session")
def data_set(tmp_path_factory):
    """A folder with `records` (video, frame level), `store` and `folds.safetensors`: 400 videos."""
    root = tmp_path_factory.mktemp("data_set")
    synthetic.main(
        root / "records", videos=400, classes=30, rgb=24, audio=8, frames=True, shards=3, seed=1
    )
    decode.main(root / "records", root / "store", jobs=1)
    assign.main(root / "store", root / "folds.safetensors", holdout=0.2)
    return root


@pytest.fixture
def store(data_set):
    """The decoded store of `data_set`."""
    return Store(data_set / "store")


@pytest.fixture
def fresh(data_set, tmp_path):
    """The store in a folder of its own, with nothing derived from it yet."""
    shutil.copytree(data_set / "store", tmp_path / "store")
    shutil.rmtree(tmp_path / "store" / DERIVED, ignore_errors=True)
    return Store(tmp_path / "store")


@pytest.fixture
def tiny_parts(monkeypatch):
    """A part of a store for every shard, however small."""
    monkeypatch.setattr(parts, "SMALLEST", 1)


@pytest.fixture
def splits(data_set, store):
    """The folds of `store`."""
    return Splits.read(data_set / "folds.safetensors", store.ids)


@pytest.fixture(scope="session")
def students(data_set, tmp_path_factory):
    """A folder with config.json, two students with random weights, and the export of one."""
    root = tmp_path_factory.mktemp("export")
    config = DistillConfig.model_validate({"scale": 1 / 64, "resnet": {"model": {"width": 16}}})
    write_snapshot(root / "config.json", config)
    torch.manual_seed(0)
    for kind in ("student", "resnet"):
        network = random_network(kind, config, Store(data_set / "store").dims)
        save_weights(network.members[0], root / kind / "weights.safetensors")
    run_export(root, data_set, root / "out")
    return root


@pytest.fixture(scope="session")
def videos(data_set):
    """(ids, rgb, audio) of the video-level records, in the shards' order."""
    found = videos_of(data_set / "records")["video"]
    levels = [video_level(video) for video in found]
    rgb, audio = (np.stack([level[kind] for level in levels]) for kind in ("rgb", "audio"))
    return [video.id.decode() for video in found], rgb, audio


@pytest.fixture(scope="session")
def forked(tmp_path_factory):
    """A server of forks that have what others wrote; scripts of it start like `python`."""
    modules = ("torch", "lightgbm", "pydantic", "safetensors.numpy", "scipy.sparse")
    server = ForkedPython(tmp_path_factory.mktemp("forked"), *modules)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def planning(tmp_path_factory):
    """A server of forks that have the planner, for jobs that only write their outputs."""
    modules = ("jobs.planner", "jobs.rules", "jobs.durations", "yt8m.records.content")
    server = ForkedPython(tmp_path_factory.mktemp("planning"), *modules)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def made_tree(tmp_path_factory, planning):
    """A copy of the project with everything made once."""
    tree = make_tree(tmp_path_factory.mktemp("made"), planning)
    make(tree)
    return tree


@pytest.fixture(scope="module")
def tree(made_tree, tmp_path_factory):
    """A copy of that: content decides, so nothing in it is stale."""
    return shutil.copytree(made_tree, tmp_path_factory.mktemp("make") / "tree")


@pytest.fixture
def server(monkeypatch):
    """A server of `download_world`'s shards."""
    monkeypatch.setattr(fetching, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(fetching, "TIMEOUT", STALL / 2)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving(Shards({name: content(name) for name in NAMES})) as shards:
        yield shards


@pytest.fixture
def forms(tmp_path):
    """The same videos in every form that a conversion takes; their features by name."""
    return write_forms(tmp_path)
