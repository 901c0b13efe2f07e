"""What takes the place of frames: differences, wavelets, principal component pursuit."""

import math

import numpy as np
import pytest
import torch
from input_world import dequantised, loaded, source_on

from yt8m.inputs.dynamics import DB3, sparse_part
from yt8m.inputs.frames import Frames


def test_the_wavelet_is_db3():
    k = np.arange(6)
    for power in range(3):
        assert abs(np.sum(np.array(DB3) * (k - 2.0) ** power)) < 1e-9
    for shift in (0, 2, 4):
        product = np.dot(DB3[shift:], DB3[: 6 - shift])
        assert abs(product - (shift == 0)) < 1e-9


@pytest.mark.parametrize("dynamics", ["centred", "high_pass"])
def test_dynamics_equal_their_definition(store, dynamics):
    rows = np.arange(12)
    batch = loaded(source_on(store, "frame", dynamics=dynamics, normalise="none"), rows)
    for place, row in enumerate(rows):
        frames = dequantised(store, row)
        n = len(frames)
        if dynamics == "centred":
            expected = frames - frames.mean(0)
        else:
            mirrored = np.concatenate([frames, frames[::-1]] * 8)  # of any length from 1 on
            expected = [
                sum(g * mirrored[(t + 2 - j) % (2 * n)] for j, g in enumerate(DB3))
                for t in range(n)
            ]
        found = batch.joined[place][batch.mask[place]]
        np.testing.assert_allclose(found, np.array(expected), atol=2e-5)


def test_high_pass_takes_away_what_is_quadratic_in_time(store):
    from yt8m.inputs.dynamics import high_pass

    t = torch.arange(20.0)[:, None]
    values = torch.cat([1 + 0 * t, t, 0.1 * t * t], 1)
    found = high_pass(Frames({"rgb": values}, torch.tensor([20]))).joined
    torch.testing.assert_close(found[3:-2], torch.zeros_like(found[3:-2]), atol=1e-4, rtol=0)
    assert (found[:, 0].abs() < 1e-6).all()


def _slow_pcp(m: np.ndarray) -> np.ndarray:
    """The sparse part, by the textbook with full singular value decompositions."""
    w = 1 / math.sqrt(max(m.shape))
    spectral = np.linalg.norm(m, 2)
    y = m / max(spectral, np.abs(m).max() / w)
    mu, s = 1.25 / spectral, np.zeros_like(m)
    for _ in range(100):
        u, values, v = np.linalg.svd(m - s + y / mu, full_matrices=False)
        low = (u * np.maximum(values - 1 / mu, 0)) @ v
        rest = m - low + y / mu
        s = np.sign(rest) * np.maximum(np.abs(rest) - w / mu, 0)
        error = m - low - s
        if np.linalg.norm(error) <= 1e-4 * np.linalg.norm(m):
            break
        y, mu = y + mu * error, mu * 1.5
    return s


@pytest.mark.parametrize(("longest", "width"), [(12, 40), (40, 12)])
def test_pcp_equals_the_textbook_and_ignores_padding_and_batch_mates(longest, width):
    generator = np.random.default_rng(0)
    lengths = [longest, 1, longest // 2, 5]
    frames = np.zeros((4, longest, width))
    for video, n in zip(frames, lengths, strict=True):
        video[:n] = generator.normal(size=(n, 1)) * generator.normal(size=(1, width))
        video[:n][generator.random((n, width)) < 0.1] += 5
    found = sparse_part(torch.from_numpy(frames), torch.tensor(lengths))
    for video, sparse, n in zip(frames, found.numpy(), lengths, strict=True):
        assert not sparse[n:].any()
        np.testing.assert_allclose(sparse[:n], _slow_pcp(video[:n]), atol=1e-6)
    black = torch.zeros(2, 3, 4, dtype=torch.float64)
    assert torch.equal(sparse_part(black, torch.tensor([3, 1])), black)


def test_pcp_finds_what_is_sparse():
    generator = np.random.default_rng(1)
    low = generator.normal(size=(40, 2)) @ generator.normal(size=(2, 60))
    sparse = (generator.random((40, 60)) < 0.05) * generator.choice([-4.0, 4.0], size=(40, 60))
    found = sparse_part(torch.from_numpy(low + sparse)[None], torch.tensor([40]))[0].numpy()
    assert np.abs(found - sparse).max() < 0.05
