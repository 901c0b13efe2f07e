"""A column of groups in the labels or in the table becomes a field of the records."""

import numpy as np
import pytest
from convert_world import write_parquet
from record_bytes import videos_of

from folds import decode
from folds.conversion import convert
from yt8m.base.cli import InputError
from yt8m.data.store import Store

IDS = ["a", "b", "c", "d"]


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    """Features of four videos, in the current folder."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.eye(4, 6, dtype=np.float32))
    np.save("clips.npy", np.zeros((4, 3, 6), np.float32))
    (tmp_path / "ids.txt").write_text("\n".join(IDS))
    return tmp_path


def groups_of(folder, out="out", **options) -> list:
    options = {"rgb": folder / "x.npy", "ids": folder / "ids.txt"} | options
    convert.main(folder / out, **options)
    ((_, videos),) = videos_of(folder / out).items()
    return [video.group for video in videos]


@pytest.mark.parametrize("features", ["x.npy", "clips.npy"])
def test_a_column_of_the_labels(inputs, capsys, features):
    (inputs / "l.csv").write_text("id,label,Group\na,0,north\nb,1,north\nc,0,\nd,2,7\na,1,north\n")
    options = {"labels": inputs / "l.csv", "rgb": inputs / features}
    assert groups_of(inputs, **options) == [b"north", b"north", None, b"7"]
    said = capsys.readouterr().out
    assert "[convert] 2 groups; 1 videos have none" in said
    assert "[convert] 3 classes" in said
    decode.main(inputs / "out", inputs / "store", jobs=1)
    store = Store(inputs / "store")
    assert store.groups.tolist() == [b"north", b"north", b"", b"7"]
    labels = [store.labels.take(np.array([row])).indices.tolist() for row in range(4)]
    assert labels == [[0, 1], [1], [0], [2]]


def test_a_group_is_no_class_of_columns_of_0_and_1(inputs):
    (inputs / "l.csv").write_text("id,cat,group,dog\na,0,x,1\nb,1,x,0\nc,1,y,1\nd,0,y,0\n")
    assert groups_of(inputs, labels=inputs / "l.csv") == [b"x", b"x", b"y", b"y"]
    decode.main(inputs / "out", inputs / "store", jobs=1)
    assert Store(inputs / "store").class_names == ["cat", "dog"]


def test_a_column_of_the_table(inputs):
    write_parquet("t.parquet", id=IDS, rgb=np.eye(4).tolist(), group=["x", None, "x", "y"])
    table = {"rgb": None, "ids": None, "table": inputs / "t.parquet"}
    assert groups_of(inputs, **table) == [b"x", None, b"x", b"y"]
    (inputs / "l.csv").write_text("id,label,group\nb,0,z\na,1,x\n")
    both = groups_of(inputs, "both", **table, labels=inputs / "l.csv")
    assert both == [b"x", b"z", b"x", b"y"]
    (inputs / "l.csv").write_text("id,label,group\na,1,y\n")
    with pytest.raises(InputError, match="l.csv: id 'a' is in group 'x' elsewhere, 'y' here"):
        groups_of(inputs, "differ", **table, labels=inputs / "l.csv")


def test_columns_of_that_name_that_are_something_else(inputs):
    write_parquet("t.parquet", id=IDS, group=np.eye(4).tolist())
    (inputs / "n.csv").write_text("id,label\na,0\n")
    options = {"rgb": None, "ids": None, "feature": ["title=group"], "labels": inputs / "n.csv"}
    assert groups_of(inputs, table=inputs / "t.parquet", **options) == [None] * 4
    (inputs / "l.csv").write_text("id,group\na,cats\nb,dogs\n")
    options = {"labels": inputs / "l.csv", "label_column": ["group"]}
    assert groups_of(inputs, "labels", **options) == [None] * 4


def test_one_video_has_one_group(inputs):
    (inputs / "l.csv").write_text("id,label,group\na,0,x\na,1,y\n")
    with pytest.raises(InputError, match="l.csv: id 'a' has groups 'x' and 'y'; one is allowed"):
        groups_of(inputs, labels=inputs / "l.csv")
