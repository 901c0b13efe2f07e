"""TFRecord framing: the bytes of records in a file, each with two masked CRC32Cs.

A record is: length uint64 | CRC of the length uint32 | payload | CRC of the payload uint32, all
little-endian. Files may be gzip-compressed as a whole (told by the first two bytes, whatever the
name). Read in blocks, so memory is bounded by a block plus the longest record.
"""

import gzip
import importlib.util
import struct
import sys
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from crc32c import crc32c

from yt8m.cli import InputError
from yt8m.files import writing

BLOCK = 1 << 22  # bytes asked of the file at a time
HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
LENGTH_BYTES = 8
ASK = "download the file again or leave it out"


def _load_messages() -> ModuleType:
    """`tfrecord.example_pb2` without `tfrecord/__init__.py`, which imports all of torch.

    Decoding workers need no torch: this saves each of them over a second and 200 MB.
    """
    name = "tfrecord.example_pb2"
    if name in sys.modules:
        return sys.modules[name]
    package = importlib.util.find_spec("tfrecord")
    path = Path(package.submodule_search_locations[0]) / "example_pb2.py"
    spec = importlib.util.spec_from_file_location("yt8m_example_pb2", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


messages = _load_messages()


def masked_crc(data) -> int:
    """The CRC32C of `data`, rotated and shifted as TFRecord files store it."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def read_records(path: Path) -> Iterator[memoryview]:
    """Yields the payloads of a TFRecord file in order. Both CRCs of every record are checked.

    A yielded view stays valid. InputError, with path, record number and byte (of the decompressed
    stream when gzip), when the file is empty, truncated, damaged or no TFRecord file.
    """
    path = Path(path)
    with open(path, "rb") as raw:
        magic = raw.read(2)
        raw.seek(0)
        source = gzip.GzipFile(fileobj=raw) if magic == b"\x1f\x8b" else raw
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
            length, crc = HEADER.unpack_from(block, at)
            if masked_crc(block[at : at + LENGTH_BYTES]) != crc:
                _reject_header(path, bytes(block[at : at + HEADER.size]), number, start)
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
            yield payload
            number += 1
            start += whole
    if not number:
        raise InputError(f"{path}: is empty; {ASK}")


def _refill(source, rest: memoryview, wanted: int, path: Path, number: int, start: int):
    """A new block that begins with `rest`; at least `wanted` bytes, unless the file ends."""
    pieces, have = [rest], len(rest)
    while have < wanted:
        try:
            piece = source.read(max(BLOCK, min(wanted - have, 64 * BLOCK)))
        except EOFError:  # what gzip says of a truncated file
            _truncated(path, number, start)
        except (gzip.BadGzipFile, zlib.error) as error:
            where = f"{path}: record {number} at byte {start}"
            raise InputError(f"{where}: damaged gzip ({error}); {ASK}") from error
        if not piece:
            break
        pieces.append(piece)
        have += len(piece)
    return memoryview(b"".join(pieces))


def _truncated(path: Path, number: int, start: int) -> None:
    text = f"{path}: record {number} at byte {start} is truncated; {ASK}"
    raise InputError(text) from None


def _reject_header(path: Path, begins: bytes, number: int, start: int) -> None:
    if number == 0 and all(32 <= byte < 127 or byte in b"\r\n\t" for byte in begins):
        raise InputError(f"{path}: is not a TFRecord file (it begins with {begins!r}); {ASK}")
    hint = " or is no TFRecord file" if number == 0 else ""
    what = "fails the CRC of its length"
    raise InputError(f"{path}: record {number} {what} at byte {start}{hint}; {ASK}")


def framed(payload: bytes) -> bytes:
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
            file.write(framed(payload))
        if zipped:
            file.close()
