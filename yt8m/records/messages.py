"""Records as protobuf messages, read and written: `Example` and `SequenceExample`.

../papers/record-format.txt has both. T frames, W width of a kind of features.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np

from yt8m.base.cli import InputError
from yt8m.records.wire import Unusual, split, varint

FLOAT = np.dtype("<f4")


def _load():
    """`tfrecord.example_pb2` without `tfrecord/__init__.py`, which imports all of torch.

    Decoding workers need no torch: this saves each of them over a second and 200 MB.
    """
    if "tfrecord.example_pb2" in sys.modules:
        return sys.modules["tfrecord.example_pb2"]
    package = importlib.util.find_spec("tfrecord")
    path = Path(package.submodule_search_locations[0]) / "example_pb2.py"
    spec = importlib.util.spec_from_file_location("yt8m_example_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


protobuf = _load()


class Record:
    """A record's features by name, those of the video (`context`) and of its frames (`lists`).

    The methods give None for a feature that is absent or unset, InputError for another type.
    """

    def __init__(self, payload, where: str):
        """where: begins the text of an InputError, as of one when protobuf refuses the payload."""
        self.where = where
        try:
            context, self.lists = split(memoryview(payload))
            message = _parse(protobuf.Features, context, where)
            self.context = message.feature
        except Unusual:
            message = _parse(protobuf.SequenceExample, payload, where)
            self.context, self.lists = message.context.feature, message.feature_lists.feature_list

    @property
    def names(self) -> set[str]:
        return {*self.context, *self.lists}

    def strings(self, name: str) -> list[bytes] | None:
        values = self._list(name, "bytes_list")
        return None if values is None else list(values.value)

    def integers(self, name: str) -> list[int] | None:
        values = self._list(name, "int64_list")
        return None if values is None else list(values.value)

    def strings_or_integers(self, name: str) -> list[bytes] | list[int] | None:
        if name in self.context and self.context[name].HasField("int64_list"):
            return self.integers(name)
        return self.strings(name)

    def floats(self, name: str) -> np.ndarray | None:
        values = self._list(name, "float_list")
        if values is None:
            return None
        # Ten times as fast as an array of the values: behind a tag and their size they are packed.
        count, data = len(values.value), values.SerializeToString()
        begin = 1 + len(varint(FLOAT.itemsize * count)) if count else 0
        return np.frombuffer(data, FLOAT, count, begin)

    def frames(self, name: str) -> np.ndarray | None:
        """uint8 (T, W). InputError unless every frame is one string of the same width."""
        if name not in self.lists:
            return None
        if isinstance(self.lists, dict):
            return self.lists[name]
        values = [frame.bytes_list.value for frame in self.lists[name].feature]
        if any(len(value) != 1 for value in values):
            raise InputError(f"{self.where}: {name}: a frame is not one string of bytes")
        widths = {len(value[0]) for value in values}
        if len(widths) > 1 or 0 in widths:
            text = f"frames of {', '.join(map(str, sorted(widths)))} bytes"
            raise InputError(f"{self.where}: {name}: {text}")
        stacked = np.frombuffer(b"".join(value[0] for value in values), np.uint8)
        return stacked.reshape(len(values), max(widths, default=0))

    def _list(self, name: str, kind: str):
        if name not in self.context:  # looking a map up with [] would create the entry
            return None
        feature = self.context[name]
        found = feature.WhichOneof("kind")
        if found is None:
            return None
        if found != kind:
            raise InputError(f"{self.where}: {name} holds a {found}, not a {kind}")
        return getattr(feature, kind)


def _parse(message, payload, where: str):
    """A message of a type. An Example parses as a SequenceExample: its `features` are `context`."""
    try:
        return message.FromString(payload)
    except Exception as error:  # protobuf's DecodeError differs between its implementations
        raise InputError(f"{where}: is not an Example or SequenceExample ({error})") from error


def example(features: dict) -> bytes:
    """A serialised Example: a video-level record. features: values by name, as of `feature`."""
    record = protobuf.Example(features=_features(features))
    return record.SerializeToString(deterministic=True)


def sequence(features: dict, frames: dict) -> bytes:
    """A serialised SequenceExample: a frame-level record. features: as of `example`; frames: by
    name, uint8 (T, W) or T strings of bytes."""
    record = protobuf.SequenceExample(context=_features(features))
    for name, rows in frames.items():
        added = record.feature_lists.feature_list[name].feature
        for row in rows:
            added.add().bytes_list.value.append(bytes(row))
    return record.SerializeToString(deterministic=True)


def _features(features: dict):
    return protobuf.Features(feature={name: feature(values) for name, values in features.items()})


def feature(values):
    """A Feature of float32 from an array, of bytes or of int64 from a list."""
    if isinstance(values, np.ndarray):
        return protobuf.Feature(float_list=protobuf.FloatList(value=values))
    if values and isinstance(values[0], bytes):
        return protobuf.Feature(bytes_list=protobuf.BytesList(value=values))
    return protobuf.Feature(int64_list=protobuf.Int64List(value=values))
