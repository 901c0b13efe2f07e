"""Video-level records of a layout that was met before, read without protobuf.

Most records of a data set differ in their values alone: tags, names and lengths stand at the same
bytes. A record that protobuf has read gives a layout, and a later one of the same length with the
same bytes between the values is cut into values. What does not match, or holds a wrong value, is
for protobuf to judge, so both ways give the same videos and errors.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from yt8m.records.description import MAX_CLASSES, Description
from yt8m.records.messages import FLOAT, protobuf
from yt8m.records.values import is_id
from yt8m.records.video import Video
from yt8m.records.vocabulary import STATEMENT
from yt8m.records.wire import MESSAGE, VALUE, field

BEGINNING = 12  # bytes: mostly the record's length and the name of its first feature
MOST, ALIKE = 4096, 8  # layouts kept, and of one beginning
TAGS = {"bytes_list": 0x0A, "float_list": 0x12, "int64_list": 0x1A}  # of a Feature's kinds


@dataclass(frozen=True, slots=True)
class RecordLayout:
    """A record as pieces: what is around the values, and the values, in turn.

    fixed: the pieces with an even number; id, labels and group (None without), features by kind:
    the numbers of the pieces that are read; statement: as of Video, which stands in the fixed
    pieces.
    """

    pieces: struct.Struct
    fixed: tuple[bytes, ...]
    id: int
    labels: int | None
    group: int | None
    features: dict[str, int]
    statement: list[int] | None


class Layouts:
    """The layouts met so far in valid records of one description."""

    def __init__(self, description: Description, classes: int = MAX_CLASSES):
        """classes: a record with a label that is not below is left to protobuf."""
        self.description, self.classes = description, classes
        # By the first bytes of records: the length and the name of the first feature.
        self.known: dict[bytes, list[RecordLayout]] = {}

    def read(self, payload: memoryview) -> Video | None:
        """The video, if the record's layout is known and its values are right."""
        for layout in self.known.get(payload[:BEGINNING].tobytes(), ()):
            if layout.pieces.size == len(payload):
                pieces = layout.pieces.unpack(payload)
                if pieces[::2] == layout.fixed:
                    return self._video(layout, pieces)
        return None

    def _video(self, layout: RecordLayout, pieces: tuple[bytes, ...]) -> Video | None:
        identity, labels = pieces[layout.id].rstrip(b"\0"), None
        if layout.labels is not None:
            labels = _labels(pieces[layout.labels], self.classes)
        if not is_id(identity) or (labels is None) != (layout.labels is None):
            return None
        features = {kind: np.frombuffer(pieces[at], FLOAT) for kind, at in layout.features.items()}
        group = None if layout.group is None else pieces[layout.group].rstrip(b"\0") or None
        return Video(identity, labels, features, {}, None, layout.statement, group)

    def learn(self, payload: memoryview, context) -> None:
        """Keeps the layout of a valid video-level record. context: its features, by protobuf."""
        begins = payload[:BEGINNING].tobytes()
        known = self.known.get(begins, [])
        if len(known) == ALIKE or len(self.known) == MOST:
            return
        layout = _layout(payload.tobytes(), context, self.description)
        if layout is not None:
            self.known[begins] = [*known, layout]


def _labels(packed: bytes, limit: int) -> np.ndarray | None:
    """uint16, sorted, each once, from a serialised Int64List; None where it is none, or a class is
    not below the limit."""
    try:
        values = protobuf.Int64List.FromString(packed).value
    except Exception:  # protobuf's DecodeError, which differs between versions
        return None
    classes = sorted(set(values))
    if classes and not 0 <= classes[0] <= classes[-1] < limit:
        return None
    return np.array(classes, np.uint16)


def _layout(data: bytes, context, description: Description) -> RecordLayout | None:
    """The layout of a valid record; None unless it is its features, one behind the other."""
    entries = [(name, *_entry(name, context[name])) for name in context]
    entries.sort(key=lambda entry: data.find(entry[1]))
    body = b"".join(entry for _, entry, _ in entries)
    if field(MESSAGE, body) != data:
        return None
    label_name = next((name for name in description.labels if name in context), None)
    at, bounds, numbers = len(data) - len(body), [0], {}
    for name, entry, size in entries:
        at += len(entry)
        # Whole numbers that nothing reads may not differ: not all bytes are some.
        if size is not None and (name == label_name or not context[name].HasField("int64_list")):
            numbers[name] = len(bounds)
            bounds += (at - size, at)
    pieces = struct.Struct("".join(f"{b - a}s" for a, b in pairwise([*bounds, len(data)])))

    groups = description.group_names(context)
    if not numbers.keys() >= set(groups):
        return None  # a whole number, or more than one value

    def number(names: Iterable[str]) -> int | None:
        return next((numbers[name] for name in names if name in numbers), None)

    kinds = {kind: number(where.names) for kind, where in description.kinds.items()}
    features = {kind: piece for kind, piece in kinds.items() if piece is not None}
    fixed = pieces.unpack(data)[::2]
    stated = STATEMENT in context and context[STATEMENT].HasField("int64_list")
    statement = list(context[STATEMENT].int64_list.value) if stated else None
    known = (number(names) for names in (description.ids, description.labels, groups))
    return RecordLayout(pieces, fixed, *known, features, statement)


def _entry(name: str, feature) -> tuple[bytes, int | None]:
    """A feature as an entry of its record in the usual layout, and how many bytes at its end are
    its value: packed floats, one string, or a serialised Int64List; None for anything else."""
    kind, value = feature.WhichOneof("kind"), None
    content = b""
    if kind == "float_list":
        value = np.array(feature.float_list.value, FLOAT).tobytes()
        content = field(TAGS[kind], field(MESSAGE, value))
    elif kind == "bytes_list" and len(feature.bytes_list.value) == 1:
        value = feature.bytes_list.value[0]
        content = field(TAGS[kind], field(MESSAGE, value))
    elif kind is not None:
        content = getattr(feature, kind).SerializeToString()
        value = content if kind == "int64_list" else None
        content = field(TAGS[kind], content)
    entry = field(MESSAGE, field(MESSAGE, name.encode()) + field(VALUE, content))
    return entry, None if value is None else len(value)
