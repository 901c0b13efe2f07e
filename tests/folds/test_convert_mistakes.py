"""What a conversion refuses, and what it says."""

import os
import sys

import numpy as np
import pytest
from convert_world import FRAMES, NAMED, VIDEO, converted, write_parquet

from yt8m.base.cli import InputError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give features: --rgb, --audio, --feature .*, or --table alone"),
        ({"table": "means.parquet", "rgb": "rgb.npy"}, "give features: --rgb, --audio"),
        ({"rgb": "rgb.npy"}, "rgb.npy: give --ids too: a .npy, or a text file"),
        ({"rgb": "rgb.npy", "audio": "audio.npz"}, "all .npy or all .npz is allowed"),
        ({"rgb": "labels.csv"}, "all .npy or all .npz is allowed"),
        ({**VIDEO[0], "labels": "no.csv"}, "no.csv: no such file; give one that exists"),
        ({"rgb": "rgb.npy", "ids": "pipe"}, "pipe: not a file; give one that exists"),
        ({"feature": ["x=no.npy"]}, "no.npy: no such file; give one that exists"),
        ({"table": "foreign"}, "foreign: not a file; give one that exists"),
        ({"rgb": "rgb.npz", "ids": "ids.txt"}, "ids.txt: a .npz has ids and lengths of its own"),
        ({"rgb": "rgb_frames.npy", "ids": "ids.txt"}, "15 rows for 5 ids"),
        ({"rgb": "rgb.npy", "ids": "ids.txt", "lengths": "lengths.npy"}, "5 rows for 15 frames by"),
        ({**FRAMES, "lengths": "short.txt"}, "short.txt: 2 lengths for 5 ids"),
        ({**FRAMES, "lengths": "ids.txt"}, "ids.txt: not a column of int"),
        ({**FRAMES, "lengths": "rgb.npy"}, "rgb.npy: not a column of int .float32"),
        ({"rgb": "one.npy", "ids": "ids.txt"}, r"one.npy \(5,\): \(videos, width\), "),
        ({"rgb": "fake.npy", "ids": "ids.txt"}, "fake.npy: not a .npy or .npz of numbers"),
        ({"rgb": "fake.npz"}, "fake.npz: not a .npy or .npz"),
        ({"rgb": "few.npz", "audio": "audio.npz"}, "4 ids are in one only .one: a22"),
        ({"rgb": "uneven.npz"}, r"video c: rgb has shape \(2, 9\), not \(frames, 6\)"),
        ({"rgb": "uneven.npz", "audio": "uneven2.npz"}, r"rgb and audio differ in frames \[1, 2\]"),
        ({"rgb": "integers.npy", "ids": "ids.txt"}, "rgb is int64; floats are needed, or uint8"),
        ({"rgb": "nan.npy", "ids": "ids.txt"}, "video a22: rgb has a value that is not finite or"),
        ({"rgb": "rgb.npy", "ids": "twice.txt"}, "id 'b1' appears 2 times"),
        ({"rgb": "rgb.npy", "ids": "gap.txt"}, "gap.txt: row 1: b.. cannot be an id"),
        ({"table": "labels.csv"}, "labels.csv: not a parquet file"),
        ({"table": "means.parquet", "id_column": "key"}, "columns key, and rgb or audio, are need"),
        ({"table": "means.parquet", "feature": ["rgb=id"]}, "column id is string; a list of"),
        ({"table": "holes.parquet"}, "holes.parquet: row 1 is empty"),
        ({"table": "ragged.parquet"}, "ragged.parquet: row 0 has frames of"),
        ({**VIDEO[0], "labels": "ids.txt"}, "columns id or video_id or VideoId, and labels or"),
        ({**VIDEO[0], "labels": "commas.csv"}, "line 3 has 3 fields, the header 2; put quotes"),
        ({**VIDEO[0], "labels": "others.csv"}, "none of its ids, such as 'x', is one of the feat"),
        ({**VIDEO[0], "labels": "large.csv"}, "label 65536; 0 to 65535 are allowed"),
        ({**VIDEO[0], "labels": "none.csv"}, "none.csv: has no label at all"),
        (
            {**VIDEO[0], "labels": "header.csv", "vocabulary": "words.csv"},
            "header.csv: has no label at all",
        ),
        ({**VIDEO[0], "labels": "rgb.npy"}, "rgb.npy: not a CSV in UTF-8"),
        (
            {**VIDEO[0], "labels": "named.csv", "vocabulary": "words.csv"},
            "'Tree house' is not a name in",
        ),
        ({**VIDEO[0], "labels": "labels.csv", "vocabulary": "words.csv"}, "label 7; 0 to 0 are"),
        ({**VIDEO[0], "vocabulary": "rgb.npy"}, "rgb.npy: not a CSV in UTF-8"),
        ({**VIDEO[0], "scale": 0.0}, "--scale 0.0: above 0 is allowed"),
        ({**VIDEO[0], "out": "foreign"}, "x.tfrecord: was not written by a conversion"),
    ],
)
def test_mistakes(forms, tmp_path, options, message):
    _make_mistakes(tmp_path)
    with pytest.raises(InputError, match=message):
        converted(tmp_path, **options)
    assert not (tmp_path / "out" / "video").exists(), "in full or not at all"
    assert not (tmp_path / "out" / "dataset.toml").exists()


def _make_mistakes(folder):
    (folder / "short.txt").write_text("3\n1\n")
    np.save(folder / "one.npy", np.zeros(5))
    for name in ("fake.npy", "fake.npz"):
        (folder / name).write_text("hello")
    np.savez(folder / "few.npz", b1=np.zeros((1, 6)))
    np.savez(folder / "uneven.npz", b1=np.zeros((1, 6)), c=np.zeros((2, 9)))
    np.savez(folder / "uneven2.npz", b1=np.zeros((2, 6)), c=np.zeros((2, 6)))
    np.save(folder / "integers.npy", np.zeros((5, 3), int))
    np.save(folder / "nan.npy", np.array([[0.0], [np.nan], [0], [0], [0]]))
    (folder / "twice.txt").write_text("b1\na\nb\nb1\nc\n")
    (folder / "gap.txt").write_text("b1\n\nb\nd\nc\n")
    write_parquet(folder / "holes.parquet", id=["a", "b"], rgb=[[1.0], None])
    write_parquet(folder / "ragged.parquet", id=["a"], rgb=[[[1.0], [1.0, 2.0]]])
    (folder / "commas.csv").write_text("id,labels\nb1,3\na22,7,0\n")
    (folder / "others.csv").write_text("id,labels\nx,3\n")
    (folder / "large.csv").write_text("id,labels\nb1,65536\n")
    (folder / "none.csv").write_text("id,labels\nb1,\n")
    (folder / "header.csv").write_text("id,labels\n")
    (folder / "named.csv").write_text(NAMED)
    (folder / "words.csv").write_text("Index,Name\n0,Ball\n")
    os.mkfifo(folder / "pipe")
    (folder / "foreign/video").mkdir(parents=True)
    (folder / "foreign/video/x.tfrecord").write_text("")


def test_without_pyarrow_one_line_says_what_to_install(forms, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="is not installed: pip install pyarrow"):
        converted(tmp_path, table="means.parquet")
    assert len(converted(tmp_path, **VIDEO[0])[1]) == 5, "the other inputs do without it"
