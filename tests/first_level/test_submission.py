"""The challenge's file of segments."""

import numpy as np
import pytest

from first_level.segments import submission
from yt8m.base.cli import InputError
from yt8m.data.predictions import Predictions


def test_the_file_lists_each_class_best_first(tmp_path):
    one = Predictions(
        np.array([b"a:0", b"a:5", b"b:0"]),
        np.array([[7, 2], [2, 7], [7, 2]], np.uint16),
        np.array([[2, 1], [9, -1], [9.5, 0]], np.float16),
    )
    one.write(tmp_path / "one.safetensors")
    submission.main([tmp_path / "one.safetensors"], tmp_path / "out.csv")
    lines = (tmp_path / "out.csv").read_text().splitlines()
    assert lines == ["Class,Segments", "2,a:5 a:0 b:0", "7,b:0 a:0 a:5"]
    submission.main([tmp_path / "one.safetensors"], tmp_path / "out.csv", most=1)
    assert (tmp_path / "out.csv").read_text().splitlines() == ["Class,Segments", "2,a:5", "7,b:0"]
    # A second model knows b:0 too, and did not keep class 7 for it: its score there is halved.
    other = Predictions(
        np.array([b"b:0", b"c:15"]),
        np.array([[2, 3], [7, 2]], np.uint16),
        np.array([[9, 1], [5, -9]], np.float16),
    )
    other.write(tmp_path / "two.safetensors")
    submission.main(
        [tmp_path / "one.safetensors", tmp_path / "two.safetensors"], tmp_path / "out.csv"
    )
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        "Class,Segments", "2,a:5 b:0 a:0 c:15", "3,b:0", "7,c:15 a:0 b:0 a:5",
    ]  # fmt: skip
    with pytest.raises(InputError, match="two.safetensors: the last argument is the file to write"):
        submission.main([tmp_path / "one.safetensors"], tmp_path / "two.safetensors")
