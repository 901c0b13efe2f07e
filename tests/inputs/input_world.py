"""What the tests of inputs share: frames with equal bytes, and loops over their videos."""

import numpy as np
import torch

from yt8m.inputs.batch import Source
from yt8m.inputs.frames import SCALE, SHIFT, Frames
from yt8m.inputs.settings import Inputs

LENGTHS = (7, 1, 12, 2, 5, 30)


def frames_of(lengths=LENGTHS, rgb: int = 6, audio: int = 3, seed: int = 0) -> Frames:
    """Few different bytes, so that there are equal ones."""
    generator = torch.Generator().manual_seed(seed)
    features = {
        name: torch.randint(100, 112, (sum(lengths), width), generator=generator, dtype=torch.uint8)
        for name, width in (("rgb", rgb), ("audio", audio))
    }
    return Frames(features, torch.tensor(lengths))


def videos_of(frames: Frames) -> list[np.ndarray]:
    """Each video's frames, rgb and audio side by side: float (T, D)."""
    values = frames.on(torch.device("cpu")).joined.numpy().astype(np.float64)
    return np.split(values, np.cumsum(frames.lengths.numpy())[:-1])


def source_on(store, level="video", **inputs) -> Source:
    return Source(store, level, Inputs(**inputs))


def loaded(source: Source, rows, training: bool = False, seed: int = 0):
    torch.manual_seed(seed)
    return source.load(np.asarray(rows), torch.device("cpu"), training)


def dequantised(store, row: int) -> np.ndarray:
    """rgb and audio of a video's frames: float32 (T, R + A)."""
    features, _ = store.frames(np.array([row]))
    joined = np.concatenate(list(features.values()), 1)
    return joined.astype(np.float32) * np.float32(SCALE) + np.float32(SHIFT)
