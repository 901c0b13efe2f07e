"""Records to videos: two roads that agree, all kinds of records, and every error text."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import AUDIO_SET, NAMES, example, feature, frames, means, sequence
from tfrecord import TFRecordWriter

from yt8m.cli import InputError
from yt8m.description import Dims, parse_message
from yt8m.fields import MessageRecord, Mistyped, WireRecord
from yt8m.framing import messages, write_records
from yt8m.records import Columns, Reader, dequantise, parse, stream, video_level
from yt8m.videos import _video, check
from yt8m.wire import Unusual


def test_reads_what_the_tfrecord_package_writes(tmp_path):
    path = tmp_path / "a.tfrecord"
    writer = TFRecordWriter(str(path))
    values, shown = means(), frames()
    lists = {name: ([bytes(row) for row in rows], "byte") for name, rows in shown.items()}
    floats = {name: (array, "float") for name, array in values.items()}
    writer.write({"id": (b"ab", "byte"), "labels": ([3, 1], "int"), **floats})
    writer.write({"id": (b"cd", "byte"), "labels": ([2], "int")}, lists)
    writer.close()
    first, second = stream([path], NAMES)
    assert (first.id, first.labels.tolist(), first.rgb_frames) == (b"ab", [1, 3], None)
    np.testing.assert_array_equal(first.rgb, values["mean_rgb"])
    assert (second.id, second.num_frames, second.rgb) == (b"cd", 3, None)
    np.testing.assert_array_equal(second.audio_frames, shown["audio"])


def both_roads(payload, description=NAMES):
    """The Video by the wire walk, checked against protobuf's."""
    fast = parse(payload, description, "here")
    WireRecord(memoryview(payload))  # is taken: not Unusual
    message = MessageRecord(parse_message(payload, "here"))
    wire = WireRecord(memoryview(payload))
    for name in wire.context:
        for read in ("strings", "integers", "floats"):
            try:
                slow = getattr(message, read)(name)
            except Mistyped:
                with pytest.raises(Unusual):
                    getattr(wire, read)(name)
                continue
            np.testing.assert_array_equal(getattr(wire, read)(name), slow)
    for name in wire.lists:
        np.testing.assert_array_equal(wire.frames(name), message.frames(name))
    return fast


@settings(max_examples=60, deadline=None)
@given(
    labels=st.none() | st.lists(st.integers(0, 65535), max_size=6),
    rgb=st.integers(1, 300),
    count=st.integers(1, 40),
    identity=st.binary(min_size=1, max_size=150).filter(lambda b: b.rstrip(b"\0") == b),
)
def test_fast_and_general_roads_agree(labels, rgb, count, identity):
    values, shown = means(count, rgb), frames(count, rgb, seed=count)
    video = both_roads(example(id=[identity], labels=labels, **values))
    assert video.id == identity
    assert (video.labels is None) == (labels is None)
    if labels is not None:
        assert video.labels.tolist() == sorted(set(labels))
    np.testing.assert_array_equal(video.rgb, values["mean_rgb"])
    framed_video = both_roads(sequence(shown, id=[identity], labels=labels))
    np.testing.assert_array_equal(framed_video.rgb_frames, shown["rgb"])
    assert framed_video.num_frames == count


def test_every_size_of_header():
    for size in (1, 31, 32, 63, 64, 4000, 4096, 5000):
        values = np.arange(size, dtype=np.float32)
        np.testing.assert_array_equal(both_roads(example(mean_rgb=values)).rgb, values)
    for size in (1, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 1024, 16383, 16400):
        shown = {"rgb": np.full((2, size), 7, np.uint8)}
        assert both_roads(sequence(shown)).rgb_frames.shape == (2, size)


def test_unusual_layouts_fall_back_to_protobuf():
    unpacked = b"".join(b"\x0d" + struct.pack("<f", x) for x in (1.0, 2.0))  # field 1, fixed32
    value = b"\x12" + bytes([len(unpacked)]) + unpacked
    entry = b"\x0a\x08mean_rgb\x12" + bytes([len(value)]) + value
    named = example()
    inner = named[2:] + b"\x0a" + bytes([len(entry)]) + entry
    payload = b"\x0a" + bytes([len(inner)]) + inner
    with pytest.raises(Unusual):
        WireRecord(memoryview(payload)).floats("mean_rgb")
    assert parse(payload, NAMES, "here").rgb.tolist() == [1, 2]
    twice = example(**means(1)) + example(**means(2))  # merged: the last one wins
    np.testing.assert_array_equal(parse(twice, NAMES, "here").rgb, means(2)["mean_rgb"])


