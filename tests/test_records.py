"""Records: framing with both CRCs, parsing by both roads, and every error text."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfrecord import TFRecordWriter

from yt8m.cli import InputError
from yt8m.description import Description, Dims, describe, find_shards, parse_message
from yt8m.fields import MessageRecord, Mistyped, Unusual, WireRecord
from yt8m.framing import framed, messages, read_records, write_records
from yt8m.records import dequantise, parse, stream, video_level
from yt8m.vocabulary import read_vocabulary

NAMES = Description(classes=10)
AUDIO_SET = Description(rgb_frames=(), audio_frames=("audio_embedding",), classes=527)


def feature(values):
    """A Feature of the kind of `values`: list of bytes, list of int, or float array."""
    if isinstance(values, np.ndarray):
        return messages.Feature(float_list=messages.FloatList(value=values))
    if values and isinstance(values[0], bytes):
        return messages.Feature(bytes_list=messages.BytesList(value=values))
    return messages.Feature(int64_list=messages.Int64List(value=values))


def example(**features) -> bytes:
    """A serialised Example; the id is "vid" unless given."""
    features = {"id": [b"vid"], **features}
    made = {name: feature(values) for name, values in features.items() if values is not None}
    return messages.Example(features=messages.Features(feature=made)).SerializeToString()


def sequence(lists: dict, **features) -> bytes:
    """A serialised SequenceExample; lists: name -> uint8 (T, W) or a list of bytes."""
    features = {"id": [b"vid"], **features}
    made = {name: feature(values) for name, values in features.items() if values is not None}
    frames = {
        name: messages.FeatureList(feature=[feature([bytes(row)]) for row in rows])
        for name, rows in lists.items()
    }
    return messages.SequenceExample(
        context=messages.Features(feature=made),
        feature_lists=messages.FeatureLists(feature_list=frames),
    ).SerializeToString()


def means(seed=0, rgb=4, audio=2) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "mean_rgb": rng.standard_normal(rgb, np.float32),
        "mean_audio": rng.standard_normal(audio, np.float32),
    }


def frames(count=3, rgb=4, audio=2, seed=0) -> dict:
    rng = np.random.default_rng(seed)
    return {
        "rgb": rng.integers(0, 256, (count, rgb), np.uint8),
        "audio": rng.integers(0, 256, (count, audio), np.uint8),
    }


@pytest.fixture
def shard(tmp_path):
    """Three video-level records; returns (path, bytes of each framed record)."""
    records = [example(labels=[i], **means(i)) for i in range(3)]
    path = tmp_path / "a.tfrecord"
    write_records(path, records)
    return path, [framed(record) for record in records]


# ---- framing


@settings(max_examples=30, deadline=None)
@given(payloads=st.lists(st.binary(max_size=300), min_size=1, max_size=8), zipped=st.booleans())
def test_framing_round_trip(tmp_path_factory, payloads, zipped):
    path = tmp_path_factory.mktemp("f") / ("a.tfrecord.gz" if zipped else "a.tfrecord")
    write_records(path, payloads)
    assert [bytes(p) for p in read_records(path)] == payloads
    assert (path.read_bytes()[:2] == b"\x1f\x8b") == zipped


def test_records_longer_than_a_block_stay_valid(tmp_path, monkeypatch):
    monkeypatch.setattr("yt8m.framing.BLOCK", 100)
    payloads = [bytes([i]) * size for i, size in enumerate((5, 99, 1000, 0, 84, 300))]
    write_records(tmp_path / "a.tfrecord", payloads)
    assert [bytes(p) for p in list(read_records(tmp_path / "a.tfrecord"))] == payloads


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
    with pytest.raises(InputError, match="record 0 .* or is no TFRecord file"):
        list(read_records(path))
    path.write_bytes(records[0] + bytes(16))
    with pytest.raises(InputError, match="record 1 fails the CRC of its length"):
        list(read_records(path))
    path.write_bytes(struct.pack("<Q", 1 << 60) + records[0][8:])
    with pytest.raises(InputError, match="record 0 fails the CRC of its length"):
        list(read_records(path))


# ---- parsing


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


# ---- streams and data sets


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


def test_find_shards(tmp_path):
    video, frame = tmp_path / "video", tmp_path / "frame"
    write_records(video / "b.tfrecord", [example(**means())])
    write_records(video / "a.tfrecord.gz", [example(**means())])
    write_records(frame / "x.tfrecords", [sequence(frames())])
    (video / ".hidden.tfrecord").write_bytes(b"")
    found = find_shards(tmp_path)
    assert [path.name for path in found["video"]] == ["a.tfrecord.gz", "b.tfrecord"]
    assert [path.name for path in found["frame"]] == ["x.tfrecords"]
    assert list(find_shards(frame)) == ["frame"]
    assert find_shards(video / "b.tfrecord") == {"video": [video / "b.tfrecord"]}
    with pytest.raises(InputError, match="nowhere: no such file or folder"):
        find_shards(tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(InputError, match="void: no records"):
        find_shards(tmp_path / "void")


def described(data, file=None):
    return describe(data, find_shards(data), file)


def test_description_is_found(tmp_path):
    write_records(tmp_path / "video" / "a.tfrecord", [example(**means())])
    description, vocabulary = described(tmp_path)
    assert (description.name, description.classes, len(vocabulary)) == ("yt8m", 3862, 3862)
    assert vocabulary.names[17] == "class 17"
    (tmp_path / "vocabulary.csv").write_text('Index,Name,Vertical1\n1,"two\nlines",B\n0,Zero,A\n')
    for data in (tmp_path, tmp_path / "video", tmp_path / "video" / "a.tfrecord"):
        description, vocabulary = described(data)
        assert (description.classes, vocabulary.names) == (2, ["Zero", "two\nlines"])
        assert vocabulary.verticals == ["A", "B"]
    (tmp_path / "dataset.toml").write_text('classes = 3\nvocabulary = "vocabulary.csv"\n')
    description, vocabulary = described(tmp_path)
    assert (description.classes, vocabulary.names[2]) == (3, "class 2")
    (tmp_path / "other.toml").write_text("classes = 7")
    assert described(tmp_path, tmp_path / "other.toml")[0].classes == 7


def test_description_of_audio_set(tmp_path):
    payload = sequence({"audio_embedding": np.ones((2, 3), np.uint8)})
    write_records(tmp_path / "frame" / "a.tfrecord", [payload])
    (tmp_path / "class_labels_indices.csv").write_text("index,mid,display_name\n0,/m/0,Speech\n")
    description, vocabulary = described(tmp_path)
    assert (description.name, vocabulary.names, vocabulary.verticals) == (
        "audioset",
        ["Speech"],
        [],
    )


def test_errors_of_descriptions(tmp_path):
    write_records(tmp_path / "a.tfrecord", [example(picture=np.ones(2, np.float32))])
    with pytest.raises(InputError, match="no known feature among id, picture; name them"):
        described(tmp_path)
    toml = tmp_path / "dataset.toml"
    toml.write_text('rgb = ["picture"]')
    with pytest.raises(InputError, match="the number of classes is unknown"):
        described(tmp_path)
    toml.write_text('rgb = ["picture"]\nclasses = 0')
    with pytest.raises(InputError, match="dataset.toml: classes = 0"):
        described(tmp_path)
    toml.write_text('rbg = ["picture"]')
    with pytest.raises(InputError, match="dataset.toml: unknown key 'rbg'; allowed: audio"):
        described(tmp_path)
    toml.write_text('rgb = ["picture"]\nvocabulary = "v.csv"')
    with pytest.raises(InputError, match="vocabulary 'v.csv' is not beside"):
        described(tmp_path)
    toml.write_text('rgb = ["picture"]\nvocabulary = "v.csv"\nclasses = 1')
    (tmp_path / "v.csv").write_text("Index,Name\n1,a\n")
    with pytest.raises(InputError, match="names class 1, but the description says classes = 1"):
        described(tmp_path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Index,Title\n0,a\n", "has no column Name or display_name or name; it has Index, Title"),
        ("", "has no column Index or index; it has none"),
        ("Index,Name\n0,a\n0,b\n", "Index 0 is there twice"),
        ("Index,Name\nx,a\n", "Index 'x'; integers from 0 to 65535"),
        ("Index,Name\n", "holds no classes"),
    ],
)
def test_errors_of_vocabularies(tmp_path, text, error):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(InputError, match=error):
        read_vocabulary(tmp_path / "v.csv")
