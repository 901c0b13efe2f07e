"""Videos whose features no stage takes: an error or, if asked for, left out, counted and named."""

import numpy as np
import pytest
from export_world import write_video_records

from folds import decode, unlabelled
from yt8m.base.cli import InputError
from yt8m.data.store import Store

VALUES = {3: np.nan, 10: np.inf, 21: 1e30, 22: -65520.0}
TEXT = "has a value that is not finite or beyond 65504"


@pytest.fixture
def records(tmp_path):
    """Shards a (four broken videos of 30), b (all 4 broken) and c."""
    rng, folder = np.random.default_rng(0), tmp_path / "records"
    folder.mkdir()
    (folder / "dataset.toml").write_text("classes = 5\n")
    write(folder / "a.tfrecord", "a", 30, rng, VALUES | {5: 65519.0})
    write(folder / "b.tfrecord", "b", 4, rng, dict.fromkeys(range(4), np.nan))
    write(folder / "c.tfrecord", "c", 5, rng, {})
    return folder


def write(path, letter, count, rng, broken):
    rgb, audio = rng.normal(size=(count, 6)), rng.normal(size=(count, 3))
    for row, value in broken.items():
        (rgb if row % 2 else audio)[row, 1] = value
    ids = [f"{letter}{row:02d}" for row in range(count)]
    write_video_records(path, ids, rgb, audio, [[row % 5] for row in range(count)])


def test_videos_are_left_out_counted_and_named(records, tmp_path, tiny_parts, capsys):
    text = rf"a.tfrecord: record 3: id a03: rgb {TEXT}; leave it out, or say --skip-bad"
    with pytest.raises(InputError, match=text):
        decode.main(records, tmp_path / "store", jobs=1)
    for _ in range(2):  # a complete store says it again
        decode.main(records, tmp_path / "store", jobs=1, skip_bad=True)
        line = f"8 videos are left out, each {TEXT}: a03, a10, a21, a22, b00, ...\n"
        assert line in capsys.readouterr().out
    with pytest.raises(InputError, match=text):  # what was left out is not taken for complete
        decode.main(records, tmp_path / "store", jobs=1)
    data = Store(tmp_path / "store")
    names = [video.decode() for video in data.ids]
    broken = {f"a{row:02d}" for row in VALUES}
    assert names == [f"a{r:02d}" for r in range(30) if f"a{r:02d}" not in broken] + [
        f"c{r:02d}" for r in range(5)
    ]
    labels = data.labels.take(np.arange(len(data)))
    assert labels.indices.tolist() == [int(name[1:]) % 5 for name in names]
    found = data.video(np.arange(len(data)))
    assert np.isfinite(found["rgb"]).all()
    assert found["rgb"][names.index("a05"), 1] == 65504


def test_nothing_left_is_an_error(records, tmp_path):
    for name in "ac":
        (records / f"{name}.tfrecord").unlink()
    with pytest.raises(InputError, match=f"records: each of the 4 videos {TEXT}; give others"):
        decode.main(records, tmp_path / "store", jobs=1, skip_bad=True)


def test_unlabelled_videos_are_left_out_too(records, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (records / "dataset.toml").rename(tmp_path / "data" / "dataset.toml")
    (records / "c.tfrecord").rename(tmp_path / "data" / "c.tfrecord")
    decode.main(tmp_path / "data", tmp_path / "store", jobs=1)
    with pytest.raises(InputError, match="id a03: rgb has a value"):
        unlabelled.main(records, tmp_path / "store", jobs=1)
    unlabelled.main(records, tmp_path / "store", jobs=1, skip_bad=True)
    assert f"8 videos are left out, each {TEXT}" in capsys.readouterr().out
    assert len(Store(tmp_path / "store" / "unlabelled")) == 26
