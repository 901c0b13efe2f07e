"""More kinds of features than rgb and audio, from numpy and parquet to a store."""

import numpy as np
import pytest
from convert_world import BOTH, FRAMES, IDS, LENGTHS, converted, nested, write_parquet
from record_bytes import decoded

from folds import unlabelled
from folds.conversion import convert
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.convert import newer
from yt8m.data.store import Store
from yt8m.data.unlabelled import FOLDER
from yt8m.records.values import QUANTUM, dequantise

RNG = np.random.default_rng(3)
TITLE = RNG.normal(size=(5, 384)).astype(np.float32)
WORDS = RNG.normal(size=(5, 256)).astype(np.float32)
HALF = [list(row) if number % 2 else None for number, row in enumerate(WORDS)]


def test_a_table_of_four_kinds_of_which_one_has_nulls(forms, tmp_path):
    means = {kind: list(values) for kind, values in forms["means"].items()}
    write_parquet(tmp_path / "four.parquet", id=IDS, **means, headline=list(TITLE), words=HALF)
    options = {"feature": ["title=headline", "words=words"], "labels": "labels.csv"}
    kind, videos = converted(tmp_path, table="four.parquet", **options, shard_videos=2)
    assert kind == "video"
    text = (tmp_path / "out" / "dataset.toml").read_text()
    assert "[features.title]\n[features.words]\noptional = true\n" in text
    store = decoded(tmp_path / "out", tmp_path / "store")
    assert store.dims.features == {"rgb": 6, "audio": 3, "title": 384, "words": 256}
    found = store.video(np.arange(5))
    np.testing.assert_array_equal(found["title"], TITLE.astype(np.float16))
    wanted = np.where(np.arange(5)[:, None] % 2, WORDS, 0)
    np.testing.assert_array_equal(found["words"], wanted.astype(np.float16))
    np.testing.assert_array_equal(found["rgb"], forms["means"]["rgb"].astype(np.float16))
    assert videos["b1"].features["words"].tolist() == [0] * 256


def test_values_of_videos_beside_frames(forms, tmp_path):
    """In a table, of which one more kind has frames that one video lacks, and from .npy."""
    frames = forms["frames"]
    spoken = [nested([frames["audio"][n]])[0] if n != 2 else None for n in range(5)]
    columns = {"rgb": nested(frames["rgb"]), "title": list(TITLE), "spoken": spoken}
    write_parquet(tmp_path / "mixed.parquet", id=IDS, **columns)
    options = {"feature": ["title=title", "spoken=spoken"]}
    kind, videos = converted(tmp_path, table="mixed.parquet", **options)
    assert kind == "frame"
    for row, name in enumerate(IDS):
        assert list(videos[name].frames) == ["rgb", "spoken"]
        wanted = frames["audio"][row] if row != 2 else np.zeros((LENGTHS[2], 3))
        got = dequantise(videos[name].frames["spoken"])
        np.testing.assert_allclose(got, wanted, atol=QUANTUM * 0.5001)
        np.testing.assert_array_equal(videos[name].features["title"], TITLE[row])
    store = decoded(tmp_path / "out", tmp_path / "store")
    assert (store.dims.frameless, store.dims.max_frames) == (("title",), 5)
    np.testing.assert_array_equal(store.video(np.arange(5))["title"], TITLE.astype(np.float16))
    assert list(store.frames(np.arange(5))[0]) == ["rgb", "spoken"]
    np.save(tmp_path / "title.npy", TITLE)
    options = {**FRAMES, "lengths": "lengths.npy", "feature": [f"title={tmp_path / 'title.npy'}"]}
    kind, videos = converted(tmp_path, **options)
    assert kind == "frame"
    assert list(videos["c"].frames) == ["rgb", "audio"]
    np.testing.assert_array_equal(videos["c"].features["title"], TITLE[2])


def test_unlabelled_videos_may_all_lack_an_optional_kind(forms, tmp_path):
    means = {kind: list(values) for kind, values in forms["means"].items()}
    write_parquet(tmp_path / "a.parquet", id=IDS, **means, words=HALF)
    converted(tmp_path, table="a.parquet", feature=["words=words"], labels="labels.csv")
    store = decoded(tmp_path / "out", tmp_path / "store")
    write_parquet(tmp_path / "b.parquet", id=[f"other {name}" for name in IDS], **means)
    converted(tmp_path, table="b.parquet", out="more")
    unlabelled.main(tmp_path / "more", store.folder, jobs=1)
    more = Store(store.folder / FOLDER)
    assert more.dims.features == store.dims.features
    assert not more.video(np.arange(5))["words"].any()


def test_a_kind_without_any_value_is_left_out(forms, tmp_path, capsys):
    means = {kind: list(values) for kind, values in forms["means"].items()}
    write_parquet(tmp_path / "t.parquet", id=IDS, **means, words=[[1.0], None, None, None, None])
    converted(tmp_path, table="t.parquet", feature=["words=words"])
    assert "left out" not in capsys.readouterr().out
    import pyarrow

    nothing = pyarrow.array([None] * 5, pyarrow.list_(pyarrow.float32()))
    write_parquet(tmp_path / "t.parquet", id=IDS, **means, words=nothing)
    converted(tmp_path, table="t.parquet", feature=["words=words"])
    assert "words: no video has a value; this kind is left out" in capsys.readouterr().out
    assert decoded(tmp_path / "out", tmp_path / "store").dims.features == {"rgb": 6, "audio": 3}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({**BOTH, "feature": ["title"]}, "--feature title: one NAME=FILE"),
        ({**BOTH, "feature": ["a=x.npy", "a=y.npy"]}, "--feature a=y.npy: one NAME=FILE"),
        ({**BOTH, "feature": ["T=x.npy"]}, "--feature T=x.npy: a kind of features cannot be cal"),
        ({**BOTH, "feature": ["ids=x.npy"]}, "cannot be called ids; choose another name"),
        ({"table": "means.parquet", "feature": ["title=titel"]}, "columns id, and titel, are"),
    ],
)
def test_mistakes(forms, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        converted(tmp_path, **options)
    assert not (tmp_path / "out").exists()


def test_a_feature_may_be_repeated_and_older_options_name_columns():
    line = ["out", "--table", "t.parquet", "--rgb-column", "clip", "--audio-column=sound"]
    line = newer([*line, "--feature", "title=t"])
    arguments = vars(cli.parser_of(convert.main).parse_args(line))
    assert arguments["feature"] == ["rgb=clip", "audio=sound", "title=t"]
    assert vars(cli.parser_of(convert.main).parse_args(["out"]))["feature"] == []
