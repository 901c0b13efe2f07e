"""A holdout that is named: by a file of ids, or by records of its own."""

import numpy as np
import pytest
from grouped_world import features, names, store_of, write

from folds import assign, decode
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNUSED, Splits
from yt8m.data.store import Store
from yt8m.records.content import content_of

IDS, HELD = names(60), names(20, "h")


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Store:
    return store_of(tmp_path_factory.mktemp("plain"), IDS)


def assigned(store: Store, folder, **options) -> Splits:
    assign.main(store.folder, folder / "folds.safetensors", **options)
    return Splits.read(folder / "folds.safetensors", store.ids)


def without_holdout(store) -> np.ndarray:
    return assign.assign(store.ids, np.ones(len(store), bool), 0).fold


@pytest.mark.parametrize(
    "text",
    [
        "v003\nv010\nstranger\n",
        "\ufeffv003\r\nv010\r\nstranger\r\n\r\n",
        "id,why\nv003,\nv010,x\ns,",
    ],
)
def test_a_file_of_ids_is_the_holdout(store, tmp_path, capsys, text):
    (tmp_path / "ids.txt").write_text(text, newline="")
    splits = assigned(store, tmp_path, holdout=str(tmp_path / "ids.txt"))
    assert splits.holdout.tolist() == [3, 10]
    others = np.setdiff1d(np.arange(60), [3, 10])
    np.testing.assert_array_equal(splits.fold[others], without_holdout(store)[others])
    text = "ids.txt: 2 videos are held out; 1 of its ids are not in the data"
    assert text in capsys.readouterr().out


def test_the_groups_of_those_ids_are_held_out_too(store, tmp_path, capsys):
    (tmp_path / "ids.txt").write_text("v003\nv010\n")
    (tmp_path / "g.csv").write_text("id,group\nv003,x\nv004,x\nv005,y\nv006,y\n")
    options = {"holdout": str(tmp_path / "ids.txt"), "groups": tmp_path / "g.csv"}
    splits = assigned(store, tmp_path, **options)
    assert splits.holdout.tolist() == [3, 4, 10]
    assert "holdout: 1 more videos are held out, of groups of those" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "names no video"),
        ("x\n", "the data has none of its 1 ids; spell"),
        ("\n\n", "names no"),
    ],
)
def test_mistakes_in_a_file_of_ids(store, tmp_path, text, message):
    (tmp_path / "ids.txt").write_text(text)
    with pytest.raises(InputError, match=f"^{tmp_path}/ids.txt: {message}"):
        assigned(store, tmp_path, holdout=str(tmp_path / "ids.txt"))


def both(folder, **held_out) -> Store:
    """The store of 60 videos and of records that are the holdout."""
    write(folder / "records", IDS)
    write(folder / "held", **({"ids": HELD, "values": features(len(HELD), 1)} | held_out))
    decode.main(folder / "records", folder / "store", holdout=folder / "held", jobs=1)
    return Store(folder / "store")


def test_records_of_a_holdout_are_the_holdout_and_no_other_video_is(store, tmp_path):
    data = both(tmp_path)
    assert data.ids.tolist() == [video.encode() for video in (*IDS, *HELD)]
    assert data.held_out.tolist() == [False] * 60 + [True] * 20
    splits = assigned(data, tmp_path)
    assert splits.holdout.tolist() == list(range(60, 80))
    np.testing.assert_array_equal(splits.fold[:60], without_holdout(store))
    values = data.video(np.arange(60, 80))["rgb"]
    np.testing.assert_array_equal(values, features(20, 1).astype(np.float16))
    with pytest.raises(
        InputError, match="--holdout 0.1: .* has records of a holdout; leave it out"
    ):
        assigned(data, tmp_path, holdout="0.1")


def test_a_video_of_both_is_only_held_out(tmp_path, capsys):
    data = both(tmp_path, ids=["v007", *HELD[1:]])
    assert "[decode] 1 video records of DATA are of videos of HOLDOUT: only held" in (
        capsys.readouterr().out
    )
    assert sorted(data.ids.tolist()) == sorted(v.encode() for v in (*IDS, *HELD[1:]))
    row = data.ids.tolist().index(b"v007")
    np.testing.assert_array_equal(data.video([row])["rgb"][0], features(20, 1)[0].astype("f2"))
    assert assigned(data, tmp_path).fold[row] == HOLDOUT


def test_videos_of_a_held_out_group_are_not_learnt_from(tmp_path):
    write(tmp_path / "records", IDS, [b"x" if at == 4 else None for at in range(60)])
    write(tmp_path / "held", HELD, [b"x"] * 20, features(20, 1))
    decode.main(tmp_path / "records", tmp_path / "store", holdout=tmp_path / "held", jobs=1)
    splits = assigned(Store(tmp_path / "store"), tmp_path)
    assert splits.holdout.tolist() == [4, *range(60, 80)]


def test_other_records_or_none_make_another_store(tmp_path):
    data = both(tmp_path)
    content = read_json(tmp_path / "store/about.json")["content"]
    options = {"data": tmp_path / "records", "cache": {}}
    assert content_of(**options, holdout=tmp_path / "held") == content
    assert content_of(**options) != content
    write(tmp_path / "held", HELD, values=features(20, 2))
    assert content_of(**options, holdout=tmp_path / "held") != content
    decode.main(tmp_path / "records", tmp_path / "store", jobs=1)
    again = Store(tmp_path / "store")
    assert (len(again), again.held_out) == (60, None)
    assert len(data) == 80


def test_a_shard_that_moves_into_the_holdout_changes_the_content(tmp_path):
    write(tmp_path / "records", IDS[:30])
    write(tmp_path / "records", IDS[30:], name="b")
    write(tmp_path / "held", HELD, name="c")
    before = content_of(tmp_path / "records", {}, holdout=tmp_path / "held")
    (tmp_path / "records/b.tfrecord").rename(tmp_path / "held/b.tfrecord")
    assert content_of(tmp_path / "records", {}, holdout=tmp_path / "held") != before


def test_a_holdout_of_other_records_is_refused(tmp_path):
    with pytest.raises(InputError, match="^HOLDOUT .*/held: has no video-level records, but DATA"):
        both(tmp_path, frames=True)


def test_a_holdout_without_labels_is_refused(tmp_path):
    data = both(tmp_path, labels=None)
    with pytest.raises(InputError, match="no video of the holdout has labels; give others"):
        assigned(data, tmp_path)
    assert UNUSED < HOLDOUT < NUM_FOLDS
