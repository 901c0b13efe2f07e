"""TFRecord framing: the bytes of records in a file, each with two masked CRC32Cs.

A record is: length uint64 | CRC of the length uint32 | payload | CRC of the payload uint32, all
little-endian. Files may be gzip-compressed as a whole (the first two bytes say so, whatever the
name). Read in blocks, so memory is bounded by a block plus the longest record.
"""

import contextlib
import functools
import gzip
import hashlib
import os
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from crc32c import crc32c

from yt8m.base.cli import InputError
from yt8m.base.files import writing

BLOCK = 1 << 20  # most bytes of the file in memory at a time
READ = 1 << 17  # bytes read at a time, as far as it goes: they are still in the cache when decoded
HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
ASK = "download the file again or leave it out"
LONGEST = 1 << 28  # bytes of a record; an hour of frames of a video takes a fourth of that


def masked_crc(data) -> int:
    """The CRC32C of `data`, rotated and shifted as TFRecord files store it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


@functools.lru_cache(maxsize=4096)  # records of a data set have few lengths
def _length(header: bytes) -> int | None:
    """What a record's header says; None if its CRC is wrong."""
    length, crc = HEADER.unpack(header)
    return length if masked_crc(header[:8]) == crc else None


def read_records(path: Path, digest=None) -> Iterator[memoryview]:
    """Yields the payloads of a TFRecord file in order. Both CRCs of every record are checked.

    A yielded view stays valid. digest: a hash that takes all other bytes, see `content_digest`.
    InputError, with path, record number and byte (of the decompressed stream when gzip), when the
    file is empty, truncated, damaged or not a TFRecord file.
    """
    with open(path, "rb") as raw:
        source = gzip.GzipFile(fileobj=raw) if _is_gzip(raw) else raw
        block, at, size = memoryview(b""), 0, 0
        number = start = 0  # of the record; `start` in the stream, `at` in the block
        while True:
            if at + HEADER.size > size:
                block = _refill(source, block[at:], HEADER.size, path, number, start)
                at, size = 0, len(block)
                if not size:
                    break
                if size < HEADER.size:
                    _truncated(path, number, start)
            header = block[at : at + HEADER.size].tobytes()
            length = _length(header)
            if length is None or length > LONGEST:
                _reject_header(path, header, number, start, length)
            whole = HEADER.size + length + FOOTER.size
            if at + whole > size:
                block = _refill(source, block[at:], whole, path, number, start)
                at, size = 0, len(block)
                if size < whole:
                    _truncated(path, number, start)
            at, end = at + whole, at + whole - FOOTER.size
            payload = block[end - length : end]
            if masked_crc(payload) != FOOTER.unpack_from(block, end)[0]:
                raise InputError(f"{path}: record {number} fails its CRC at byte {start}; {ASK}")
            if digest is not None:
                digest.update(header + block[end:at])
            yield payload
            number += 1
            start += whole
    if not number:
        raise InputError(f"{path}: is empty; {ASK}")


def new_digest():
    """A hash for `read_records`: after a whole file, its `hexdigest` is the `content_digest`."""
    return hashlib.blake2b(digest_size=16)


def content_digest(path: Path) -> str:
    """A hash of what a TFRecord file holds: each record's length and its payload's CRC, in order.

    Equal records give equal digests, whatever the file's name, place, times and compression. It
    looks at 16 bytes a record; only gzip is read in full. InputError as `read_records`, but nothing
    compares payloads with their CRCs.
    """
    digest = new_digest()
    with open(path, "rb") as raw:
        if not _is_gzip(raw):
            _digest_frames(raw.fileno(), path, digest)
            return digest.hexdigest()
    for _ in read_records(path, digest):
        pass
    return digest.hexdigest()


