"""TFRecord framing: both CRCs, truncation, gzip and files that are something else."""

import gzip
import struct
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import example, means

from yt8m.base.cli import InputError
from yt8m.records import framing
from yt8m.records.framing import read_records, with_crcs, write_records


@pytest.fixture
def shard(tmp_path):
    """Three video-level records; returns (path, bytes of each framed record)."""
    records = [example(labels=[i], **means(i)) for i in range(3)]
    path = tmp_path / "a.tfrecord"
    write_records(path, records)
    return path, [with_crcs(record) for record in records]


@settings(max_examples=30, deadline=None)
@given(payloads=st.lists(st.binary(max_size=300), min_size=1, max_size=8), zipped=st.booleans())
def test_framing_round_trip(tmp_path_factory, payloads, zipped):
    path = tmp_path_factory.mktemp("f") / ("a.tfrecord.gz" if zipped else "a.tfrecord")
    write_records(path, payloads)
    assert [bytes(p) for p in read_records(path)] == payloads
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == zipped


def test_records_longer_than_a_block_stay_valid(tmp_path, monkeypatch):
    monkeypatch.setattr("yt8m.records.framing.BLOCK", 100)
    payloads = [bytes([i]) * size for i, size in enumerate((5, 99, 1000, 0, 84, 300))]
    write_records(tmp_path / "a.tfrecord", payloads)
    assert [bytes(p) for p in list(read_records(tmp_path / "a.tfrecord"))] == payloads


@pytest.mark.parametrize(
    ("offset", "text"),
    [
        (0, "record 1 fails the CRC of its length at byte"),
        (9, "record 1 fails the CRC of its length at byte"),
        (30, "record 1 fails its CRC at byte"),
        (-2, "record 1 fails its CRC at byte"),
    ],
)
@pytest.mark.parametrize("zipped", [False, True])
def test_a_flipped_byte_is_found_in_every_region(shard, offset, text, zipped):
    path, records = shard
    start = len(records[0])
    data = bytearray(b"".join(records))
    data[start + offset if offset >= 0 else start + len(records[1]) + offset] ^= 1
    path.write_bytes(gzip.compress(data) if zipped else data)
    with pytest.raises(InputError, match=rf"a.tfrecord: {text} {start}"):
        list(read_records(path))


def test_truncation_is_found_at_every_byte(shard):
    path, records = shard
    whole = b"".join(records)
    edges = {0, len(records[0]), len(records[0]) + len(records[1])}
    for size in range(1, len(whole)):
        path.write_bytes(whole[:size])
        if size in edges:
            assert len(list(read_records(path))) == sorted(edges).index(size)
        else:
            number = sum(edge < size for edge in edges) - 1
            with pytest.raises(InputError, match=f"record {number} at byte .* is truncated"):
                list(read_records(path))


def test_truncated_and_damaged_gzip(shard):
    path, records = shard
    zipped = gzip.compress(b"".join(records))
    path.write_bytes(zipped[: len(zipped) // 2])
    with pytest.raises(InputError, match="is truncated"):
        list(read_records(path))
    path.write_bytes(zipped[:-6] + b"\0\0\0\0\0\0")
    with pytest.raises(InputError, match="damaged gzip"):
        list(read_records(path))


@pytest.mark.parametrize("data", [b"", gzip.compress(b"")])
def test_empty_file(tmp_path, data):
    (tmp_path / "a.tfrecord").write_bytes(data)
    with pytest.raises(InputError, match="a.tfrecord: is empty"):
        list(read_records(tmp_path / "a.tfrecord"))


def test_files_that_are_no_tfrecords(shard):
    path, records = shard
    path.write_bytes(b"<!DOCTYPE html><html>not found</html>")
    with pytest.raises(InputError, match="is not a TFRecord file .*DOCTYPE"):
        list(read_records(path))
    path.write_bytes(bytes(range(128, 228)))
    with pytest.raises(InputError, match="record 0 .* or is not a TFRecord file"):
        list(read_records(path))
    path.write_bytes(records[0] + bytes(16))
    with pytest.raises(InputError, match="record 1 fails the CRC of its length"):
        list(read_records(path))
    path.write_bytes(struct.pack("<Q", 1 << 60) + records[0][8:])
    with pytest.raises(InputError, match="record 0 fails the CRC of its length"):
        list(read_records(path))


def test_a_record_that_claims_too_much_is_refused_before_it_is_read(tmp_path, monkeypatch):
    for claimed in (1 << 40, framing.LONGEST + 1):
        length = struct.pack("<Q", claimed)
        head = length + struct.pack("<I", framing.masked_crc(length))
        for data in (head + b"\0" * 99, gzip.compress(head + b"\0" * (4 << 20))):
            (tmp_path / "a").write_bytes(data)
            tracemalloc.start()
            text = rf"a: record 0 at byte 0 claims {claimed:,} bytes; 268,435,456 at most are read"
            with pytest.raises(InputError, match=text):
                list(read_records(tmp_path / "a"))
            assert tracemalloc.get_traced_memory()[1] < 3 << 20
            tracemalloc.stop()
    monkeypatch.setattr(framing, "LONGEST", 5)
    write_records(tmp_path / "b", [b"12345"])
    assert [bytes(record) for record in read_records(tmp_path / "b")] == [b"12345"]
