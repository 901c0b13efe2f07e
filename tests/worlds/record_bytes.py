"""Serialised records of any content, for the tests of what reads them, and what they hold."""

import numpy as np

from folds import decode
from yt8m.data.store import Store
from yt8m.records import messages
from yt8m.records.description import Description, describe, find_shards
from yt8m.records.reader import stream

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


def videos_of(folder) -> dict[str, list]:
    """The videos of a folder of records, by level."""
    shards = find_shards(folder)
    names, _ = describe(folder, shards)
    return {level: list(stream(paths, names)) for level, paths in shards.items()}


def decoded(records, folder, jobs=1) -> Store:
    """The store of a folder of records, decoded into a folder."""
    decode.main(records, folder, jobs=jobs)
    return Store(folder)


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
