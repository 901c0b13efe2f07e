"""Records to videos: with and without shortcuts past protobuf, and every error text."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_bytes import AUDIO_SET, NAMES, example, frames, means, sequence
from tfrecord import TFRecordWriter

from yt8m.base.cli import InputError
from yt8m.records.layouts import TAGS, Layouts
from yt8m.records.messages import Record, feature, protobuf
from yt8m.records.reader import stream
from yt8m.records.values import dequantise, is_id
from yt8m.records.video import parse, read_video, video_level
from yt8m.records.wire import MESSAGE, VALUE, Unusual, field, split


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
    assert (first.id, first.labels.tolist(), first.frames) == (b"ab", [1, 3], {})
    np.testing.assert_array_equal(first.features["rgb"], values["mean_rgb"])
    assert (second.id, second.num_frames, second.features) == (b"cd", 3, {})
    np.testing.assert_array_equal(second.frames["audio"], shown["audio"])


def both_roads(payload, description=NAMES):
    """The Video by a shortcut past protobuf, which is taken, checked against protobuf's own."""
    slow = read_video(by_protobuf(payload), description)
    if slow.frames:
        split(memoryview(payload))  # is not Unusual
        fast = parse(payload, description, "here")
    else:
        layouts = Layouts(description)
        layouts.learn(memoryview(payload), by_protobuf(payload).context)
        fast = layouts.read(memoryview(payload))
    same_video(fast, slow)
    return fast


def by_protobuf(payload):
    """The whole record by protobuf."""

    def unusual(_):
        raise Unusual

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("yt8m.records.messages.split", unusual)
        return Record(payload, "here")


def same_video(fast, slow):
    assert fast.id == slow.id
    np.testing.assert_equal(fast.labels, slow.labels)
    np.testing.assert_equal(fast.segments, slow.segments)
    for mine, other in ((fast.features, slow.features), (fast.frames, slow.frames)):
        assert list(mine) == list(other)
        for kind, values in mine.items():
            assert values.dtype == other[kind].dtype
            np.testing.assert_array_equal(values, other[kind])


@settings(max_examples=60, deadline=None)
@given(
    labels=st.none() | st.lists(st.integers(0, 65535), max_size=6),
    rgb=st.integers(1, 300),
    count=st.integers(1, 40),
    identity=st.text(min_size=1, max_size=70).map(lambda text: text.encode()).filter(is_id),
)
def test_fast_and_general_roads_agree(labels, rgb, count, identity):
    values, shown = means(count, rgb), frames(count, rgb, seed=count)
    video = both_roads(example(id=[identity], labels=labels, **values))
    assert video.id == identity
    assert (video.labels is None) == (labels is None)
    if labels is not None:
        assert video.labels.tolist() == sorted(set(labels))
    np.testing.assert_array_equal(video.features["rgb"], values["mean_rgb"])
    framed_video = both_roads(sequence(shown, id=[identity], labels=labels))
    np.testing.assert_array_equal(framed_video.frames["rgb"], shown["rgb"])
    assert framed_video.num_frames == count


def test_every_size_of_header():
    for size in (1, 31, 32, 63, 64, 4000, 4096, 5000):
        values = np.arange(size, dtype=np.float32)
        np.testing.assert_array_equal(both_roads(example(mean_rgb=values)).features["rgb"], values)
    for size in (1, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128, 129, 1024, 16383, 16400):
        shown = {"rgb": np.full((2, size), 7, np.uint8)}
        assert both_roads(sequence(shown)).frames["rgb"].shape == (2, size)


def test_unusual_layouts_fall_back_to_protobuf():
    unpacked = b"".join(b"\x0d" + struct.pack("<f", x) for x in (1.0, 2.0))  # field 1, fixed32
    entry = field(MESSAGE, b"mean_rgb") + field(VALUE, field(TAGS["float_list"], unpacked))
    payload = field(MESSAGE, example()[2:] + field(MESSAGE, entry))
    layouts = Layouts(NAMES)
    layouts.learn(memoryview(payload), by_protobuf(payload).context)
    assert not layouts.known
    assert parse(payload, NAMES, "here").features["rgb"].tolist() == [1, 2]
    twice = example(**means(1)) + example(**means(2))  # merged: the last one wins
    np.testing.assert_array_equal(parse(twice, NAMES, "here").features["rgb"], means(2)["mean_rgb"])


def test_unusual_frames_fall_back_to_protobuf():
    usual = sequence({"rgb": [b"abc"] * 2})
    at = usual.index(b"\x12", usual.index(b"rgb") - 7)  # of the lists
    context, lists = usual[:at], usual[at:]
    unknown = b"\x7a\x01x"  # a field that no message has
    for payload in (lists + context, usual + unknown, usual + lists, unknown + usual):
        with pytest.raises(Unusual):
            split(memoryview(payload))
        same_video(parse(payload, NAMES, "here"), parse(usual, NAMES, "here"))


def test_unknown_fields_of_a_list_are_no_values():
    values = protobuf.FloatList(value=[1, 2])
    values = protobuf.FloatList.FromString(values.SerializeToString() + b"\x7a\x01x")
    context = {"id": feature([b"x"]), "mean_rgb": protobuf.Feature(float_list=values)}
    made = protobuf.Example(features=protobuf.Features(feature=context)).SerializeToString()
    assert parse(made, NAMES, "here").features["rgb"].tolist() == [1, 2]
    layouts = Layouts(NAMES)
    layouts.learn(memoryview(made), by_protobuf(made).context)
    assert not layouts.known


def test_audio_set_like_record():
    shown = np.arange(20, dtype=np.uint8).reshape(10, 2)
    context = {"id": None, "video_id": [b"--4gqARaEJE"], "labels": [0, 400]}
    payload = sequence({"audio_embedding": shown}, **context, start_time_seconds=np.zeros(1, "f4"))
    video = both_roads(payload, AUDIO_SET)
    assert (video.id, list(video.frames), video.labels.tolist()) == (
        b"--4gqARaEJE",
        ["audio"],
        [0, 400],
    )
    means = video_level(video)
    assert list(means) == ["audio"]
    np.testing.assert_allclose(means["audio"], dequantise(shown).mean(axis=0), rtol=1e-6)


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
    means = video_level(video)
    np.testing.assert_allclose(means["rgb"], 2 + 4 / 512, rtol=1e-6)
    np.testing.assert_allclose(means["audio"], dequantise(shown["audio"]).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("payload", "text"),
    [
        (example(id=None, **means()), "has no id; one string under id or video_id"),
        (example(id=[b"a", b"b"], **means()), "has no id"),
        (example(id=[b"\0"], **means()), "has no id"),
        (example(labels=[3]), "has none of the described features; it has id, labels"),
        (example(labels=[-1], **means()), "label -1 is out of range; 0 to 9 are"),
        (example(labels=[65536], **means()), "label 65536 is out of range"),
        (example(labels=[b"x"], **means()), "labels holds a bytes_list, not a int64_list"),
        (example(mean_rgb=[1, 2]), "mean_rgb holds a int64_list, not a float_list"),
        (example(mean_rgb=np.zeros(0, np.float32)), "has a feature without values"),
        (sequence({"rgb": []}), "has a feature without values"),
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
