"""Records to videos: two roads that agree, all kinds of records, and every error text."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import AUDIO_SET, NAMES, example, feature, frames, means, sequence
from tfrecord import TFRecordWriter

from yt8m.base.cli import InputError
from yt8m.records.description import parse_message
from yt8m.records.fields import MessageRecord, Mistyped, WireRecord
from yt8m.records.messages import protobuf
from yt8m.records.reader import dequantise, parse, stream, video_level
from yt8m.records.wire import Unusual


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
    twice = protobuf.FeatureList(feature=[feature([b"ab", b"cd"])])
    lists = protobuf.FeatureLists(feature_list={"rgb": twice})
    context = protobuf.Features(feature={"id": feature([b"x"])})
    made = protobuf.SequenceExample(context=context, feature_lists=lists).SerializeToString()
    with pytest.raises(InputError, match="rgb: a frame is not one string"):
        parse(made, NAMES, "here")