def _digest_frames(file: int, path: Path, digest) -> None:
    """Takes what is around the payloads: a footer and the header behind it at a time."""
    size, start, number = os.fstat(file).st_size, 0, 0  # start: of the record
    if not size:
        raise InputError(f"{path}: is empty; {ASK}")
    header = os.pread(file, HEADER.size, 0)
    while start < size:
        if len(header) < HEADER.size:
            _truncated(path, number, start)
        length = _length(header)
        if length is None:
            _reject_header(path, header, number, start)
        end = start + HEADER.size + length + FOOTER.size
        if end > size:
            _truncated(path, number, start)
        around = os.pread(file, FOOTER.size + HEADER.size, end - FOOTER.size)
        digest.update(header)
        digest.update(around[: FOOTER.size])
        header, start, number = around[FOOTER.size :], end, number + 1


def _is_gzip(raw) -> bool:
    """Whether a file begins as gzip does; it is at its beginning before and after."""
    magic = raw.read(2)
    raw.seek(0)
    return magic == b"\x1f\x8b"


def _refill(source, rest: memoryview, wanted: int, path, number, start) -> memoryview:
    """A new block that begins with `rest`; at least `wanted` bytes, unless the file ends.

    In memory that nobody looks at any more: fetching fresh pages takes longer than reading into
    them. A record longer than a block gets memory of its own, as it turns out.
    """
    have = len(rest)
    try:
        if wanted <= BLOCK:
            block = memoryview(_unused_buffer())
            block[:have] = rest
            while have < wanted and (count := source.readinto(block[have : have + READ])):
                have += count
            return block[:have]
        pieces = [rest]
        while have < wanted and (piece := source.read(min(wanted - have, 64 * BLOCK))):
            pieces.append(piece)
            have += len(piece)
        return memoryview(b"".join(pieces))
    except EOFError:  # what gzip says of a truncated file
        _truncated(path, number, start)
    except (gzip.BadGzipFile, zlib.error) as error:
        where = f"{path}: record {number} at byte {start}"
        raise InputError(f"{where}: damaged gzip ({error}); {ASK}") from error


_buffers = threading.local()  # another thread must not take one between a check and its use


def _unused_buffer() -> bytearray:
    """A buffer of BLOCK bytes without a view of it; three are kept for that."""
    kept = getattr(_buffers, "kept", [])
    for buffer in kept:
        with contextlib.suppress(BufferError):  # while there are views
            buffer.append(0)
            buffer.pop()
            if len(buffer) == BLOCK:
                return buffer
    fresh = bytearray(BLOCK)
    _buffers.kept = [fresh, *kept[:2]]
    return fresh


def _truncated(path: Path, number: int, start: int) -> None:
    text = f"{path}: record {number} at byte {start} is truncated; {ASK}"
    raise InputError(text) from None


def _reject_header(path: Path, begins: bytes, number: int, start: int, length=None) -> None:
    """length: what it says, if its CRC is right."""
    if length is not None:
        text = f"{path}: record {number} at byte {start} claims {length:,} bytes"
        raise InputError(f"{text}; {LONGEST:,} at most are read; {ASK}")
    if number == 0 and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in begins):
        raise InputError(f"{path}: is not a TFRecord file (it begins with {begins!r}); {ASK}")
    hint = " or is not a TFRecord file" if number == 0 else ""
    what = "fails the CRC of its length"
    raise InputError(f"{path}: record {number} {what} at byte {start}{hint}; {ASK}")


def with_crcs(payload: bytes) -> bytes:
    """One record as a TFRecord file holds it."""
    length = struct.pack("<Q", len(payload))
    crcs = FOOTER.pack(masked_crc(length)), FOOTER.pack(masked_crc(payload))
    return b"".join((length, crcs[0], payload, crcs[1]))


def write_records(path: Path, payloads: Iterable[bytes]) -> None:
    """Writes a TFRecord file atomically; gzip when the name ends in `.gz`."""
    with writing(path) as temporary, open(temporary, "wb") as raw:
        zipped = Path(path).suffix == ".gz"
        # No name and no time in the gzip header, so that equal records give equal files.
        file = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if zipped else raw
        for payload in payloads:
            file.write(with_crcs(payload))
        if zipped:
            file.close()
