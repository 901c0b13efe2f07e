"""Which shards, feature names, classes and class names a data set has."""

import numpy as np
import pytest
from record_bytes import example, frames, means, sequence

from yt8m.base.cli import InputError
from yt8m.records.description import describe, find_shards
from yt8m.records.framing import write_records
from yt8m.records.vocabulary import read_vocabulary


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


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no known feature among id, picture; name them"),
        ('rgb = ["picture"]', "the number of classes is unknown"),
        ('rgb = ["picture"]\nclasses = 0', "dataset.toml: classes = 0"),
        ('rbg = ["picture"]', "dataset.toml: unknown key 'rbg'; allowed: audio"),
        ('rgb = ["picture"]\nvocabulary = "w.csv"', "vocabulary 'w.csv' is not beside"),
        (
            'rgb = ["picture"]\nvocabulary = "v.csv"\nclasses = 1',
            "names class 1, but the description says classes = 1",
        ),
    ],
)
def test_errors_of_descriptions(tmp_path, text, error):
    write_records(tmp_path / "a.tfrecord", [example(picture=np.ones(2, np.float32))])
    (tmp_path / "v.csv").write_text("Index,Name\n1,a\n")
    if text:
        (tmp_path / "dataset.toml").write_text(text)
    with pytest.raises(InputError, match=error):
        described(tmp_path)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("Index,Title\n0,a\n", "has no column Name or display_name or name; it has Index, Title"),
        ("", "has no column Index or index; it has none"),
        ("Index,Name\n0,a\n0,b\n", "Index 0 appears twice"),
        ("Index,Name\nx,a\n", "Index 'x'; integers from 0 to 65535"),
        ("Index,Name\n", "holds no classes"),
    ],
)
def test_errors_of_vocabularies(tmp_path, text, error):
    (tmp_path / "v.csv").write_text(text)
    with pytest.raises(InputError, match=error):
        read_vocabulary(tmp_path / "v.csv")