def test_audio_set_like_record():
    shown = np.arange(20, dtype=np.uint8).reshape(10, 2)
    context = {"id": None, "video_id": [b"--4gqARaEJE"], "labels": [0, 400]}
    payload = sequence({"audio_embedding": shown}, **context, start_time_seconds=np.zeros(1, "f4"))
    video = both_roads(payload, AUDIO_SET)
    assert (video.id, video.rgb_frames, video.labels.tolist()) == (b"--4gqARaEJE", None, [0, 400])
    rgb, audio = video_level(video)
    assert rgb.shape == (0,)
    np.testing.assert_allclose(audio, dequantise(shown).mean(axis=0), rtol=1e-6)


def test_no_labels_and_empty_labels_differ():
    assert parse(example(**means()), NAMES, "here").labels is None
    assert parse(example(labels=[], **means()), NAMES, "here").labels.tolist() == []


def test_segments_are_kept():
    rated = {
        "segment_start_times": [40, 30],
        "segment_end_times": [45, 35],
        "segment_labels": [5, 5],
        "segment_scores": np.array([0.0, 1.0], np.float32),
    }
    start, end, label, score = both_roads(sequence(frames(), labels=[5], **rated)).segments
    assert (start.tolist(), end.tolist()) == ([40, 30], [45, 35])
    assert (label.tolist(), score.tolist()) == ([5, 5], [0, 1])
    with pytest.raises(InputError, match="segment start times.*number 2, 2, 1, 2; they must"):
        parse(sequence(frames(), **{**rated, "segment_labels": [5]}), NAMES, "here")


@pytest.mark.parametrize("count", [1, 256, 257, 258, 360])
def test_video_level_is_the_mean_of_the_dequantised_frames(count):
    shown = {"rgb": np.full((count, 3), 255, np.uint8), **{"audio": frames(count)["audio"]}}
    video = parse(sequence(shown), NAMES, "here")
    rgb, audio = video_level(video)
    np.testing.assert_allclose(rgb, 2 + 4 / 512, rtol=1e-6)
    np.testing.assert_allclose(audio, dequantise(shown["audio"]).mean(axis=0), atol=1e-5)


def test_dequantise_formula():
    q = np.arange(256, dtype=np.uint8)
    exact = np.arange(256) * 4 / 255 + 4 / 512 - 2
    np.testing.assert_allclose(dequantise(q), exact, atol=1e-6)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (example(id=None, **means()), "has no id; one string under id or video_id"),
        (example(id=[b"a", b"b"], **means()), "has no id"),
        (example(id=[b"\0"], **means()), "has no id"),
        (example(labels=[3]), "has none of the described features; it has id, labels"),
        (example(labels=[-1], **means()), "label -1 is out of range; 0 to 65535"),
        (example(labels=[65536], **means()), "label 65536 is out of range"),
        (example(labels=[b"x"], **means()), "labels holds a bytes_list, not a int64_list"),
        (example(mean_rgb=[1, 2]), "mean_rgb holds a int64_list, not a float_list"),
        (example(mean_rgb=np.zeros(0, np.float32)), "is there but has no values"),
        (sequence({"rgb": []}), "is there but has no values"),
        (sequence({"rgb": [b"abc", b"de"]}), "rgb: frames of 2, 3 bytes"),
        (sequence({"rgb": [b"abc"] * 3, "audio": [b"a"] * 2}), r"differ in frames \(\[2, 3\]\)"),
        (sequence({"rgb": [b"abc"] * 361}), "has 361 frames; 1 to 360 are allowed"),
        (b"\xff\xff\xff", "is not an Example or SequenceExample"),
    ],
    ids=lambda value: value if isinstance(value, str) else "payload",
)
def test_errors_of_a_record(payload, text):
    with pytest.raises(InputError, match=f"^here: .*{text}"):
        parse(payload, NAMES, "here")


def test_a_frame_of_two_values_is_an_error():
    twice = messages.FeatureList(feature=[feature([b"ab", b"cd"])])
    lists = messages.FeatureLists(feature_list={"rgb": twice})
    context = messages.Features(feature={"id": feature([b"x"])})
    made = messages.SequenceExample(context=context, feature_lists=lists).SerializeToString()
    with pytest.raises(InputError, match="rgb: a frame is not one string"):
        parse(made, NAMES, "here")


