"""Groups: read from records and files, kept together by holdout and folds, whatever is added."""

import numpy as np
import pytest
from grouped_world import names, store_of

from folds import assign
from folds.related.id_files import read_groups
from yt8m.base.cli import InputError
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNLABELLED, Splits, uniform
from yt8m.data.store import Store

IDS = names(60)
SOURCES = [f"source{number // 2:02d}".encode() for number in range(60)]


@pytest.fixture(scope="module")
def grouped(tmp_path_factory) -> Store:
    """60 videos of 30 sources."""
    return store_of(tmp_path_factory.mktemp("grouped"), IDS, SOURCES)


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Store:
    """The same videos without groups."""
    return store_of(tmp_path_factory.mktemp("plain"), IDS)


def assigned(store: Store, folder, **options) -> Splits:
    assign.main(store.folder, folder / "folds.safetensors", **options)
    return Splits.read(folder / "folds.safetensors", store.ids)


def by_hash(keys, share=0.1) -> np.ndarray:
    keys = np.array(keys)
    fold = (uniform(keys, "fold") * NUM_FOLDS).astype(int)
    return np.where(uniform(keys, "holdout") < share, HOLDOUT, fold)


@pytest.mark.parametrize("frames", [False, True])
def test_records_say_the_group_as_text_or_number_or_not_at_all(tmp_path, frames):
    said = [b"cats", b"dogs", None, 17, 17, 8, b"", b"mice\0"]
    store = store_of(tmp_path, names(8), said, frames=frames)
    assert store.groups.tolist() == [b"cats", b"dogs", b"", b"17", b"17", b"8", b"", b"mice"]


def test_other_names_of_groups_are_described(tmp_path):
    store_of(tmp_path, IDS[:2], SOURCES[:2])
    (tmp_path / "records/dataset.toml").write_text('classes = 3\ngroups = ["channel"]\n')
    from folds import decode

    decode.main(tmp_path / "records", tmp_path / "other", jobs=1)
    assert Store(tmp_path / "other").groups is None


@pytest.mark.parametrize("wrong", [[b"a", b"b"], np.ones(2, np.float32)])
def test_a_group_is_one_text_or_number(tmp_path, wrong):
    from record_bytes import example

    from yt8m.records.description import Description
    from yt8m.records.video import parse

    with pytest.raises(InputError, match="^here: (has 2 groups; one is|group holds a float_list)"):
        parse(example(group=wrong, mean_rgb=np.ones(2, np.float32)), Description(), "here")


def test_a_group_is_hashed_as_a_whole_and_an_id_where_there_is_none(grouped, plain, tmp_path):
    splits = assigned(grouped, tmp_path)
    np.testing.assert_array_equal(splits.fold, by_hash(SOURCES))
    assert splits.groups.tolist() == SOURCES
    alone = assigned(plain, tmp_path)
    np.testing.assert_array_equal(alone.fold, by_hash([video.encode() for video in IDS]))
    assert alone.groups is None
    assert alone.keys(plain.ids) is plain.ids


def test_more_videos_move_nobody(grouped, tmp_path):
    before = assigned(grouped, tmp_path).fold
    more = store_of(tmp_path, [*names(9, "a"), *IDS], [*SOURCES[:5], *[b"new"] * 4, *SOURCES])
    after = assigned(more, tmp_path).fold
    np.testing.assert_array_equal(after[9:], before)
    np.testing.assert_array_equal(after[:5], before[:5])


FORMS = {
    "commas": "id,group\nv000,x\nv004,x\nv000,x\nv001,\n\nstranger,y\n",
    "BOM, semicolons": "\ufeffgroup;id;more\r\nx;v000;1\r\nx; v004 ;2\r\ny;stranger;3\r\n",
    "quotes, tabs": 'video_id\tGroup\n"v000"\t"x"\nv004\tx\nv001\t\nstranger\ty\n',
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_a_file_of_groups_goes_before_what_records_say(grouped, tmp_path, capsys, text):
    (tmp_path / "g.csv").write_text(text, newline="")
    found = assigned(grouped, tmp_path, groups=tmp_path / "g.csv")
    expected = [
        b"x" if video in ("v000", "v004") else s for video, s in zip(IDS, SOURCES, strict=True)
    ]
    assert found.groups.tolist() == expected
    np.testing.assert_array_equal(found.fold, by_hash(expected))
    said = capsys.readouterr().out
    ids = len(read_groups(tmp_path / "g.csv").ids)
    assert f"g.csv: 1 of its {ids} ids are not in the data" in said


def test_what_is_in_no_group_is_counted(plain, tmp_path, capsys):
    (tmp_path / "g.csv").write_text("id,group\nv000,x\nv001,x\nv002,x\nv003,\n")
    found = assigned(plain, tmp_path, groups=tmp_path / "g.csv")
    assert found.groups.tolist() == [b"x"] * 3 + [video.encode() for video in IDS[3:]]
    text = "groups: 60 videos in 58 groups, the largest (x) has 3; 57 videos have none"
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,channel\nv0,x\n", "columns id and group are needed; it has id, channel"),
        ("v0,x\nv1,x\n", "columns id and group are needed; it has v0, x"),
        ("id,group\nv0,x\nv0,y\n", "id 'v0' has groups 'x' and 'y'; one is allowed"),
        ("id,group\n,x\n", "row 0"),
        ("id,group\n", "names no video; give ids"),
        ("", "columns id and group are needed; it has none"),
        ("id,group\nv0\n", "row 1 has fewer fields than the header"),
        ("id,group\nstranger,x\n", "the data has none of its 1 ids; spell them alike"),
    ],
)
def test_mistakes_in_a_file_of_groups(plain, tmp_path, text, message):
    (tmp_path / "g.csv").write_text(text)
    with pytest.raises(InputError, match=f"^{tmp_path}/g.csv: {message}"):
        assigned(plain, tmp_path, groups=tmp_path / "g.csv")
    assert not (tmp_path / "folds.safetensors").exists()


def test_a_group_that_is_larger_than_a_fold_is_named(tmp_path, capsys):
    store = store_of(tmp_path, IDS, [b"all" if at < 20 else None for at in range(60)])
    splits = assigned(store, tmp_path, holdout=0)
    said = capsys.readouterr().out
    assert "group all has 20 videos, more than a fold (12): folds are uneven" in said
    assert f"fold 0 {len(splits.rows(0)):>11,} videos" in said


def test_too_few_groups_for_five_folds_are_refused(tmp_path):
    store = store_of(tmp_path, IDS, [b"one" if at < 30 else b"two" for at in range(60)])
    with pytest.raises(InputError, match="fold . has no videos.* or more and smaller groups"):
        assigned(store, tmp_path)


def test_unlabelled_videos_are_groups_of_their_own():
    splits = Splits(np.zeros(2, np.int8), np.array([b"x", b"x"])).with_unlabelled(
        np.array([b"abc"])
    )
    assert splits.groups.tolist() == [b"x", b"x", b"abc"]
    assert splits.fold.tolist() == [0, 0, UNLABELLED]
    assert Splits(np.zeros(2, np.int8)).with_unlabelled(np.array([b"abc"])).groups is None
