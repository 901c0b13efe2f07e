"""Batches: every row once, frames padded, epochs cut from one stream."""

import numpy as np
import pytest
import torch

from yt8m.inputs import batch as dataset
from yt8m.inputs.batch import Source, batch_rows
from yt8m.inputs.settings import Inputs
from yt8m.training import schedule
from yt8m.training.settings import Training


@pytest.mark.parametrize("steps", [0, 3, 10, 25])
def test_epochs_are_cut_from_one_endless_shuffled_stream(steps):
    rows = np.arange(1001)
    settings = Training(steps_per_epoch=steps, batch_size=100)
    epochs = [list(schedule.batches_of(rows, settings, epoch)) for epoch in range(12)]
    assert {len(epoch) for epoch in epochs} == {schedule.steps_of(rows, settings)} == {steps or 11}
    seen = np.concatenate([np.concatenate(epoch) for epoch in epochs])
    assert abs(schedule.videos_of(rows, settings) - len(seen) / 12) < 1
    passes = [seen[at : at + 1001] for at in range(0, len(seen) - 1000, 1001)]
    for number, order in enumerate(passes):
        assert sorted(order) == rows.tolist()
        assert not any(np.array_equal(order, other) for other in passes[:number])


def test_batches_cover_every_row_once_and_none_is_tiny():
    rows = np.arange(1001)
    batches = batch_rows(rows, 100, seed=1)
    assert sorted(np.concatenate(batches).tolist()) == rows.tolist()
    assert min(map(len, batches)) >= 90
    assert max(map(len, batches)) <= 100


def test_many_rows_are_shuffled_in_blocks_of_neighbours(monkeypatch):
    monkeypatch.setattr(dataset, "TOGETHER", 1 << 10)
    monkeypatch.setattr(dataset, "NEIGHBOURS", 16)
    rows = np.arange(0, 30_003, 3)  # more than a whole number of blocks
    first, again, other = (dataset.shuffle(rows, np.random.default_rng(s)) for s in (1, 1, 2))
    assert sorted(first.tolist()) == rows.tolist()
    assert np.array_equal(first, again)
    assert (first == other).mean() < 0.01
    for some in np.array_split(first, 20):
        blocks = np.unique(some // 3 // 16)
        assert 40 < len(blocks) <= 129, "what is read together is of few of its 626 blocks"
        assert np.ptp(blocks) > 300, "from all over the store"
    # Within these the order is random: neighbours in it are no neighbours in the store.
    assert (np.abs(np.diff(first[:1024] // 3)) < 16).mean() < 0.06
    few = dataset.shuffle(rows[:1024], np.random.default_rng(1))
    assert np.array_equal(few, np.random.default_rng(1).permutation(rows[:1024]))


def test_frames_are_dequantised_padded_and_strided(store):
    rows = np.array([5, 0, 7])
    frames, lengths = store.frames(rows)
    rgb = frames["rgb"]
    batch = Source(store, "frame", Inputs(normalise="none")).load(rows, "cpu")
    assert batch.mask.sum(1).tolist() == lengths.tolist()
    first = torch.from_numpy(rgb[: lengths[0]]).float() * 4 / 255 + 4 / 512 - 2
    torch.testing.assert_close(batch.features["rgb"][0, : lengths[0]], first)
    assert (batch.features["rgb"][~batch.mask] == 0).all()
    few = Source(store, "frame", Inputs(normalise="none", max_frames=3)).load(rows, "cpu")
    assert few.features["rgb"].shape[1] == 3
    torch.testing.assert_close(few.features["rgb"][0, 1], first[lengths[0] // 3])
    unit = Source(store, "video", Inputs()).load(rows, "cpu")
    torch.testing.assert_close(unit.features["rgb"].norm(dim=1), torch.full((3,), 24**0.5))
