"""Videos to serialised records, the reverse of records.py: what the writers of records share.

T frames, W width of a modality.
"""

import numpy as np

from yt8m.records.framing import messages
from yt8m.records.video import LOWEST, QUANTUM


def quantise(values: np.ndarray) -> np.ndarray:
    """float32 -> uint8: the official dequantisation in reverse; beyond [-2, 2] is clipped."""
    return np.clip(np.rint((values - LOWEST) / QUANTUM), 0, 255).astype(np.uint8)


def example(features: dict) -> bytes:
    """A serialised Example: a video-level record. features: by name, of the functions below."""
    record = messages.Example(features=messages.Features(feature=features))
    return record.SerializeToString(deterministic=True)


def sequence(features: dict, frames: dict[str, np.ndarray]) -> bytes:
    """A serialised SequenceExample: a frame-level record. frames: uint8 (T, W) by name."""
    lists = {name: frame_list(values) for name, values in frames.items()}
    record = messages.SequenceExample(
        context=messages.Features(feature=features),
        feature_lists=messages.FeatureLists(feature_list=lists),
    )
    return record.SerializeToString(deterministic=True)


def strings(values):
    """A Feature of bytes."""
    return messages.Feature(bytes_list=messages.BytesList(value=values))


def integers(values):
    """A Feature of int64."""
    return messages.Feature(int64_list=messages.Int64List(value=values))


def floats(values):
    """A Feature of float32."""
    return messages.Feature(float_list=messages.FloatList(value=values))


def frame_list(frames: np.ndarray):
    """A FeatureList of uint8 (T, W): one bytes value a frame."""
    empty = bytes(frames.shape[1])
    one = messages.Feature(bytes_list=messages.BytesList(value=[empty]))
    serialised = messages.FeatureList(feature=[one]).SerializeToString()
    header = np.frombuffer(serialised[: len(serialised) - len(empty)], np.uint8)
    rows = np.concatenate([np.broadcast_to(header, (len(frames), len(header))), frames], axis=1)
    return messages.FeatureList.FromString(rows.tobytes())
