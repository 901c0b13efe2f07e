"""Statistics of frames as inputs of video-level models, against slow definitions."""

import math

import numpy as np
import pytest
import torch
from input_world import dequantised, frames_of, loaded, videos_of

from yt8m.inputs.derived import source_of
from yt8m.inputs.settings import Inputs, Statistic
from yt8m.inputs.statistics import summaries, widths

STATISTICS = Statistic.__args__


def _slow_statistic(name: str, video: np.ndarray) -> np.ndarray:
    if name == "top5":
        ordered = np.sort(video, 0)[::-1]
        return np.concatenate([ordered[min(k, len(video) - 1)] for k in range(5)])
    if name == "mode":
        columns = (np.unique(column, return_counts=True) for column in video.T)
        return np.array([values[counts.argmax()] for values, counts in columns])
    if name == "length":
        return np.array([math.log(len(video)) / math.log(360)])
    return getattr(np, name)(video, 0)


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_equal_their_definition(name):
    frames = frames_of()
    rgb, audio = summaries(frames.on("cpu"), (name,), frames.lengths).values()
    for part, columns in ((rgb, slice(0, 6)), (audio, slice(6, 9))):
        assert widths((name,), part.shape[1]) == [part.shape[1]]
        for found, video in zip(part, videos_of(frames), strict=True):
            expected = _slow_statistic(name, video[:, columns])
            np.testing.assert_allclose(found, expected, atol=2e-6)


def test_statistics_are_side_by_side_and_normalised_each(store, splits):
    names = ("top5", "length", "mean", "std")
    rows = np.arange(15)
    sides = []
    for normalise in ("none", "l2"):
        inputs = Inputs(statistics=names, normalise=normalise)
        source = source_of(store, "video", inputs, splits)
        sides.append(loaded(source, rows))
        for kind, width in store.dims.features.items():
            found = sides[-1].features[kind].shape[1]
            assert source.dims.features[kind] == found == 7 * width + 1
    plain, unit = sides
    for part, scaled in ((plain.features[kind], unit.features[kind]) for kind in plain.features):
        width = (part.shape[1] - 1) // 7
        pieces = zip(part.split([5 * width, 1, width, width], 1),
                     scaled.split([5 * width, 1, width, width], 1), strict=True)  # fmt: skip
        for name, (before, after) in zip(names, pieces, strict=True):
            norm = 1 if name == "length" else before.norm(dim=1, keepdim=True)
            scale = 1 if name == "length" else before.shape[1] ** 0.5
            torch.testing.assert_close(after, before / norm * scale)
    for place, row in enumerate(rows):
        frames = dequantised(store, row)
        rgb = frames[:, : store.dims.features["rgb"]]
        expected = np.concatenate([_slow_statistic(name, rgb) for name in names])
        np.testing.assert_allclose(
            plain.features["rgb"][place], expected, atol=2e-3
        )  # kept as float16


def test_batch_mates_do_not_change_statistics():
    frames = frames_of((30, 4)).on("cpu")
    alone = frames.map(lambda part: part[30:], frames.lengths[1:])
    together = summaries(frames, STATISTICS, frames.lengths)
    for kind, one in summaries(alone, STATISTICS, alone.lengths).items():
        torch.testing.assert_close(together[kind][1], one[0])
