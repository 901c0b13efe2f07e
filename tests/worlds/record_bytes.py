"""Serialised records of any content, for the tests of what reads them."""

import numpy as np

from yt8m.records.description import Description
from yt8m.records.messages import protobuf

NAMES = Description(classes=10)
AUDIO_SET = Description(rgb_frames=(), audio_frames=("audio_embedding",), classes=527)


def feature(values):
    """A Feature of the kind of `values`: list of bytes, list of int, or float array."""
    if isinstance(values, np.ndarray):
        return protobuf.Feature(float_list=protobuf.FloatList(value=values))
    if values and isinstance(values[0], bytes):
        return protobuf.Feature(bytes_list=protobuf.BytesList(value=values))
    return protobuf.Feature(int64_list=protobuf.Int64List(value=values))


def example(**features) -> bytes:
    """A serialised Example; the id is "vid" unless given."""
    features = {"id": [b"vid"], **features}
    made = {name: feature(values) for name, values in features.items() if values is not None}
    return protobuf.Example(features=protobuf.Features(feature=made)).SerializeToString()


def sequence(lists: dict, **features) -> bytes:
    """A serialised SequenceExample; lists: name -> uint8 (T, W) or a list of bytes."""
    features = {"id": [b"vid"], **features}
    made = {name: feature(values) for name, values in features.items() if values is not None}
    frames = {
        name: protobuf.FeatureList(feature=[feature([bytes(row)]) for row in rows])
        for name, rows in lists.items()
    }
    return protobuf.SequenceExample(
        context=protobuf.Features(feature=made),
        feature_lists=protobuf.FeatureLists(feature_list=frames),
    ).SerializeToString()


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
