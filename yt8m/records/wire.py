"""Pieces of protobuf's wire format, and the frames of a record without protobuf.

https://protobuf.dev/programming-guides/encoding; T frames, W bytes of one.
"""

import numpy as np

MESSAGE = 0x0A  # tag of field 1, a string or message: Example.features, a key, a list's values, ...
VALUE = 0x12  # tag of field 2: the value of a map's entry, SequenceExample.feature_lists
LEVELS = 3  # of messages around a frame: FeatureList.feature > Feature.bytes_list > BytesList.value


class Unusual(Exception):
    """A layout that only protobuf should judge."""


def varint(value: int) -> bytes:
    """A whole number as the wire format writes it."""
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(tag: int, content: bytes) -> bytes:
    """A string or message as a field of another message."""
    return bytes((tag,)) + varint(len(content)) + content


def split(payload: memoryview) -> tuple[memoryview, dict[str, np.ndarray]]:
    """A frame-level record as (its serialised context, frames by name: uint8 (T, W), views).

    Unusual unless it is a context, then lists of frames that each have one header throughout, hence
    one width. All else, the record may be wrong too, is for protobuf.
    """
    try:
        begin, end = _field_at(payload, 0, MESSAGE)
        context = payload[begin:end]
        at, stop = _field_at(payload, end, VALUE)
        frames = {}
        while at < stop:
            begin, at = _field_at(payload, at, MESSAGE)
            name_begin, name_end = _field_at(payload, begin, MESSAGE)
            rows_begin, rows_end = _field_at(payload, name_end, VALUE)
            name = str(payload[name_begin:name_end], "utf-8")
            if rows_end != at or name in frames:
                raise Unusual
            frames[name] = _frames(payload, rows_begin, rows_end)
    except (IndexError, UnicodeDecodeError) as error:
        raise Unusual from error
    if not at == stop == len(payload):
        raise Unusual
    return context, frames


def _frames(data: memoryview, start: int, end: int) -> np.ndarray:
    """The rows of a FeatureList. The first row's header spans it exactly, so equal headers in all
    rows prove that every row is one string of that width."""
    if start == end:
        return np.zeros((0, 0), np.uint8)
    at, first = _field_at(data, start, MESSAGE)
    for _ in range(LEVELS - 1):
        at, stop = _field_at(data, at, MESSAGE)
        if stop != first:
            raise Unusual
    header, stride = bytes(data[start:at]), first - start
    count, rest = divmod(end - start, stride)
    if rest or at == first or end > len(data):
        raise Unusual
    begins = np.ndarray((count,), f"V{len(header)}", data, start, (stride,))
    if begins.tobytes() != header * count:  # four times as fast as comparing arrays
        raise Unusual
    rows = np.frombuffer(data, np.uint8, end - start, start).reshape(count, stride)
    return rows[:, len(header) :]


def _field_at(data: memoryview, at: int, tag: int) -> tuple[int, int]:
    """(begin, end) of the content of a string or message, which must have this tag. IndexError when
    the data ends before its content."""
    if data[at] != tag:
        raise Unusual
    size, at, shift = data[at + 1], at + 2, 7
    while size >> shift and shift < 35:  # the last byte's highest bit says that there are more
        size += (data[at] - 1) << shift
        at, shift = at + 1, shift + 7
    return at, at + size
