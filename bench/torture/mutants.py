"""Mutated records with mended checksums: the fast reader and protobuf must agree, or both refuse.

The fast reader (Reader: layouts, frames without protobuf) and the general one (each record by
protobuf alone) read the same payloads. No error but InputError may come out of either.
"""

import contextlib
from pathlib import Path

import numpy as np

from yt8m.base.cli import InputError
from yt8m.records import messages
from yt8m.records.description import Description, Dims
from yt8m.records.framing import read_records
from yt8m.records.messages import Record
from yt8m.records.reader import Reader, check
from yt8m.records.video import Video, read_video
from yt8m.records.wire import Unusual

MOST_CHANGES = 3  # of one record
LONGEST_PIECE = 40  # bytes that are cut, doubled or moved
RELEARNT = 50  # mutants until a new reader takes over


def try_mutants(
    payloads: list[bytes], names: Description, dims: Dims, count: int, seed: int
) -> list[str]:
    """Reads `count` mutants of the payloads by both readers; a line for each that shows a mistake.

    Their checksums are right, as of a file whose writer was wrong.
    """
    rng, wrong = np.random.default_rng(seed), []
    for number in range(count):
        if number % RELEARNT == 0:  # what layouts learnt from mutants must not help them
            reader = Reader(names, dims)
            for payload in payloads:
                reader.read(memoryview(payload), Path("record"), 0)
        payload = memoryview(mutate(payloads, rng))
        found = [
            _outcome(read) for read in (_fast(reader, payload), _general(payload, names, dims))
        ]
        if isinstance(found[0], Exception) or isinstance(found[1], Exception):
            wrong.append(f"mutant {number} of seed {seed}: {found!r}")
        elif found[0] != found[1]:
            wrong.append(f"mutant {number} of seed {seed}: the readers differ")
    return wrong


def payloads_of(shards: list[Path], most: int) -> list[bytes]:
    """The first payloads of each of some shards."""
    found = []
    for shard in shards:
        records = read_records(shard)
        found += [bytes(payload) for payload, _ in zip(records, range(most), strict=False)]
    return found


def mutate(payloads: list[bytes], rng: np.random.Generator) -> bytes:
    """A payload with one to MOST_CHANGES changes."""
    data = bytearray(payloads[rng.integers(len(payloads))])
    for _ in range(rng.integers(1, MOST_CHANGES + 1)):
        at = int(rng.integers(len(data) + 1))
        if rng.random() < 0.5:  # among the headers at the beginning, which say most
            at = min(at, int(rng.integers(120)))
        size = int(rng.integers(1, LONGEST_PIECE))
        how = rng.integers(7)
        if how < 2 and at < len(data):
            data[at] ^= 1 << int(rng.integers(8))
        elif how == 2 and at < len(data):
            data[at] = int(rng.choice([0, 1, 2, 8, 10, 18, 26, 127, 128, 255]))
        elif how == 3:
            del data[at : at + size]
        elif how == 4:
            data[at:at] = data[at : at + size]
        elif how == 5:
            other = payloads[rng.integers(len(payloads))]
            data[at:] = other[int(rng.integers(len(other))) :]
        else:
            del data[at:]
    return bytes(data)


def _fast(reader: Reader, payload: memoryview):
    return lambda: reader.read(payload, Path("record"), 0)


def _general(payload: memoryview, names: Description, dims: Dims):
    def read() -> Video:
        with _without_fast_frames():
            record = Record(payload, "record")
        video = read_video(record, names)
        check(video, dims, names, "record")
        return video

    return read


@contextlib.contextmanager
def _without_fast_frames():
    """Has protobuf read every record."""

    def refuse(_):
        raise Unusual

    before, messages.split = messages.split, refuse
    try:
        yield
    finally:
        messages.split = before


def _outcome(read):
    """What a video holds, None if it was refused, or the error that is none of ours."""
    try:
        video = read()
    except InputError:
        return None
    except Exception as error:
        return error
    parts = [video.labels, *(video.segments or ())]
    arrays = [*sorted(video.features.items()), *sorted(video.frames.items())]
    return (
        video.id,
        [None if part is None else part.tobytes() for part in parts],
        [(kind, values.shape, values.tobytes()) for kind, values in arrays],
    )