def test_stream_checks_sizes_and_classes(tmp_path):
    first, second = tmp_path / "a.tfrecord", tmp_path / "b.tfrecord"
    write_records(first, [example(labels=[9], **means())])
    write_records(second, [example(**means()), example(**means(rgb=5))])
    with pytest.raises(InputError, match="b.tfrecord: record 1: has rgb 5 .* not 4 and 2"):
        list(stream([first, second], NAMES))
    with pytest.raises(InputError, match="a.tfrecord: record 0: has rgb 4 and audio 2 wide"):
        list(stream([first], NAMES, Dims(1024, 128, 10, 0)))
    with pytest.raises(InputError, match="a.tfrecord: record 0: label 9 is out of range; 0 to 8"):
        list(stream([first], NAMES, Dims(4, 2, 9, 0)))
    rated = {f"segment_{n}": [10] for n in ("start_times", "end_times", "labels")}
    rated["segment_scores"] = np.ones(1, np.float32)
    write_records(first, [sequence(frames(), **rated)])
    with pytest.raises(InputError, match="label 10 is out of range"):
        list(stream([first], NAMES))
    write_records(first, [sequence(frames(), **means(rgb=5))])
    with pytest.raises(InputError, match=r"means and frames differ in width \(5, 4\)"):
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
    bodies = b"".join(entry[2:] for entry in entries if entry)
    size = len(bodies)
    head = bytes([size & 127 | 128, size >> 7]) if size > 127 else bytes([size])
    return b"\x0a" + head + bodies


def outcome(read):
    """The videos that come before an error, and its text without protobuf's own words."""
    videos = []
    try:
        for v in read:
            arrays = (v.labels, v.rgb, v.audio)
            videos.append((v.id, *(None if a is None else a.tobytes() for a in arrays)))
    except InputError as error:
        return videos, str(error).split(" (")[0]
    return videos, None


@settings(max_examples=120, deadline=None)
@given(records=any_records(), repeats=st.integers(1, 3))
def test_shards_read_as_protobuf_reads_them(tmp_path_factory, records, repeats):
    path = tmp_path_factory.mktemp("r") / "a.tfrecord"
    write_records(path, records * repeats)
    dims = Dims(3, 2, 70000 if repeats == 1 else 60000, 0)

    def by_protobuf():
        for number, payload in enumerate(records * repeats):
            where = f"{path}: record {number}"
            message = MessageRecord(parse_message(payload, where))
            try:
                video = _video(message, NAMES, where)
            except Mistyped as error:
                raise InputError(f"{where}: {error}") from error
            check(video, dims, where)
            yield video

    assert outcome(stream([path], NAMES, dims)) == outcome(by_protobuf())


@pytest.mark.parametrize("broken", [0, 1, 2])
@pytest.mark.parametrize("named", [b"abcd", b""])
def test_a_broken_feature_that_nobody_reads_is_an_error_as_in_protobuf(tmp_path, named, broken):
    """In the first record, which is walked, and in one whose layout is known by then."""
    records = [example(**means(n, rgb=3, audio=2), id=[named], extra=[300]) for n in range(3)]
    at = records[broken].index(b"extra") + 7  # its kind: a tag of field 0 is none
    records[broken] = records[broken][:at] + b"\0" + records[broken][at + 1 :]
    write_records(tmp_path / "a.tfrecord", records)
    number, text = (0, "has no id") if not named and broken else (broken, "is not an Example")
    with pytest.raises(InputError, match=f"record {number}: {text}"):
        list(stream([tmp_path / "a.tfrecord"], NAMES, Dims(3, 2, 60000, 0)))


def test_records_of_a_known_layout_come_together(tmp_path):
    path = tmp_path / "a.tfrecord"
    records = [example(id=[b"%04d" % i], labels=[i % 9, 5], **means(i)) for i in range(300)]
    write_records(path, records)
    found = list(Reader(NAMES).runs(path))
    sizes = [len(run.ids) if isinstance(run, Columns) else 1 for run in found]
    assert sizes == [1, 128, 128, 43]
    assert [v.id for v in stream([path], NAMES)] == [b"%04d" % i for i in range(300)]
    for number, video in enumerate(stream([path], NAMES)):
        np.testing.assert_array_equal(video.rgb, means(number)["mean_rgb"])
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
