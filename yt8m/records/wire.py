"""Pieces of protobuf's wire format, as Examples and SequenceExamples use it.

https://protobuf.dev/programming-guides/encoding; T frames, W bytes of one.
"""

import functools

import numpy as np

FLOAT = np.dtype("<f4")
BYTES_TAG, FLOAT_TAG, INTEGER_TAG = 0x0A, 0x12, 0x1A  # Feature.kind: fields 1, 2, 3
KEY_TAG, VALUE_TAG, LIST_TAG = 0x0A, 0x12, 0x0A


class Unusual(Exception):
    """A layout that only protobuf should judge."""


@functools.lru_cache(maxsize=1024)
def feature_header(kind: int, size: int) -> bytes:
    """The first bytes of a Feature of `size` bytes: its kind and, unless empty, the one field of
    its list, which fills it. Sizes that cannot be (two bytes of header short) give no match."""
    if size == 2:
        return bytes((kind, 0))
    inner = next(n for n in range(size, -1, -1) if 1 + len(varint(n)) + n <= size)
    value = next((n for n in range(inner, -1, -1) if 1 + len(varint(n)) + n <= inner), 0)
    return bytes((kind,)) + varint(inner) + bytes((LIST_TAG,)) + varint(value)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def integers(values: bytes) -> list[int]:
    """Packed varints. Unusual for negative ones, or when the last is cut."""
    found, value, shift = [], 0, 0
    for byte in values:
        if byte < 128:
            found.append(value | byte << shift)
            value = shift = 0
        else:
            value |= (byte & 127) << shift
            shift += 7
    if shift or max(found, default=0) >> 63:
        raise Unusual
    return found


def varints(lists: list[bytes]) -> tuple[np.ndarray | None, np.ndarray]:
    """Packed varints of several lists: all values int64, and how many each list has.

    None for the values when a list ends within one, or one is longer than three bytes.
    """
    data = np.frombuffer(b"".join(lists), np.uint8)
    sizes = np.array([len(packed) for packed in lists], np.int64)
    last = np.flatnonzero(data < 128)  # byte of each value
    bounds = np.cumsum(sizes)
    ends = np.searchsorted(last, bounds)  # values before the end of each list
    counts = np.diff(ends, prepend=0)
    begins = np.concatenate([[0], last[:-1] + 1]) if len(last) else last
    longest = int((last - begins).max(initial=0))
    nonempty = bounds[sizes > 0] - 1
    if longest > 2 or (data[nonempty] > 127).any():
        return None, counts
    values = np.zeros(len(last), np.int64)
    for place in range(longest + 1):
        there = begins + place <= last
        part = data[np.minimum(begins + place, last)] & 127
        values += np.where(there, part.astype(np.int64) << 7 * place, 0)
    return values, counts


def same_header(data, start: int, end: int, stride: int, header: bytes) -> np.ndarray | None:
    """uint8 (T, W), a view of the rows in data[start:end] behind their headers; None unless every
    row has this header."""
    if start == end:
        return np.zeros((0, 0), np.uint8)
    shape = ((end - start) // stride,)
    begins = np.ndarray(shape, f"V{len(header)}", data, start, (stride,))
    if begins.tobytes() != header * shape[0]:  # four times as fast as comparing arrays
        return None
    rows = np.frombuffer(data, np.uint8, end - start, start).reshape(-1, stride)
    return rows[:, len(header) :]
