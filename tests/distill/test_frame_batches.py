"""Batches of frames as an export takes them, against training's and the reader's."""

import numpy as np
import torch
from kinds import named

from distill.export.batches import dequantise, means, of_videos
from yt8m.data.store import Dims
from yt8m.inputs.frames import place_of
from yt8m.inputs.sampling import stride
from yt8m.records.video import Video, video_level


def test_of_longer_videos_frames_at_even_steps_are_taken():
    rng = np.random.default_rng(0)
    lengths = [5, 12, 30, 13]
    rgb, audio = ([rng.integers(0, 256, (n, w), np.uint8) for n in lengths] for w in (3, 2))
    (batch,) = of_videos(named(rgb, audio), Dims({"rgb": 3, "audio": 2}, 9, 12))
    index, kept = stride(torch.tensor(lengths), 12)
    assert batch.lengths.tolist() == kept.tolist() == [5, 12, 12, 12]
    expected = dequantise(np.concatenate(rgb)[index])
    real = np.arange(12) < kept.numpy()[:, None]
    np.testing.assert_array_equal(batch.features["rgb"][real], expected)
    assert not batch.features["rgb"][~real].any()
    assert place_of(kept).max() == 11


def test_the_mean_is_that_of_a_frame_level_record():
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (n, 6), np.uint8) for n in (4, 9, 1)]
    (batch,) = of_videos({"rgb": frames}, Dims({"rgb": 6}, 9, 300))
    expected = [video_level(Video(b"", frames={"rgb": f}))["rgb"] for f in frames]
    np.testing.assert_allclose(means(batch.features, batch.lengths)["rgb"], expected, atol=1e-5)
