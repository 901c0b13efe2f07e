"""The features of one record, read in two ways that give the same arrays.

`WireRecord` walks the serialised bytes of the usual layout (one entry a feature, packed numbers,
equal frames at a constant stride) and copies nothing but what it returns: frames are a view of the
file's block. Whatever it does not expect raises `Unusual`, and `MessageRecord` (tfrecord's protobuf
messages) decides what the bytes mean.

Both have `context` and `lists` (containers of feature names), `names` (of both), and, by feature
name, `strings`, `integers`, `floats` and `frames`: None = absent or unset. Mistyped = of another
kind.
"""

from collections.abc import Iterator

import numpy as np

from yt8m.records.framing import messages
from yt8m.records.wire import (
    BYTES_TAG,
    FLOAT,
    FLOAT_TAG,
    INTEGER_TAG,
    KEY_TAG,
    LIST_TAG,
    VALUE_TAG,
    Unusual,
    feature_header,
    integers,
    same_header,
)

SMALL = 1 << 14  # bytes; a larger record is mostly frames
# Of the frames read last under each name: the records of a data set share them, and need no walk.
_headers: dict[str, tuple[bytes, int]] = {}


class Mistyped(Exception):
    """A feature holds another kind of values, or frames that do not form one array."""


def first(read, names: tuple[str, ...]):
    """What `read` finds under the first accepted name that is there; None if none is."""
    for name in names:
        found = read(name)
        if found is not None:
            return found
    return None


