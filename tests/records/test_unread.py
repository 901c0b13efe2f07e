"""Whatever a folder of records holds and nobody reads is named."""

import pytest
from record_bytes import decoded, example, frames, means, sequence

from folds import decode, unlabelled
from yt8m.base.cli import InputError
from yt8m.records.description import Description, find_shards
from yt8m.records.framing import write_records
from yt8m.records.unread import READ, name_unread


def write(path, *names, framed=False):
    """A shard of the videos that are named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    features = [{"id": [name.encode()], "labels": [1]} for name in names]
    if framed:
        write_records(path, [sequence(frames(), **one) for one in features])
    else:
        write_records(path, [example(**one, **means()) for one in features])


@pytest.fixture
def records(tmp_path):
    folder = tmp_path / "records"
    write(folder / "a.tfrecord", "v1", "v2")
    (folder / "dataset.toml").write_text('classes = 10\nvocabulary = "names.csv"\n')
    (folder / "names.csv").write_text("Index,Name\n0,a\n")
    (folder / ".DS_Store").touch()
    (folder / "empty").mkdir()
    return folder


UNREAD = (
    *("x.tfrecord-00000-of-00002", "x.tfrecord.part", ".y.tfrecord.part", "z.csv", "a.gz"),
    *("A.TFRECORD", "more/b.tfrecord", "train/c.txt"),
)


@pytest.mark.parametrize("name", UNREAD)
def test_each_is_named(records, capsys, name):
    decode.main(records, records.parent / "store", jobs=1)
    assert "not read" not in capsys.readouterr().out
    write(records / name, "v3")
    decode.main(records, records.parent / "store", jobs=1)
    first = name.split("/")[0] + "/" * ("/" in name)
    line = f"{records}: 1 files or folders are not read: {first}; {READ}\n"
    assert line in capsys.readouterr().out


def test_many_are_one_line_with_a_count(records):
    for name in UNREAD:
        write(records / name, "v3")
    said = []
    shards = find_shards(records)
    name_unread(records, shards, Description(vocabulary="names.csv"), said.append)
    (text,) = said
    assert "8 files or folders are not read: .y.tfrecord.part, A.TFRECORD, a.gz, more/, " in text
    name_unread(records / "a.tfrecord", shards, Description(), said.append)
    assert len(said) == 1, "a shard alone was chosen"


def test_shards_beside_folders_of_both_levels_and_of_the_other_level(tmp_path, capsys):
    folder = tmp_path / "records"
    for level in ("video", "frame"):
        write(folder / level / "a.tfrecord", "v1", "v2", framed=level == "frame")
    (folder / "dataset.toml").write_text("classes = 10\n")
    write(folder / "b.tfrecord", "v3")
    decoded(folder, tmp_path / "store")
    assert "records: 1 files or folders are not read: b.tfrecord; " in capsys.readouterr().out
    data = tmp_path / "data"
    write(data / "a.tfrecord", "w1")
    (data / "dataset.toml").write_text("classes = 10\n")
    decoded(data, tmp_path / "other")
    unlabelled.main(folder, tmp_path / "other", jobs=1)
    text = "records: 2 files or folders are not read: b.tfrecord, frame/a.tfrecord; "
    assert text in capsys.readouterr().out


def test_records_of_a_holdout_too(records, tmp_path, capsys):
    write(tmp_path / "later" / "h.tfrecord", "v9")
    write(tmp_path / "later" / "h.tfrecord.part", "v10")
    decode.main(records, tmp_path / "store", jobs=1, holdout=tmp_path / "later")
    assert "later: 1 files or folders are not read: h.tfrecord.part; " in capsys.readouterr().out


@pytest.mark.parametrize("place", ["", "video"])
def test_frames_among_video_level_records_are_refused(records, place):
    write(records / place / "0.tfrecord", "v0")
    write(records / place / "z.tfrecord", "v3", framed=True)
    with pytest.raises(InputError, match="z.tfrecord: record 0: is frame-level, others are video-"):
        decoded(records, records.parent / "store")
