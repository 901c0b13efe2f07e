"""Serialised records of any content, for the tests of what reads them."""

import numpy as np

from yt8m.records import messages
from yt8m.records.description import Description

NAMES = Description(classes=10)
AUDIO_SET = Description(rgb_frames=(), audio_frames=("audio_embedding",), classes=527)


def present(features: dict) -> dict:
    return {k: v for k, v in {"id": [b"vid"], **features}.items() if v is not None}


def example(**features) -> bytes:
    """A serialised Example; the id is "vid" unless given."""
    return messages.example(present(features))


def sequence(lists: dict, **features) -> bytes:
    """A serialised SequenceExample; lists: name -> uint8 (T, W) or a list of bytes."""
    return messages.sequence(present(features), lists)


def means(seed=0, rgb=4, audio=2) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "mean_rgb": rng.standard_normal(rgb, np.float32),
        "mean_audio": rng.standard_normal(audio, np.float32),
    }


def frames(count=3, rgb=4, audio=2, seed=0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "rgb": rng.integers(0, 256, (count, rgb), np.uint8),
        "audio": rng.integers(0, 256, (count, audio), np.uint8),
    }
