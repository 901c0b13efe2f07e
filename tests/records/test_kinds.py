"""Any number of named kinds of features in records: described, optional, with frames or without."""

import numpy as np
import pytest
from record_bytes import example, frames, means, sequence

from yt8m.base.cli import InputError
from yt8m.base.config import read_toml
from yt8m.records.description import Description, Dims, FeatureKind
from yt8m.records.framing import write_records
from yt8m.records.reader import dims_of, stream
from yt8m.records.values import dequantise
from yt8m.records.video import parse, video_level

TITLE = np.arange(5, dtype=np.float32)
FOUR = Description.model_validate(
    {
        "classes": 10,
        "features": {
            "title": {},
            "words": {"names": ["text"], "frames": ["said"], "optional": True},
        },
    }
)


def test_kinds_of_a_description(tmp_path):
    assert list(Description().kinds) == ["rgb", "audio"]
    assert Description().kinds["rgb"] == FeatureKind(("mean_rgb",), ("rgb",))
    assert list(FOUR.kinds) == ["rgb", "audio", "title", "words"]
    assert FOUR.kinds["title"] == FeatureKind(("title", "mean_title"), ())
    assert FOUR.kinds["words"] == FeatureKind(("text",), ("said",), True)
    (tmp_path / "d.toml").write_text(
        'rgb = []\nrgb_frames = []\naudio = ["sound"]\n[features.audio]\noptional = true\n'
    )
    kinds = read_toml(tmp_path / "d.toml", Description).kinds
    assert kinds == {"audio": FeatureKind(("sound",), ("audio",), True)}


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[features.Title]", "d.toml: a kind of features cannot be called Title; take small "),
        ("[features.ids]", "a kind of features cannot be called ids; choose another name"),
        ("[features.rgb_frames]", "a kind of features cannot be called rgb_frames"),
        ("[features.segment_x]", "a kind of features cannot be called segment_x"),
        ("[features.title]\nnmaes = []", "unknown key 'features.title.nmaes'; allowed: frames"),
    ],
)
def test_mistakes_in_a_description(tmp_path, text, error):
    (tmp_path / "d.toml").write_text(text)
    with pytest.raises(InputError, match=error):
        read_toml(tmp_path / "d.toml", Description)


def test_video_level_kinds_are_read_with_and_without_protobuf(tmp_path):
    path = tmp_path / "a.tfrecord"
    lists = [means(i) | {"mean_title": TITLE + i} | ({"text": TITLE[:2]} if i % 3 else {})
             for i in range(9)]  # fmt: skip
    write_records(path, [example(**features) for features in lists])
    assert dims_of([path], FOUR).features == {"rgb": 4, "audio": 2, "title": 5, "words": 2}
    for features, video in zip(lists, stream([path], FOUR), strict=True):
        assert list(video.features) == ["rgb", "audio", "title", "words"]
        np.testing.assert_array_equal(video.features["title"], features["mean_title"])
        words = features.get("text", np.zeros(2))
        np.testing.assert_array_equal(video.features["words"], words)
        assert video.features["words"].dtype == np.float32


def test_a_kind_that_is_not_optional_must_be_there(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_records(path, [example(title=TITLE, **means()), example(**means())])
    with pytest.raises(InputError, match="record 1: lacks title; `optional = true` in .features.t"):
        list(stream([path], FOUR))
    write_records(path, [example(**means()), example(title=TITLE, **means())])
    with pytest.raises(InputError, match="record 1: has title, which the first one lacks; `option"):
        list(stream([path], FOUR))


def test_an_optional_kind_that_no_record_has_is_absent_or_of_the_width_that_is_known(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_records(path, [example(**means(i)) for i in range(3)])
    assert dims_of([path], FOUR).features == {"rgb": 4, "audio": 2}
    dims = dims_of([path], FOUR, {"words": 7, "rgb": 99})
    assert dims.features == {"rgb": 4, "audio": 2, "words": 7}
    assert [v.features["words"].tolist() for v in stream([path], FOUR, dims)] == [[0.0] * 7] * 3


def test_frames_beside_kinds_without_them(tmp_path):
    path = tmp_path / "a.tfrecord"
    said = {"said": np.full((3, 2), 9, np.uint8)}
    lacking, whole = (sequence(frames() | more, title=TITLE) for more in ({}, said))
    write_records(path, [lacking, whole])
    dims = dims_of([path], FOUR)
    assert dims == Dims({"rgb": 4, "audio": 2, "title": 5, "words": 2}, 10, 0, 0, ("title",))
    first, second = stream([path], FOUR)
    assert list(second.frames) == ["rgb", "audio", "words"]
    np.testing.assert_array_equal(second.frames["words"], said["said"])
    assert first.frames["words"].shape == (3, 2)
    np.testing.assert_allclose(dequantise(first.frames["words"]), 0, atol=4 / 512)
    assert video_level(first)["words"].tolist() == [0, 0]
    for video in (first, second):
        levels = video_level(video)
        assert set(levels) == set(dims.features)
        np.testing.assert_array_equal(levels["title"], TITLE)


def test_an_optional_kind_of_another_width_is_refused(tmp_path):
    path = tmp_path / "a.tfrecord"
    write_records(path, [example(title=TITLE, text=TITLE[:n], **means()) for n in (2, 3)])
    with pytest.raises(InputError, match="words 3 wide, not rgb 4, audio 2, title 5, words 2"):
        list(stream([path], FOUR))
    twice = sequence(frames() | {"said": np.ones((3, 2), np.uint8)}, title=TITLE, text=TITLE)
    with pytest.raises(InputError, match=r"means and frames differ in width \(5, 2 of words\)"):
        dims_of([write(path, twice)], FOUR)
    longer = sequence(frames() | {"said": np.ones((4, 2), np.uint8)}, title=TITLE)
    with pytest.raises(InputError, match=r"rgb and audio and words differ in frames \(\[3, 4\]\)"):
        parse(longer, FOUR, "here")


def write(path, record):
    write_records(path, [record])
    return path
