"""Copies and near-copies under other ids: all are found in small data, named, and can be joined."""

import numpy as np
import pytest
from grouped_world import names, store_of

from folds import assign
from folds.related import near_copies
from folds.related.near_copies import ALIKE, find_alike
from yt8m.data.splits import Splits

COUNT = 400
IDS = names(COUNT)
WIDE = np.random.default_rng(1).standard_normal((COUNT, 40)).astype(np.float32)
COPIES, NEAR = {(3, 250), (3, 251), (250, 251)}, {(7, 390), (8, 9)}


def planted() -> np.ndarray:
    """Features with three that are the same, and two pairs that are almost."""
    values, rng = WIDE.copy(), np.random.default_rng(2)
    values[[250, 251]] = values[3]
    for first, second in NEAR:
        values[second] = values[first] + 0.1 * rng.standard_normal(40)
    return values + 5  # what all have in common makes none alike


def cosines(store) -> np.ndarray:
    values = store.video(np.arange(len(store)))["rgb"].astype(np.float64)
    values -= values.mean(axis=0)
    values /= np.linalg.norm(values, axis=1)[:, None]
    return values @ values.T


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_of(tmp_path_factory.mktemp("alike"), IDS, values=planted())


def found_in(store, folder) -> tuple[set, set]:
    """(pairs of copies, other pairs)."""
    alike = find_alike(store, folder)
    pairs = list(map(tuple, alike.pairs.tolist()))
    assert pairs == sorted(set(pairs))
    copies = {pair for pair, same in zip(pairs, alike.copies, strict=True) if same}
    return copies, set(pairs) - copies


def test_what_is_planted_is_found_and_nothing_else(store, tmp_path):
    near = np.argwhere(np.triu(cosines(store), 1) >= ALIKE)
    assert set(map(tuple, near.tolist())) == COPIES | NEAR, "the planted ones are as alike as that"
    copies, others = found_in(store, tmp_path)
    assert others == NEAR
    assert {(3, 250), (250, 251)} <= copies <= COPIES


@pytest.mark.parametrize("noise", [0.1, 0.2, 0.28])
def test_few_near_copies_are_missed(tmp_path, noise):
    rng, half = np.random.default_rng(3), COUNT // 2
    values = WIDE.copy()
    values[half:] = values[:half] + noise * rng.standard_normal((half, 40))
    pairs = store_of(tmp_path, IDS, values=values)
    near = np.argwhere(np.triu(cosines(pairs), 1) >= ALIKE)
    expected = set(map(tuple, near.tolist()))
    assert len(expected) > half * 0.6
    _, found = found_in(pairs, tmp_path)
    assert found <= expected
    assert len(found) > 0.9 * len(expected)


def test_copies_are_sought_among_all_videos_near_ones_in_a_sample(store, tmp_path, monkeypatch):
    monkeypatch.setattr(near_copies, "SAMPLE", 5)
    monkeypatch.setattr(near_copies, "BLOCK", 7)
    copies, others = found_in(store, tmp_path)
    assert copies == {(3, 250), (250, 251)}
    assert others == set()


def test_all_alike_is_no_work_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(near_copies, "MOST", 50)
    same = store_of(tmp_path, IDS[:120], values=np.ones((120, 6), np.float32))
    copies, others = found_in(same, tmp_path)
    assert {(at, at + 1) for at in range(119)} <= copies
    assert len(copies) <= 119 + 50
    assert others == set()


def test_they_are_named_and_a_file_joins_them(store, tmp_path, capsys):
    folds, groups = tmp_path / "folds.safetensors", tmp_path / "near_copies.csv"
    assign.main(store.folder, folds)
    text = capsys.readouterr().out
    [line] = [line for line in text.splitlines() if line.startswith("near-copies: ")]
    fold = Splits.read(folds, store.ids).fold
    pairs = {(3, 250), (250, 251), (3, 251), *NEAR}
    between = sum(fold[a] != fold[b] for a, b in found_pairs(store, tmp_path))
    count = len(found_pairs(store, tmp_path))
    assert line.startswith(f"near-copies: {count} pairs of videos have almost the same features (")
    assert f"{between} of them are in different folds or the holdout: " in line
    assert "v007 = v390" in line
    assert line.endswith(f"to keep them together say GROUPS={groups}")
    assert groups.read_text().splitlines() == [
        *("id,group", "v003,v003", "v007,v007", "v008,v008", "v009,v008"),
        *("v250,v003", "v251,v003", "v390,v007"),
    ]
    assign.main(store.folder, folds, groups=groups)
    after = Splits.read(folds, store.ids).fold
    assert all(after[a] == after[b] for a, b in pairs)
    others = np.setdiff1d(np.arange(COUNT), np.array(sorted(pairs)).ravel())
    np.testing.assert_array_equal(after[others], fold[others])
    assert "near-copies" not in capsys.readouterr().out


def found_pairs(store, folder) -> list:
    return find_alike(store, folder).pairs.tolist()


def test_the_file_keeps_the_groups_that_were_given(tmp_path, capsys):
    values = WIDE[:60].copy()
    values[50] = values[0]
    own = [b"red"] * 2 + [None] * 46 + [b"blue"] * 3 + [None] * 9
    store = store_of(tmp_path, names(60), own, values=values)
    (tmp_path / "g.csv").write_text("id,group\nv010,green\nv011,green\n")
    assign.main(store.folder, tmp_path / "folds.safetensors", groups=tmp_path / "g.csv")
    rows = (tmp_path / "near_copies.csv").read_text().splitlines()[1:]
    joined = [f"v{number:03d},blue" for number in (0, 1, 48, 49, 50)]
    assert sorted(rows) == sorted([*joined, "v010,green", "v011,green"])
