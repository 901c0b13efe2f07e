"""Which frames of a video a model sees: each choice against its definition."""

import math

import numpy as np
import pytest
import torch
from input_world import LENGTHS, dequantised, frames_of, loaded, source_on, videos_of

from yt8m.inputs.derived import source_of
from yt8m.inputs.sampling import CHOICES, RANDOM
from yt8m.inputs.settings import Inputs


def _places(choice: str, length: int, most: int, training: bool, seed: int = 0) -> list[int]:
    torch.manual_seed(seed)
    index, kept = CHOICES[choice](torch.tensor([3, length]), most, training)
    assert len(index) == int(kept.sum())
    return (index[int(kept[0]) :] - 3).tolist()


def test_choices_at_prediction():
    assert _places("stride", 10, 4, True) == _places("stride", 10, 4, False) == [0, 2, 5, 7]
    assert _places("first", 10, 4, True) == _places("first", 10, 4, False) == [0, 1, 2, 3]
    assert _places("subsequence", 10, 4, False) == [3, 4, 5, 6]
    assert _places("random_stride", 10, 4, False) == [1, 3, 6, 8]
    assert _places("random", 10, 4, False) == _places("bootstrap", 10, 4, False) == [0, 2, 5, 7]


@pytest.mark.parametrize("most", [1, 4, 9, 10, 50])
def test_choices_in_training(most):
    m = min(most, 10)
    seen = {choice: set() for choice in CHOICES}
    for seed in range(60):
        places = {c: _places(c, 10, most, True, seed) for c in CHOICES}
        for choice, found in places.items():
            seen[choice].add(tuple(found))
            assert len(found) == m
            assert found == sorted(found)
            assert 0 <= found[0] <= found[-1] < 10
        assert np.all(np.diff(places["subsequence"]) == 1)
        assert np.all(np.diff(places["random"]) > 0)
        steps = np.diff(places["random_stride"])
        assert np.isin(steps, [10 // m, -(-10 // m)]).all()
    for choice in ("subsequence", "random_stride", "random"):
        expected = {"subsequence": 10 - m + 1, "random_stride": 10, "random": math.comb(10, m)}
        assert len(seen[choice]) <= expected[choice]
        assert (len(seen[choice]) > 1) == (m < 10), choice
    assert len(seen["stride"]) == len(seen["first"]) == 1
    assert len(seen["bootstrap"]) > 1
    if m < 10:
        reached = {place for found in seen["random"] for place in found}
        assert reached == set(range(10))


def test_bootstrap_draws_with_replacement():
    draws = [_places("bootstrap", 10, 10, True, seed) for seed in range(200)]
    counts = np.bincount(np.concatenate(draws), minlength=10) / 200
    assert np.abs(counts - 1).max() < 0.25
    distinct = np.mean([len(set(draw)) for draw in draws])
    assert abs(distinct - 10 * (1 - 0.9**10)) < 0.3


@pytest.mark.parametrize("training", [False, True])
def test_segments_are_means_of_every_frame_once(store, training):
    rows, most = np.arange(20), 4
    source = source_on(store, "frame", sampling="segments", max_frames=most, normalise="none")
    different = False
    batch = loaded(source, rows, training)
    for place, row in enumerate(rows):
        frames = dequantised(store, row)
        n, k = len(frames), min(most, len(frames))
        found = batch.joined[place][batch.mask[place]].numpy()
        assert len(found) == k
        cuts = [j * n // k for j in range(k)] + [n]
        equal = np.stack([frames[a:b].mean(0) for a, b in zip(cuts, cuts[1:], strict=False)])
        if not training:
            np.testing.assert_allclose(found, equal, atol=1e-5)
            continue
        different |= not np.allclose(found, equal, atol=1e-5)
        begin = 0  # some cuts explain what was found
        for mean in found:
            means = frames[begin:].cumsum(0) / np.arange(1, n - begin + 1)[:, None]
            begin += int(np.abs(means - mean).max(1).argmin()) + 1
            np.testing.assert_allclose(means[np.abs(means - mean).max(1).argmin()], mean, atol=1e-4)
        assert begin == n
    assert different == training


@pytest.mark.parametrize("threshold", [0.01, 0.03, 1.5])
def test_scenes_begin_where_the_cosine_distance_passes_the_threshold(threshold):
    from yt8m.inputs.sampling import scenes

    frames = frames_of()
    index, counts = scenes(frames.on("cpu"), threshold)
    expected, first = [], 0
    for video in videos_of(frames):
        unit = video / np.linalg.norm(video, axis=1, keepdims=True)
        cuts = [t for t in range(1, len(video)) if 1 - unit[t] @ unit[t - 1] > threshold]
        bounds = [0, *cuts, len(video)]
        middles = [(a + b - 1) // 2 for a, b in zip(bounds, bounds[1:], strict=False)]
        expected.append([first + middle for middle in middles])
        first += len(video)
    assert counts.tolist() == [len(middles) for middles in expected]
    assert index.tolist() == sum(expected, [])
    assert len(index) == len(LENGTHS) if threshold > 1 else len(LENGTHS) < len(index) < sum(LENGTHS)


def test_a_subset_mean_is_a_mean_of_some_frames(store):
    rows = np.arange(30)
    source = source_on(store, "video", sampling="subset_mean", max_frames=2, normalise="none")
    shares = []
    plain, mixed = loaded(source, rows), loaded(source, rows, training=True)
    for place, row in enumerate(rows):
        frames = dequantised(store, row)
        np.testing.assert_allclose(plain.joined[place], frames.mean(0), atol=1e-5)
        found = mixed.joined[place].numpy()
        errors = {}
        for a in range(len(frames)):
            for b in range(a + 1, len(frames)):
                d = frames[b] - frames[a]
                share = float((found - frames[a]) @ d / (d @ d))
                errors[np.abs(frames[a] + share * d - found).max()] = share
        assert min(errors) < 1e-4
        shares.append(errors[min(errors)])
    assert 0 <= min(shares) < 0.3 < 0.7 < max(shares) <= 1


@pytest.mark.parametrize("sampling", RANDOM)
@pytest.mark.parametrize("level", ["video", "frame"])
def test_randomness_is_in_training_alone_and_repeats_with_its_seed(store, splits, sampling, level):
    inputs = Inputs(sampling=sampling, max_frames=3)
    source = source_of(store, level, inputs, splits)
    rows = np.arange(40)
    one, two = (loaded(source, rows, True, seed=5).joined for _ in range(2))
    assert torch.equal(one, two)
    assert not torch.equal(one, loaded(source, rows, True, seed=6).joined)
    state = torch.get_rng_state()
    first = source.load(rows, torch.device("cpu")).joined
    assert torch.equal(torch.get_rng_state(), state), "a prediction drew random numbers"
    assert torch.equal(first, loaded(source, rows, seed=6).joined)
    together = source.load(rows, torch.device("cpu"))
    for place in range(5):
        alone = source.load(rows[place : place + 1], torch.device("cpu")).joined[0]
        kept = slice(None) if together.mask is None else together.mask[place]
        torch.testing.assert_close(alone, together.joined[place][kept])


@pytest.mark.parametrize("sampling", ["stride", "scenes", "first"])
def test_what_is_not_random_draws_nothing(store, sampling):
    source = source_on(store, "frame", sampling=sampling, max_frames=3)
    one, two = (loaded(source, np.arange(20), True, seed) for seed in (1, 2))
    assert torch.equal(one.joined, two.joined)


def test_skipping_leaves_the_last_frame(store):
    rows = np.arange(10)
    for skip in (0, 4, 1000):
        batch = loaded(source_on(store, "frame", skip_frames=skip, normalise="none"), rows)
        for place, row in enumerate(rows):
            frames = dequantised(store, row)
            expected = frames[min(skip, len(frames) - 1) :]
            found = batch.joined[place][batch.mask[place]]
            np.testing.assert_allclose(found, expected, atol=1e-6)
