"""A data set states its vocabulary: records of another one are refused, more may be added."""

import os
import shutil

import numpy as np
import pytest
from convert_world import converted
from record_bytes import decoded, videos_of

from distill.challenge import read_labels
from folds.conversion import convert, folder
from yt8m.base.cli import InputError
from yt8m.records.description import describe, find_shards
from yt8m.records.framing import read_records, write_records
from yt8m.records.values import dequantise

FIRST = {"a": "cat", "b": "dog", "c": "cat"}
LATER = {"x": "baby", "y": "cat", "z": "zebra"}


def write_batch(path, labels, name="l", frames=False):
    """Files of videos, whose labels are a dict by id; the options that name the files."""
    shape = (len(labels), 4, 3) if frames else (len(labels), 3)
    seed = sum(map(ord, "".join(labels)))
    np.save(path / f"{name}.npy", np.random.default_rng(seed).normal(size=shape).astype("f4"))
    (path / f"{name}.txt").write_text("\n".join(labels))
    lines = "".join(f"{key},{label}\n" for key, label in labels.items())
    (path / f"{name}.csv").write_text("id,label\n" + lines)
    return {"rgb": f"{name}.npy", "ids": f"{name}.txt", "labels": f"{name}.csv"}


def add(path, out="out", **options):
    options = {k: path / v if k != "scale" else v for k, v in options.items()}
    convert.main(path / out, add=True, **options)


def contents(path):
    return {file.name: file.read_bytes() for file in path.rglob("*") if file.is_file()}


def names_in(path):
    """The names of the classes of each video of a folder of records."""
    _, vocabulary = describe(path, find_shards(path))
    ((_, videos),) = videos_of(path).items()
    return {v.id.decode(): [vocabulary.names[label] for label in v.labels] for v in videos}


@pytest.fixture
def out(tmp_path):
    """The folder of the first batch; the second one lies beside it, as files and converted."""
    converted(tmp_path, **write_batch(tmp_path, FIRST), shard_videos=2)
    converted(tmp_path, "apart", **write_batch(tmp_path, LATER, "m"))
    return tmp_path / "out"


MORE = {"rgb": "m.npy", "ids": "m.txt", "labels": "m.csv"}


def test_a_shard_of_another_vocabulary_is_refused_with_the_first_class_that_differs(out, tmp_path):
    shutil.copy(
        tmp_path / "apart/video/converted-00000-of-00001.tfrecord", out / "video/more.tfrecord"
    )
    text = "more.tfrecord: class 0 is 'baby' there and 'cat' in this data set; convert it again"
    with pytest.raises(InputError, match=text):
        decoded(out, tmp_path / "store")
    with pytest.raises(InputError, match=text):
        read_labels([out], None)
    (out / "video/more.tfrecord").unlink()
    assert len(decoded(out, tmp_path / "store")) == 3
    (out / "vocabulary.csv").write_text("Index,Name\n0,cat\n1,cow\n")
    with pytest.raises(
        InputError, match="00000.*class 1 is 'dog' there and 'cow' in this data set"
    ):
        decoded(out, tmp_path / "store")
    (out / "vocabulary.csv").write_text("Index,Name\n0,cat\n")
    (out / "dataset.toml").write_text("classes = 1\nvocabulary = 'vocabulary.csv'")
    with pytest.raises(InputError, match="class 1 is 'dog' there and unknown in this data set"):
        decoded(out, tmp_path / "store")
    (out / "dataset.toml").write_text("classes = 2")
    with pytest.raises(InputError, match="class 0 is 'cat' there and 'class 0' in this data set"):
        decoded(out, tmp_path / "store")


@pytest.mark.parametrize("frames", [False, True])
def test_a_record_of_another_vocabulary_among_others_is_refused(tmp_path, frames):
    for name, labels in (("out", FIRST), ("apart", LATER)):
        converted(tmp_path, name, **write_batch(tmp_path, labels, frames=frames))
    shards = sorted(tmp_path.glob("*/*/*.tfrecord"), reverse=True)  # out, then apart
    payloads = [bytes(record) for shard in shards for record in read_records(shard)]
    write_records(shards[0], payloads[:3] + payloads[4:])
    with pytest.raises(
        InputError, match="record 3: has labels of another vocabulary than record 0"
    ):
        decoded(tmp_path / "out", tmp_path / "store")


def test_a_corrected_name_is_taken_when_dataset_toml_says_so(out, tmp_path):
    (out / "vocabulary.csv").write_text("Index,Name\n0,Cat\n1,dog\n")
    with open(out / "dataset.toml", "a") as file:
        file.write('renamed = {"cat" = "Cat"}\n')
    assert decoded(out, tmp_path / "store").class_names == ["Cat", "dog"]
    (tmp_path / "m.csv").write_text("id,label\nx,baby\ny,Cat\nz,dog\n")
    add(tmp_path, **MORE)
    assert names_in(out) == {"a": ["Cat"], "b": ["dog"], "c": ["Cat"], "x": ["baby"], "y": ["Cat"],
                             "z": ["dog"]}  # fmt: skip
    assert len(decoded(out, tmp_path / "store")) == 6, "renamed is kept"


