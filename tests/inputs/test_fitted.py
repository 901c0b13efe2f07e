"""What is fitted to the training videos: centroids, whitening, moments."""

import numpy as np
import pytest
import torch

from yt8m.base.cli import InputError
from yt8m.data.store import DERIVED
from yt8m.inputs import clusters
from yt8m.inputs.batch import Source
from yt8m.inputs.derived import source_of
from yt8m.inputs.frames import Frames
from yt8m.inputs.sampling import stride_frames
from yt8m.inputs.scaling import Moments
from yt8m.inputs.settings import Inputs

CPU = torch.device("cpu")


def test_centroids_are_each_frames_nearest_once_by_first_appearance(fresh, splits, monkeypatch):
    monkeypatch.setattr(clusters, "BLOCK", 100)  # several blocks
    inputs = Inputs(sampling="centroids", clusters=8, normalise="none", skip_frames=2)
    source = source_of(fresh, "frame", inputs, splits)
    centroids = source.made.clusters.centroids.numpy()
    assert centroids.shape == (8, fresh.dims.width)
    rows = np.array([5, 0, 333, 17])
    batch = source.load(rows, CPU)
    plain = Source(fresh, "frame", Inputs(normalise="none", skip_frames=2)).load(rows, CPU)
    unique = 0
    for place in range(len(rows)):
        frames = plain.joined[place][plain.mask[place]].numpy()
        near = np.square(frames[:, None] - centroids).sum(2).argmin(1)
        expected = list(dict.fromkeys(near.tolist()))
        unique += len(near) > len(expected) > 1
        found = batch.joined[place][batch.mask[place]].numpy()
        np.testing.assert_allclose(found, centroids[expected], atol=1e-6)
    assert unique, "no video had one centroid twice"
    few = Inputs(sampling="centroids", clusters=8, max_frames=2, skip_frames=2)
    assert source_of(fresh, "frame", few, splits).load(rows, CPU).mask.shape[1] == 2


def test_k_means_finds_what_is_apart():
    generator = np.random.default_rng(0)
    truth = generator.normal(size=(5, 12)) * 10
    frames = truth[generator.integers(0, 5, 4000)] + generator.normal(size=(4000, 12)) * 0.1
    batches = torch.from_numpy(frames).float().split(100)
    found = clusters.fit_centroids(batches, 20, "x")
    assert np.sqrt(np.square(truth[:, None] - found).sum(2)).min(1).max() < 0.5


def test_too_few_frames_for_the_centroids(fresh, splits):
    with pytest.raises(
        InputError, match=r"store: inputs.clusters = 60,000 and .* frames; give few"
    ):
        source_of(fresh, "frame", Inputs(sampling="centroids", clusters=60_000), splits)
    (folder,) = (fresh.folder / DERIVED).glob("clusters-*")
    assert not list(folder.iterdir())


@pytest.mark.parametrize("level", ["video", "frame"])
def test_whitened_training_videos_are_white(fresh, splits, level):
    source = source_of(fresh, level, Inputs(normalise="whiten"), splits)
    plain = Source(fresh, level, Inputs(normalise="none"))
    seen = [s.load(splits.training, CPU) for s in (source, plain)]
    if level == "frame":
        parts = [[part[batch.mask] for part in batch.features.values()] for batch in seen]
    else:
        parts = [batch.features.values() for batch in seen]
    for found, raw in zip(*parts, strict=True):
        width = found.shape[1]
        torch.testing.assert_close(found.norm(dim=1), torch.full((len(found),), width**0.5))
        values = raw.double().numpy()
        values = values - values.mean(0)
        variances, directions = np.linalg.eigh(values.T @ values / len(values))
        white = values @ directions / np.sqrt(np.maximum(variances, 0.01 * variances.max()))
        unit = white / np.linalg.norm(white, axis=1, keepdims=True) * width**0.5
        # An eigenvector's sign is free: what two videos say of each other is not.
        np.testing.assert_allclose(found @ found[0], unit @ unit[0], atol=0.02 * width)


def test_moments_far_from_zero_and_without_variance():
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(5000, 4, generator=generator) * torch.tensor([1.0, 0.1, 3.0, 0.0]) + 1000
    for how in ("standard", "whiten"):
        moments = Moments(how)
        for batch in values.split(700):
            moments.add(batch)
        scaling = moments.scaling()
        torch.testing.assert_close(scaling.mean, values.double().mean(0).float())
        assert torch.isfinite(scaling(values)).all()
    truth = values.double()
    factor = 1 / truth[:, :3].std(0, correction=0)
    moments = Moments("standard")
    for batch in values.split(700):
        moments.add(batch)
    torch.testing.assert_close(moments.scaling().factor[:3].double(), factor, rtol=1e-4, atol=0)


def test_strided_frames_of_a_stack():
    frames = Frames({"rgb": torch.arange(14).float()[:, None]}, torch.tensor([9, 1, 4]))
    kept = stride_frames(frames, 3)
    assert kept.joined[:, 0].tolist() == [0, 3, 6, 9, 10, 11, 12]
    assert kept.lengths.tolist() == [3, 1, 3]
    assert stride_frames(frames, 9) is frames


def test_a_source_without_what_it_needs_says_so(fresh):
    for inputs in (Inputs(normalise="whiten"), Inputs(sampling="centroids")):
        with pytest.raises(AssertionError, match="needs derived.source_of"):
            Source(fresh, "frame", inputs).load(np.arange(3), CPU)
