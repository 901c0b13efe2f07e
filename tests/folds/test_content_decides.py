"""A store is made of the content of records: what changes nothing decodes nothing."""

import os
import shutil

import numpy as np
import pytest

from folds import decode, decoding
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.data.store import Store
from yt8m.records import synthetic
from yt8m.records.content import content_of
from yt8m.records.framing import read_records, write_records


@pytest.fixture
def world(tmp_path, monkeypatch, tiny_parts):
    """A folder of records (4 shards of video/ and of frame/), its store, and what was decoded."""
    options = {"videos": 60, "classes": 12, "rgb": 6, "audio": 3, "shards": 4, "max_frames": 9}
    synthetic.main(tmp_path / "records", **options, frames=True)
    decode.main(tmp_path / "records", tmp_path / "store", jobs=1)
    decoded, real = [], decoding.write_part

    def counted(part, folder):
        if folder.name != "sample":
            decoded.append([shard.path.name for shard in part.shards])
        return real(part, folder)

    monkeypatch.setattr(decoding, "write_part", counted)
    return tmp_path / "records", tmp_path / "store", decoded


def bytes_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def shards_of(records, kind="video"):
    return sorted((records / kind).iterdir())


def test_the_manifest_says_what_the_records_say(world):
    records, store, _ = world
    assert read_json(store / "about.json")["content"] == content_of(records, {})


def test_touched_copied_and_renamed_shards_are_not_decoded(world, tmp_path, capsys):
    records, store, decoded = world
    before = bytes_of(store)
    for path in shards_of(records):
        os.utime(path, (1, 1))
    decode.main(records, store, jobs=1)
    shutil.copytree(records, tmp_path / "other")
    shutil.rmtree(records)
    for number, path in enumerate(shards_of(tmp_path / "other", "frame")):
        path.rename(path.with_name(f"{number}.tfrecord"))
    decode.main(tmp_path / "other", store, jobs=1)
    assert decoded == []
    assert bytes_of(store) == before
    assert capsys.readouterr().out.count("nothing to do") == 2


def test_an_added_shard_decodes_its_part_alone(world):
    records, store, decoded = world
    old = Store(store).ids.copy()
    for kind in ("video", "frame"):
        first = shards_of(records, kind)[0]
        payloads = [bytes(payload) for payload in read_records(first)]
        write_records(first.with_name("between.tfrecord"), payloads[10:])  # the first by its name
        write_records(first, payloads[:10])
    decode.main(records, store, jobs=1)
    named = ["between.tfrecord", "synthetic-0000-of-0004.tfrecord"]
    assert sorted(decoded) == [[named[0]], [named[0]], [named[1]], [named[1]]]
    new = Store(store)
    assert new.ids.tolist() == [*old[10:15], *old[:10], *old[15:]]
    folders = [len(list(store.glob(folders))) for folders in ("video/*", "frame/*", "rows-*")]
    assert folders == [5, 5, 1], "what was of the old shards is gone"
    fresh = store.with_name("fresh")
    decode.main(records, fresh, jobs=1)
    rows = np.arange(60)
    for name, values in Store(fresh).video(rows).items():
        np.testing.assert_array_equal(new.video(rows)[name], values)
    assert read_json(fresh / "manifest.json") == read_json(store / "manifest.json")


def test_two_shards_in_another_order_are_joined_anew(world):
    records, store, decoded = world
    ids = Store(store).ids.copy()
    first, second = shards_of(records)[:2]
    first.rename(second.with_name("synthetic-0001-of-9.tfrecord"))
    decode.main(records, store, jobs=1)
    assert decoded == []
    assert Store(store).ids.tolist() == [*ids[15:30], *ids[:15], *ids[30:]]


def test_corrected_names_of_classes_decode_and_join_nothing(world):
    records, store, decoded = world
    vocabulary = records / "vocabulary.csv"
    vocabulary.write_text(vocabulary.read_text().replace("Topic 11", "Cats"))
    (store / "derived" / "means-0123456789abcdef").mkdir(parents=True)
    before = bytes_of(store)
    decode.main(records, store, jobs=1)
    assert decoded == []
    assert Store(store).class_names[11] == "Cats"
    changed = {path.name for path, held in bytes_of(store).items() if before[path] != held}
    assert changed == {"about.json"}
    assert (store / "derived" / "means-0123456789abcdef").is_dir()
    assert read_json(store / "about.json")["content"] == content_of(records, {})


def test_more_classes_decode_nothing_and_too_few_are_refused_by_the_record(world):
    records, store, decoded = world
    (records / "dataset.toml").write_text("classes = 20")
    decode.main(records, store, jobs=1)
    assert (decoded, Store(store).dims.classes) == ([], 20)
    (records / "dataset.toml").write_text("classes = 2")
    with pytest.raises(InputError, match=r"record \d+: label \d+ is out of range; 0 to 1 are all"):
        decode.main(records, store, jobs=1)


def test_other_names_of_features_decode_again(world):
    records, store, decoded = world
    (records / "dataset.toml").write_text("classes = 12\nrgb = []\nrgb_frames = []")
    decode.main(records, store, jobs=1)
    assert len(decoded) == 8
    assert Store(store).dims.features == {"audio": 3}


@pytest.mark.parametrize("which", ["rows", "part", "manifest"])
def test_every_file_is_made_again_when_it_is_deleted_or_cut(world, which):
    records, store, _ = world
    files = {"rows": "rows-*/*", "part": "*/*/*", "manifest": "*.json"}[which]
    for path in sorted(store.glob(files)):
        before = bytes_of(store)
        path.unlink()
        decode.main(records, store, jobs=1)
        assert bytes_of(store) == before
        flipped = bytearray(before[path])
        flipped[len(flipped) // 2] ^= 1
        for damaged in (before[path][:-2], before[path][: len(flipped) // 2], flipped):
            path.write_bytes(damaged)
            decode.main(records, store, jobs=1)
            assert bytes_of(store) == before