def test_added_videos_keep_the_old_numbers_and_files(out, tmp_path, capsys):
    before = contents(out / "video")
    add(tmp_path, **MORE)
    said = capsys.readouterr().out
    assert "0 cat: 1" in said
    assert "2 baby: 1" in said
    after = contents(out / "video")
    assert after.keys() - before.keys() == {"converted-added-00000.tfrecord"}
    assert {name: after[name] for name in before} == before
    _, vocabulary = describe(out, find_shards(out))
    assert vocabulary.names == ["cat", "dog", "baby", "zebra"]
    expected = {key: [label] for key, label in (FIRST | LATER).items()}
    assert names_in(out) == expected
    add(tmp_path, **write_batch(tmp_path, {"q": "ant", "r": "zebra"}, "m"))
    assert names_in(out) == expected | {"q": ["ant"], "r": ["zebra"]}
    store = decoded(out, tmp_path / "store")
    assert store.class_names == ["cat", "dog", "baby", "zebra", "ant"]
    assert [key.decode() for key in store.ids] == [*FIRST, *LATER, "q", "r"]


def test_added_frames_are_scaled_as_the_first_ones(tmp_path):
    first = write_batch(tmp_path, FIRST, frames=True)
    converted(tmp_path, **first, scale=0.1)
    second = write_batch(tmp_path, LATER, "m", frames=True)
    add(tmp_path, **second)
    ((level, videos),) = videos_of(tmp_path / "out").items()
    assert level == "frame"
    got = dequantise(np.stack([video.frames["rgb"] for video in videos[3:]]))
    np.testing.assert_allclose(got, np.load(tmp_path / "m.npy") * 0.1, atol=0.01)
    with pytest.raises(InputError, match="out: was converted with --scale 0.1; leave --scale out"):
        add(tmp_path, **write_batch(tmp_path, {"q": "cat"}, "m", frames=True), scale=1.0)


def test_the_first_record_has_the_names_and_dataset_toml_stays_while_it_is_right(out, tmp_path):
    shard = out / "video/converted-00000-of-00002.tfrecord"
    assert [b"_class_names" in bytes(record) for record in read_records(shard)] == [True, False]
    text = (out / "dataset.toml").read_text() + "# of 2026\n"
    (out / "dataset.toml").write_text(text)
    add(tmp_path, **MORE)
    assert (out / "dataset.toml").read_text() == text


def test_a_folder_of_numbers_takes_numbers(tmp_path):
    converted(tmp_path, **write_batch(tmp_path, {"a": "1", "b": "4"}))
    add(tmp_path, **write_batch(tmp_path, {"c": "6", "d": "1"}, "m"))
    assert names_in(tmp_path / "out") == {
        "a": ["class 1"], "b": ["class 4"], "c": ["class 6"], "d": ["class 1"]
    }  # fmt: skip
    with pytest.raises(InputError, match="has classes without names; give their numbers as labels"):
        add(tmp_path, **write_batch(tmp_path, {"e": "cat"}, "m"))


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ({"x": "cat", "b": "dog", "c": "cat"}, {}, "has 'b' already, and 2 of these videos in all"),
        ({"x": "Cat", "y": "dog"}, {}, "labels 'cat' and 'Cat' may be one class or two"),
        ({"x": "7", "y": "1"}, {}, "label 7; 0 to 1 are allowed"),
        ({"x": "cow"}, {"vocabulary": "v.csv"}, "v.csv: class 1 of .*out is 'dog'; keep its"),
        ({"x": "cow"}, {"feature": ["title=m.npy"]}, "has rgb .video level., not rgb, title"),
        ({"x": "cow"}, {"rgb": "wide.npy"}, r"video x: rgb has shape \(5,\), not \(3,\)"),
        ({"x": "cow"}, {"rgb": "long.npy"}, "has rgb .video level., not rgb"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(out, tmp_path, labels, options, message):
    given = write_batch(tmp_path, labels, "m") | options
    (tmp_path / "v.csv").write_text("Index,Name\n0,cat\n1,cow\n")
    np.save(tmp_path / "wide.npy", np.zeros((1, 5), "f4"))
    np.save(tmp_path / "long.npy", np.zeros((1, 2, 3), "f4"))
    feature = [text.replace("m.npy", str(tmp_path / "m.npy")) for text in given.pop("feature", [])]
    before = contents(out)
    with pytest.raises(InputError, match=message):
        convert.main(out, add=True, feature=feature, **{k: tmp_path / v for k, v in given.items()})
    assert contents(out) == before


def test_only_folders_of_conversions_are_added_to_and_added_videos_are_not_lost(out, tmp_path):
    with pytest.raises(InputError, match="nothing: no such file or folder"):
        add(tmp_path, "nothing", **MORE)
    add(tmp_path, **MORE)
    with pytest.raises(InputError, match="added-00000.tfrecord: was added and would be lost"):
        converted(tmp_path, **write_batch(tmp_path, FIRST))
    (out / "video/other.tfrecord").write_bytes(
        (out / "video/converted-00000-of-00002.tfrecord").read_bytes()
    )
    with pytest.raises(InputError, match="other.tfrecord: was not written by a conversion"):
        add(tmp_path, **MORE)


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_a_kill_leaves_the_folder_as_it_was_and_the_same_command_goes_on(
    out, tmp_path, monkeypatch, moment
):
    """Killed at each renaming: of the temporary records, of vocabulary.csv, of the records."""
    before, old, left = names_in(out), contents(out), [moment]
    replace = os.replace

    def killed(source, target):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        replace(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        add(tmp_path, **MORE)
    monkeypatch.undo()
    assert names_in(out) == before
    assert {p: held for p, held in contents(out).items() if "tfrecord" in p} == {
        p: held for p, held in old.items() if "tfrecord" in p
    }
    assert contents(out) == old or moment > 1
    assert len(decoded(out, tmp_path / "store")) == 3
    add(tmp_path, **MORE)
    fresh = contents(out)
    shutil.rmtree(out)
    converted(tmp_path, **write_batch(tmp_path, FIRST), shard_videos=2)
    add(tmp_path, **MORE)
    assert contents(out) == fresh
    assert folder.VOCABULARY_FILE in fresh
