"""Pieces of protobuf's wire format, and the frames of a record without protobuf.

https://protobuf.dev/programming-guides/encoding; T frames, W bytes of one.
"""

from collections.abc import Iterator

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
        context, lists = _two(payload, 0, len(payload), MESSAGE, VALUE)
        frames = {}
        for tag, start, end in _fields(payload, *lists):
            key, value = _two(payload, start, end, MESSAGE, VALUE)
            name = str(payload[slice(*key)], "utf-8")
            if tag != MESSAGE or name in frames:
                raise Unusual
            frames[name] = _frames(payload, *value)
    except (IndexError, UnicodeDecodeError) as error:
        raise Unusual from error
    return payload[slice(*context)], frames


def _frames(data: memoryview, start: int, end: int) -> np.ndarray:
    """The rows of a FeatureList. The first row's header spans it exactly, so equal headers in all
    rows prove that every row is one string of that width."""
    if start == end:
        return np.zeros((0, 0), np.uint8)
    at, ends = start, []
    for _ in range(LEVELS):
        tag, at, stop = next(_fields(data, at, end))
        ends.append(stop)
        if tag != MESSAGE or stop != ends[0]:
            raise Unusual
    header, stride = bytes(data[start:at]), ends[0] - start
    count, rest = divmod(end - start, stride)
    if rest or at == ends[0]:
        raise Unusual
    begins = np.ndarray((count,), f"V{len(header)}", data, start, (stride,))
    if begins.tobytes() != header * count:  # four times as fast as comparing arrays
        raise Unusual
    rows = np.frombuffer(data, np.uint8, end - start, start).reshape(count, stride)
    return rows[:, len(header) :]


def _two(data: memoryview, start: int, end: int, *tags: int) -> tuple[tuple[int, int], ...]:
    """(start, end) of the fields in a span, which must have these tags."""
    found = list(_fields(data, start, end))
    if tuple(tag for tag, *_ in found) != tags:
        raise Unusual
    return tuple((begin, stop) for _, begin, stop in found)


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """(tag byte, start, end) of the fields in a span; Unusual for other than strings and messages,
    IndexError when the data ends."""
    while start < end:
        tag, size, shift = data[start], 0, 0
        while True:
            start += 1
            byte = data[start]
            size |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        begin, start = start + 1, start + 1 + size
        if tag & 7 != 2 or start > end:
            raise Unusual
        yield tag, begin, start
