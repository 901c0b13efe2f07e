"""Blocks that networks share, against their definitions on videos of no padding."""

import torch
from frame_world import MASK, videos_of
from torch import nn

from yt8m.networks import blocks as layers


def test_masked_means_maxima_and_softmax_are_those_of_the_real_frames():
    x = torch.randn(4, 12, 3)
    for function, of_video in (
        (layers.masked_mean, lambda v: v.mean(0)),
        (layers.masked_max, lambda v: v.amax(0)),
        (layers.ramp, lambda v: sum((i + 1) * f for i, f in enumerate(v)) / sum(range(len(v) + 1))),
    ):
        expected = torch.stack([of_video(video) for video in videos_of(x)])
        torch.testing.assert_close(function(x, MASK), expected)
    weights = layers.masked_softmax(x, MASK)
    assert (weights[~MASK] == 0).all()
    for found, video in zip(videos_of(weights), videos_of(x), strict=True):
        torch.testing.assert_close(found, video.softmax(0))


def test_rows_of_real_frames_and_back():
    x = torch.randn(4, 12, 3)
    rows = layers.real_rows(x, MASK)
    assert torch.equal(rows, torch.cat(videos_of(x)))
    back = layers.pad(rows, MASK, fill=-1.0)
    assert torch.equal(back, torch.where(MASK[..., None], x, -1.0))


def test_masked_batch_norm_has_the_statistics_of_real_frames():
    masked, plain = layers.MaskedBatchNorm(3), nn.BatchNorm1d(3)
    x = torch.randn(4, 12, 3) * 3 + 1
    x[~MASK] = 1e6
    expected = plain(torch.cat(videos_of(x)))
    found = masked(x, MASK)
    torch.testing.assert_close(torch.cat(videos_of(found)), expected)
    assert (found[~MASK] == 0).all()
    torch.testing.assert_close(masked.running_mean, plain.running_mean)
    torch.testing.assert_close(masked.running_var, plain.running_var)
    torch.testing.assert_close(masked.eval()(x, MASK)[MASK], plain.eval()(torch.cat(videos_of(x))))


def test_context_gating_and_squeeze_and_excitation():
    x = torch.randn(5, 8)
    full, squeezed = layers.ContextGating(8), layers.ContextGating(8, reduction=4)
    (linear,) = full.gate
    torch.testing.assert_close(full(x), x / (1 + torch.exp(-linear(x))))
    assert squeezed.gate[0].out_features == 2
    torch.testing.assert_close(squeezed.eval()(x), x * squeezed.gate(x).sigmoid())
