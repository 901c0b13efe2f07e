"""Video-level records of a structure that was met before, decoded many at a time.

Most records of a data set differ in their values alone: tags, names and lengths stand at the same
bytes. A record that `fields.WireRecord` has walked gives a `Layout`, and later ones of the same
length with the same bytes between the values are cut into values without a walk, which then become
arrays together. What does not match, or holds a wrong value, is for the walk to judge, so that both
give the same videos and errors. n records, R rgb, A audio.
"""

import struct
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from yt8m.records.description import Description, Dims
from yt8m.records.fields import SMALL, WireRecord, first
from yt8m.records.labels import Labels
from yt8m.records.wire import BYTES_TAG, FLOAT, FLOAT_TAG, INTEGER_TAG, Unusual, varints

RUN = 128  # records that become arrays together: 600 KB of YouTube-8M's
BEGINNING = 12  # bytes: mostly the record's length and the name of its first feature
MOST, ALIKE = 4096, 8  # layouts kept, and of one beginning
CLASSES = 1 << 16  # as labels are stored


@dataclass(frozen=True)
class Columns:
    """Consecutive video-level records, until the next ones overwrite them.

    ids: n bytes; labelled: bool (n,), whether the record has labels, be it none; rgb float32
    (n, R), audio (n, A).
    """

    ids: list[bytes]
    labelled: np.ndarray
    labels: Labels
    rgb: np.ndarray
    audio: np.ndarray


@dataclass(frozen=True, slots=True)
class Layout:
    """A record as pieces: what is around the values, and the values, in turn.

    fixed: the pieces with an even number; id, labels, rgb, audio: numbers of the pieces that are
    read, -1 where there is none.
    """

    pieces: struct.Struct
    fixed: tuple[bytes, ...]
    id: int
    labels: int
    rgb: int
    audio: int


class Layouts:
    """The layouts met so far in valid records of one description and one size."""

    def __init__(self, description: Description):
        self.description = description
        self.known: dict[bytes, list[Layout]] = {}  # by the first bytes: length, first feature

    def find(self, payload: memoryview) -> tuple[Layout, tuple[bytes, ...]] | None:
        """The layout that a record has and its pieces, if such a layout was learnt."""
        for layout in self.known.get(payload[:BEGINNING].tobytes(), ()):
            if layout.pieces.size == len(payload):
                pieces = layout.pieces.unpack(payload)
                if pieces[::2] == layout.fixed:
                    return layout, pieces
        return None

    def learn(self, payload: memoryview) -> None:
        """Keeps the layout of a valid record. Not of frame-level ones, whose lengths differ; nor of
        rated segments or what protobuf had to judge."""
        begins = payload[:BEGINNING].tobytes()
        known = self.known.get(begins, [])
        if len(payload) > SMALL or len(known) == ALIKE or len(self.known) == MOST:
            return
        try:
            layout = _layout(payload.tobytes(), WireRecord(payload), self.description)
        except Unusual:
            return
        if layout is not None:
            self.known[begins] = [*known, layout]


def _unread(record: WireRecord, name: str) -> list[tuple[int, int]]:
    """Where an unread feature may differ and still be one. Of whole numbers nowhere: not every
    bytes are."""
    start, end = record.context[name]
    kind = record.data[start] if start < end else None
    try:
        return [record.span(name, kind)] if kind in (BYTES_TAG, FLOAT_TAG) else []
    except Unusual:
        return []


def _layout(data: bytes, record: WireRecord, description: Description) -> Layout | None:
    """The layout of a record that `description` reads without an error."""
    if record.lists or any(name in record.context for name in description.segment_start_times):
        return None
    kinds = (
        (description.ids, BYTES_TAG),
        (description.labels, INTEGER_TAG),
        (description.rgb, FLOAT_TAG),
        (description.audio, FLOAT_TAG),
    )
    spans = [first(lambda name, tag=tag: record.span(name, tag), names) for names, tag in kinds]
    read = {name for names, _ in kinds for name in names}
    values = [span for span in spans if span is not None]
    for name in record.context.keys() - read:
        values += _unread(record, name)
    values.sort()
    bounds = [0, *(bound for span in values for bound in span), len(data)]
    pieces = struct.Struct("".join(f"{b - a}s" for a, b in pairwise(bounds)))
    numbers = [-1 if span is None else 2 * values.index(span) + 1 for span in spans]
    return Layout(pieces, pieces.unpack(data)[::2], *numbers)


class Run:
    """Consecutive records whose layouts are known, cut into values as they come."""

    def __init__(self, dims: Dims):
        self.dims = dims
        # Filled again and again: fetching fresh pages took longer than decoding into them.
        self.rgb, self.audio = bytearray(4 * RUN * dims.rgb), bytearray(4 * RUN * dims.audio)
        self.places = [
            tuple(slice(4 * i * width, 4 * (i + 1) * width) for width in (dims.rgb, dims.audio))
            for i in range(RUN)
        ]
        self.clear()

    def clear(self) -> None:
        """Begins anew; arrays that `columns` gave are overwritten from now on."""
        self.ids: list[bytes] = []
        self.labels: list[bytes | None] = []

    def __len__(self) -> int:
        return len(self.ids)

    def add(self, layout: Layout, pieces: tuple[bytes, ...]) -> bool:
        """Takes a record that `Layouts.find` took apart; returns whether no more fit in."""
        rgb, audio = self.places[len(self.ids)]
        if layout.rgb > 0:
            self.rgb[rgb] = pieces[layout.rgb]
        if layout.audio > 0:
            self.audio[audio] = pieces[layout.audio]
        self.labels.append(pieces[layout.labels] if layout.labels > 0 else None)
        self.ids.append(pieces[layout.id])
        return len(self.ids) == RUN

    def columns(self) -> Columns | None:
        """The records as arrays; None where a value is wrong."""
        ids = [identity.rstrip(b"\0") for identity in self.ids]
        labels = _labels([packed or b"" for packed in self.labels], self.dims.classes)
        if labels is None or not all(ids):
            return None
        labelled = np.array([packed is not None for packed in self.labels])
        rgb = np.frombuffer(self.rgb, FLOAT).reshape(RUN, self.dims.rgb)[: len(ids)]
        audio = np.frombuffer(self.audio, FLOAT).reshape(RUN, self.dims.audio)[: len(ids)]
        return Columns(ids, labelled, labels, rgb, audio)


def _labels(lists: list[bytes], limit: int) -> Labels | None:
    """Labels from each record's packed varints; None if one is not below the limit."""
    values, counts = varints(lists)
    if values is None or (values >= limit).any():
        return None
    keys = np.unique(np.repeat(np.arange(len(lists)), counts) * CLASSES + values)
    indptr = np.searchsorted(keys, np.arange(len(lists) + 1) * CLASSES)
    return Labels(indptr.astype(np.int64), (keys % CLASSES).astype(np.uint16))