class WireRecord:
    """An Example or SequenceExample in its usual layout, not copied."""

    def __init__(self, payload: memoryview):
        # Bytes are twice as fast to walk as a view; large records are mostly frames, not walked.
        self.data = payload.tobytes() if len(payload) < SMALL else payload
        self.context: dict[str, tuple[int, int]] = {}
        self.lists: dict[str, tuple[int, int]] = {}
        self.read: set[str] = set()  # names of what was asked for, and so looked at
        try:
            for tag, start, end in self._fields(0, len(payload)):
                if tag == 0x0A:  # Example.features or SequenceExample.context
                    self._entries(start, end, self.context)
                elif tag == 0x12:  # SequenceExample.feature_lists
                    self._entries(start, end, self.lists)
                else:
                    raise Unusual
        except (IndexError, UnicodeDecodeError) as error:
            raise Unusual from error

    @property
    def names(self) -> set[str]:
        return {*self.context, *self.lists}

    def strings(self, name: str) -> list[bytes] | None:
        span = self.span(name, BYTES_TAG)
        if span is None:
            return None
        return [] if span[0] == span[1] else [bytes(self.data[span[0] : span[1]])]

    def integers(self, name: str) -> list[int] | None:
        span = self.span(name, INTEGER_TAG)
        return None if span is None else integers(bytes(self.data[span[0] : span[1]]))

    def floats(self, name: str) -> np.ndarray | None:
        span = self.span(name, FLOAT_TAG)
        if span is None:
            return None
        # A copy of a few KiB: aligned, and it does not keep the block of the file alive.
        return np.frombuffer(bytes(self.data[span[0] : span[1]]), FLOAT)

    def frames(self, name: str) -> np.ndarray | None:
        """uint8 (T, W), a view. Unusual unless all frames have one header, hence one width."""
        rows = self.rows(name)
        if rows is None:
            return None
        frames = same_header(self.data, *rows)
        if frames is None:
            raise Unusual
        return frames

    def rows(self, name: str) -> tuple[int, int, int, bytes] | None:
        """(start, end, stride, header of the first row) of frames.

        The first header spans exactly one stride, so equal headers in all rows prove that every
        row is one bytes value of that width.
        """
        if name not in self.lists:
            return None
        self.read.add(name)
        start, end = self.lists[name]
        if start == end:
            return start, end, 1, b""
        header, stride = _headers.get(name, (b"", 0))
        if not header or self.data[start : start + len(header)] != header:
            header, stride = _headers[name] = self._row_header(start)
        if (end - start) % stride:
            raise Unusual
        return start, end, stride, header

    def _row_header(self, start: int) -> tuple[bytes, int]:
        """(header, its bytes and those of the value) of the row of frames that starts there."""
        ends, position = [], start
        try:
            for _ in range(3):  # FeatureList.feature > Feature.bytes_list > BytesList.value
                if self.data[position] != LIST_TAG:
                    raise Unusual
                size, position = self._varint(position + 1)
                ends.append(position + size)
        except IndexError as error:
            raise Unusual from error
        if len(set(ends)) != 1 or position == ends[0]:
            raise Unusual
        return bytes(self.data[start:position]), ends[0] - start

    def span(self, name: str, kind: int) -> tuple[int, int] | None:
        """Where a feature's one string is, or its packed numbers; empty = no values."""
        self.read.add(name)
        span = self.context.get(name)
        if span is None or span[0] == span[1]:
            return None  # absent, or no kind is set
        start, end = span
        header = feature_header(kind, end - start)
        if self.data[start : start + len(header)] != header:
            raise Unusual
        if kind == FLOAT_TAG and (end - start - len(header)) % 4:
            raise Unusual
        return start + len(header), end

    def check_unread(self) -> None:
        """Unusual when what nothing has asked for is no feature."""
        for spans, kind in ((self.context, messages.Feature), (self.lists, messages.FeatureList)):
            for name, (start, end) in spans.items():
                if name not in self.read:
                    try:
                        kind.FromString(bytes(self.data[start:end]))
                    except Exception as error:  # as in description.parse_message
                        raise Unusual from error

    def _entries(self, start: int, end: int, into: dict) -> None:
        """Spans of a map's values by key. Each entry: key (field 1), value (field 2)."""
        data = self.data
        while start < end:
            if data[start] != LIST_TAG:
                raise Unusual
            size, position = data[start + 1], start + 2
            if size > 127:
                size, position = self._varint(start + 1)
            start = position + size
            size, name_at = data[position + 1], position + 2
            if data[position] != KEY_TAG or size > 127:
                raise Unusual
            position = name_at + size
            name = str(data[name_at:position], "utf-8")
            if data[position] != VALUE_TAG or name in into:
                raise Unusual
            size, position = data[position + 1], position + 2
            if size > 127:
                size, position = self._varint(position - 1)
            if position + size != start or start > end:
                raise Unusual
            into[name] = (position, start)

    def _fields(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(tag byte, start, end) of length-delimited fields."""
        while start < end:
            tag = self.data[start]
            size, position = self._varint(start + 1)
            start = position + size
            if tag & 7 != 2 or start > end:
                raise Unusual
            yield tag, position, start

    def _varint(self, position: int) -> tuple[int, int]:
        byte = self.data[position]
        if byte < 128:
            return byte, position + 1
        value, shift = byte & 127, 7
        while shift < 70:
            position += 1
            byte = self.data[position]
            value |= (byte & 127) << shift
            if byte < 128:
                return value, position + 1
            shift += 7
        raise Unusual


class MessageRecord:
    """The same from a parsed SequenceExample (an Example's features are read as its context)."""

    def __init__(self, message):
        self.context = message.context.feature
        self.lists = message.feature_lists.feature_list

    @property
    def names(self) -> set[str]:
        return {*self.context, *self.lists}

    def strings(self, name: str) -> list[bytes] | None:
        values = self._values(name, "bytes_list")
        return None if values is None else list(values)

    def integers(self, name: str) -> list[int] | None:
        values = self._values(name, "int64_list")
        return None if values is None else list(values)

    def floats(self, name: str) -> np.ndarray | None:
        values = self._values(name, "float_list")
        return None if values is None else np.array(values, FLOAT)

    def frames(self, name: str) -> np.ndarray | None:
        """uint8 (T, W). Mistyped unless every frame is one string of the same width."""
        if name not in self.lists:
            return None
        values = [frame.bytes_list.value for frame in self.lists[name].feature]
        if any(len(value) != 1 for value in values):
            raise Mistyped(f"{name}: a frame is not one string of bytes")
        widths = {len(value[0]) for value in values}
        if len(widths) > 1 or 0 in widths:
            raise Mistyped(f"{name}: frames of {', '.join(map(str, sorted(widths)))} bytes")
        joined = np.frombuffer(b"".join(value[0] for value in values), np.uint8)
        return joined.reshape(len(values), max(widths, default=0))

    def _values(self, name: str, kind: str):
        if name not in self.context:  # looking a map up with [] would create the entry
            return None
        feature = self.context[name]
        found = feature.WhichOneof("kind")
        if found is None:
            return None
        if found != kind:
            raise Mistyped(f"{name} holds a {found}, not a {kind}")
        return getattr(feature, kind).value
