"""The content of shards and data sets: equal bytes have equal digests, and any change is seen."""

import gzip
import os
import shutil

import pytest
from record_bytes import example, means, sequence

from yt8m.base.cli import InputError
from yt8m.records.content import content_of
from yt8m.records.framing import content_digest, new_digest, read_records, with_crcs, write_records

RECORDS = [example(id=[b"%d" % i], labels=[i], **means(i, rgb=3 + i)) for i in range(4)]


def write_data(folder):
    write_records(folder / "video" / "a.tfrecord", RECORDS[:2])
    write_records(folder / "video" / "b.tfrecord", RECORDS[2:])
    (folder / "vocabulary.csv").write_text("Index,Name\n0,Zero\n9,Nine\n")
    return folder


def test_a_digest_is_that_of_the_records_however_they_are_read(tmp_path):
    path, digest = tmp_path / "a.tfrecord", new_digest()
    write_records(path, RECORDS)
    assert len(list(read_records(path, digest))) == 4
    assert content_digest(path) == digest.hexdigest()
    zipped = tmp_path / "b.tfrecord"
    zipped.write_bytes(gzip.compress(path.read_bytes()))
    assert content_digest(zipped) == digest.hexdigest()


@pytest.mark.parametrize("other", [RECORDS[:3], RECORDS[::-1], [*RECORDS, RECORDS[0]]])
def test_other_records_give_another_digest(tmp_path, other):
    write_records(tmp_path / "a", RECORDS)
    write_records(tmp_path / "b", other)
    assert content_digest(tmp_path / "a") != content_digest(tmp_path / "b")


def test_a_digest_of_a_broken_file_is_refused_as_reading_it_is(tmp_path):
    path, whole = tmp_path / "a.tfrecord", b"".join(map(with_crcs, RECORDS))
    ends = {len(b"".join(map(with_crcs, RECORDS[:count]))) for count in range(5)}
    header = bytearray(whole)
    header[0] ^= 1
    cuts = [whole[:size] for size in range(len(whole)) if size not in ends - {0}]
    for data in (*cuts, bytes(header), b"<!DOCTYPE html><html>not found</html>"):
        path.write_bytes(data)
        with pytest.raises(InputError) as read:
            list(read_records(path))
        with pytest.raises(InputError) as digested:
            content_digest(path)
        assert str(digested.value) == str(read.value)


def test_touching_copying_and_renaming_change_nothing(tmp_path):
    data, cache = write_data(tmp_path / "data"), {}
    content = content_of(data, cache)
    assert list(content["shards"]) == ["video"]
    assert content == content_of(data, {})
    os.utime(data / "video" / "a.tfrecord", (1, 1))
    assert content_of(data, cache) == content
    shutil.copytree(data, tmp_path / "copy")
    (tmp_path / "copy/video/a.tfrecord").rename(tmp_path / "copy/video/1.tfrecord")
    assert content_of(tmp_path / "copy", cache) == content
    (data / "video" / "a.tfrecord").rename(data / "video" / "z.tfrecord")  # another order
    assert content_of(data, cache) != content


def test_every_change_that_matters_is_seen(tmp_path):
    data, cache = write_data(tmp_path), {}
    seen = [content_of(data, cache)]

    def look():
        seen.append(content_of(data, cache))
        return all(seen[-1] != before for before in seen[:-1])

    (data / "vocabulary.csv").write_text("Index,Name\n0,Null\n9,Nine\n")
    assert look()
    (data / "dataset.toml").write_text('classes = 11\nvocabulary = "vocabulary.csv"')
    assert look()
    (data / "dataset.toml").write_text('# 11 of them\nvocabulary = "vocabulary.csv"\nclasses=11')
    assert not look()
    write_records(data / "video" / "c.tfrecord", RECORDS[:1])
    assert look()
    write_records(data / "video" / "b.tfrecord", RECORDS[3:])
    assert look()
    write_records(data / "segment" / "s.tfrecord", [sequence({"rgb": [b"abc"]})])
    assert look()
    assert list(seen[-1]["shards"]) == ["video", "segment"]


def test_a_digest_is_computed_once(tmp_path, monkeypatch):
    data, cache = write_data(tmp_path), {}
    content = content_of(data, cache)
    monkeypatch.setattr("yt8m.records.content.content_digest", None)
    assert content_of(data, cache) == content
