"""Shards of records: read as protobuf reads them, whatever is broken, and many at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import NAMES, example, frames, means, sequence

from yt8m.base.cli import InputError
from yt8m.records.description import Dims
from yt8m.records.framing import write_records
from yt8m.records.messages import Record
from yt8m.records.reader import Reader, check, stream
from yt8m.records.video import read_video
from yt8m.records.wire import MESSAGE, field


def test_stream_checks_sizes_and_classes(tmp_path):
    first, second = tmp_path / "a.tfrecord", tmp_path / "b.tfrecord"
    write_records(first, [example(labels=[9], **means())])
    write_records(second, [example(**means()), example(**means(rgb=5))])
    with pytest.raises(
        InputError, match="b.tfrecord: record 1: has rgb 5, audio 2 wide, not rgb 4, audio 2"
    ):
        list(stream([first, second], NAMES))
    with pytest.raises(InputError, match="a.tfrecord: record 0: has rgb 4, audio 2 wide"):
        list(stream([first], NAMES, Dims({"rgb": 1024, "audio": 128}, 10, 0)))
    with pytest.raises(InputError, match="a.tfrecord: record 0: label 9 is out of range; 0 to 8"):
        list(stream([first], NAMES, Dims({"rgb": 4, "audio": 2}, 9, 0)))
    rated = {f"segment_{n}": [10] for n in ("start_times", "end_times", "labels")}
    rated |= {"segment_end_times": [11], "segment_scores": np.ones(1, np.float32)}
    write_records(first, [sequence(frames(), **rated)])
    with pytest.raises(InputError, match="label 10 is out of range"):
        list(stream([first], NAMES))
    write_records(first, [sequence(frames(), **means(rgb=5))])
    with pytest.raises(InputError, match=r"means and frames differ in width \(5, 4 of rgb\)"):
        list(stream([first], NAMES))


@st.composite
def any_records(draw):
    """Records of one data set, some with extra or missing features, in any order of features."""
    found = []
    for number in range(draw(st.integers(1, 12))):
        features = means(number, rgb=3, audio=2)
        features["id"] = [draw(st.sampled_from([b"abcd", b"efgh", b"xy\0", b""]))]
        features["labels"] = draw(st.none() | st.lists(st.integers(-1, 70000), max_size=3))
        features["extra"] = draw(st.sampled_from([None, [1], [b"text"], np.ones(1, np.float32)]))
        for name in draw(st.sets(st.sampled_from(["id", "mean_rgb", "mean_audio"]), max_size=1)):
            features[name] = None
        names = draw(st.permutations(sorted(features)))
        entries = [example(**{"id": None, name: features[name]}) for name in names]
        record = b"".join(entries) if draw(st.booleans()) else joined(entries)
        cut = draw(st.sampled_from([0, 0, 0, 1, 5]))
        changed = bytearray(record[: len(record) - cut])
        if changed and draw(st.integers(0, 3)) == 0:
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
        found.append(bytes(changed))
    return found


def joined(entries):
    """The features of several Examples in one, in this order (a message sorts as it likes)."""
    return field(MESSAGE, b"".join(entry[2:] for entry in entries if entry))


def outcome(read):
    """The videos that come before an error, and its text without protobuf's own words."""
    videos = []
    try:
        for v in read:
            arrays = (v.labels, *map(v.features.get, ("rgb", "audio")))
            videos.append((v.id, *(None if a is None else a.tobytes() for a in arrays)))
    except InputError as error:
        return videos, str(error).split(" (")[0]
    return videos, None


@settings(max_examples=120, deadline=None)
@given(records=any_records(), repeats=st.integers(1, 3))
def test_shards_read_as_protobuf_reads_them(tmp_path_factory, records, repeats):
    path = tmp_path_factory.mktemp("r") / "a.tfrecord"
    write_records(path, records * repeats)
    dims = Dims({"rgb": 3, "audio": 2}, 70000 if repeats == 1 else 60000, 0)

    def by_protobuf():
        for number, payload in enumerate(records * repeats):
            where = f"{path}: record {number}"
            video = read_video(Record(payload, where), NAMES)
            check(video, dims, NAMES, where)
            yield video

    assert outcome(stream([path], NAMES, dims)) == outcome(by_protobuf())


@pytest.mark.parametrize("broken", [0, 1, 2])
@pytest.mark.parametrize("named", [b"abcd", b""])
def test_a_broken_feature_that_nobody_reads_is_an_error_as_in_protobuf(tmp_path, named, broken):
    """In the first record, and in one whose layout is known by then."""
    records = [example(**means(n, rgb=3, audio=2), id=[named], extra=[300]) for n in range(3)]
    at = records[broken].index(b"extra") + 7  # its kind: a tag of field 0 is none
    records[broken] = records[broken][:at] + b"\0" + records[broken][at + 1 :]
    write_records(tmp_path / "a.tfrecord", records)
    number, text = (0, "has no id") if not named and broken else (broken, "is not an Example")
    with pytest.raises(InputError, match=f"record {number}: {text}"):
        list(stream([tmp_path / "a.tfrecord"], NAMES, Dims({"rgb": 3, "audio": 2}, 60000, 0)))


def test_records_of_a_known_layout_need_no_protobuf(tmp_path, monkeypatch):
    path = tmp_path / "a.tfrecord"
    records = [example(id=[b"%04d" % i], labels=[i % 9, 5], **means(i)) for i in range(300)]
    write_records(path, records)
    judged, real = [], Reader._judge

    def counted(self, payload, where):
        judged.append(where)
        return real(self, payload, where)

    monkeypatch.setattr(Reader, "_judge", counted)
    assert [v.id for v in stream([path], NAMES)] == [b"%04d" % i for i in range(300)]
    assert judged == [f"{path}: record 0"]
    for number, video in enumerate(stream([path], NAMES)):
        np.testing.assert_array_equal(video.features["rgb"], means(number)["mean_rgb"])
        assert video.labels.tolist() == sorted({number % 9, 5})


def test_a_damaged_record_comes_after_those_before_it(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_records(path, [example(id=[b"%04d" % i], labels=[1], **means(i)) for i in range(9)])
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    videos, text = outcome(stream([path], NAMES))
    assert len(videos) == 8
    assert "record 8 fails its CRC" in text
