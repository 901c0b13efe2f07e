"""The decoded store gives back what the records hold, whatever their kinds."""

import shutil

import numpy as np
import pytest
from record_bytes import decoded, videos_of

from folds import decode
from yt8m.base.cli import InputError
from yt8m.data.store import Store
from yt8m.records import synthetic
from yt8m.records.framing import read_records, write_records
from yt8m.records.values import dequantise


@pytest.fixture
def records(tmp_path):
    """A folder with video/, frame/ and segment/: 60 videos in 3 shards."""
    folder = tmp_path / "records"
    options = {"videos": 60, "classes": 12, "rgb": 6, "audio": 3, "shards": 3, "max_frames": 12}
    synthetic.main(folder, **options, frames=True, segments=True)
    return folder


def shuffled(n, seed=0):
    return np.random.default_rng(seed).permutation(n)


@pytest.mark.parametrize("jobs", [1, 2])
def test_both_kinds_give_back_the_records(records, tmp_path, tiny_parts, jobs):
    store, truth = decoded(records, tmp_path / "store", jobs), videos_of(records)
    assert (store.dims.features, store.dims.classes) == ({"rgb": 6, "audio": 3}, 12)
    assert store.dims.max_frames == store.num_frames.max() <= 12
    assert (store.has_frames, len(store), store.labelled.all()) == (True, 60, True)
    assert store.ids.tolist() == [video.id for video in truth["video"]]
    assert store.class_names[11] == "Topic 11"
    assert store.verticals[0] == "Vertical 0"
    for row, video in enumerate(truth["video"]):
        assert store.labels.take([row]).indices.tolist() == video.labels.tolist()
    rows = shuffled(60)[:41]
    means, (frames, lengths) = store.video(rows), store.frames(rows)
    assert list(means) == list(frames) == ["rgb", "audio"]
    assert lengths.dtype == np.int32
    for kind in ("rgb", "audio"):
        wanted = [truth["video"][row].features[kind].astype("f2") for row in rows]
        np.testing.assert_array_equal(means[kind], wanted, strict=True)
        wanted = np.concatenate([truth["frame"][row].frames[kind] for row in rows])
        np.testing.assert_array_equal(frames[kind], wanted, strict=True)
    assert lengths.tolist() == [truth["frame"][r].num_frames for r in rows]


def test_no_rows_and_doubled_rows(records, tmp_path, tiny_parts):
    store = decoded(records, tmp_path / "store")
    rgb, audio = store.video(np.zeros(0, np.int64)).values()
    assert (rgb.shape, audio.shape) == ((0, 6), (0, 3))
    assert store.frames(np.zeros(0, np.int64))[0]["rgb"].shape == (0, 6)
    frames, lengths = store.frames(np.array([50, 2, 50]))
    rgb = frames["rgb"]
    np.testing.assert_array_equal(rgb[: lengths[0]], rgb[-lengths[2] :])


def test_frames_only_gives_their_means(records, tmp_path):
    store = decoded(records / "frame", tmp_path / "store")
    truth = videos_of(records)["video"]
    rgb, audio = store.video(np.arange(60)).values()
    np.testing.assert_allclose(rgb, [video.features["rgb"] for video in truth], atol=2e-3)
    np.testing.assert_allclose(audio, [video.features["audio"] for video in truth], atol=2e-3)
    frames, _ = store.frames(np.array([7]))
    np.testing.assert_allclose(rgb[7], dequantise(frames["rgb"]).mean(axis=0), atol=2e-3)


def test_one_kind_and_one_shard(tmp_path):
    synthetic.main(tmp_path / "r", videos=9, classes=5, rgb=0, audio=4, shards=1, frames=True)
    shard = next((tmp_path / "r" / "frame").iterdir())
    store = decoded(shard, tmp_path / "store")
    frames, lengths = store.frames(np.arange(9))
    assert store.dims.features == {"audio": 4}
    assert list(frames) == ["audio"]
    assert frames["audio"].shape == (lengths.sum(), 4)
    assert store.video(np.arange(9))["audio"].shape == (9, 4)


def test_segments_are_kept(records, tmp_path, tiny_parts):
    store = decoded(records / "segment", tmp_path / "store")
    truth = videos_of(records / "segment")["frame"]
    rows = shuffled(len(truth))
    found = store.segments(rows)
    rated = [(row, truth[row].segments) for row in rows if truth[row].segments is not None]
    assert rated
    assert found.rows.tolist() == [row for row, wanted in rated for _ in wanted[0]]
    columns = (found.start, found.end, found.label, found.score)
    for number, column in enumerate(columns):
        expected = np.concatenate([wanted[number] for _, wanted in rated])
        np.testing.assert_array_equal(column, expected)
        assert column.dtype == expected.dtype
    assert len(store.segments(rows[:0])) == 0


def test_spans_are_cut_out_of_the_frames(records, tmp_path, tiny_parts):
    store = decoded(records / "frame", tmp_path / "store")
    rows = shuffled(60)[:20]
    start = store.num_frames[rows] // 3
    count = store.num_frames[rows] - start - 1
    found = store.spans(rows, start, count)
    spans = [slice(s, s + c) for s, c in zip(start, count, strict=True)]
    assert list(store.spans(rows, start, count, ["audio"])) == ["audio"]
    for kind, cut in found.items():
        whole = [store.frames(np.array([row]))[0][kind] for row in rows]
        wanted = [frames[span] for frames, span in zip(whole, spans, strict=True)]
        np.testing.assert_array_equal(cut, np.concatenate(wanted))


def test_video_level_only_has_no_frames(records, tmp_path):
    store = decoded(records / "video", tmp_path / "store")
    assert (store.has_frames, store.dims.max_frames, store.num_frames.max()) == (False, 0, 0)
    assert len(store.segments(np.array([3]))) == 0
    with pytest.raises(InputError, match="store: has no frames; frame-level models need"):
        store.frames(np.array([0]))


def test_records_without_labels(records, tmp_path):
    def without(payload):
        return bytes(payload).replace(b"\x0a\x06labels", b"\x0a\x06libels")

    for path in sorted((records / "video").iterdir())[1:]:
        write_records(path, [without(payload) for payload in list(read_records(path))])
    store = decoded(records / "video", tmp_path / "store")
    assert store.labelled.tolist() == [True] * 20 + [False] * 40
    assert store.labels.counts()[20:].max() == 0


@pytest.mark.parametrize("kinds", [("frame", "segment"), ("video", "frame", "segment")])
def test_rated_records_take_the_place_of_the_plain_ones(records, tmp_path, tiny_parts, kinds):
    plain, rated = (videos_of(records / kind) for kind in ("video", "segment"))
    for kind in {"video", "frame", "segment"} - set(kinds):
        shutil.rmtree(records / kind)
    store = decoded(records, tmp_path / "store")
    assert sorted(store.ids.tolist()) == sorted(video.id for video in plain["video"])
    found = store.segments(np.arange(60))
    expected = {v.id: v.segments for v in rated["frame"] if v.segments is not None}
    assert {store.ids[row] for row in found.rows} == set(expected)
    for row in np.unique(found.rows):
        mine = found.rows == row
        assert found.start[mine].tolist() == expected[store.ids[row]][0].tolist()
        rgb = store.frames(np.array([row]))[0]["rgb"]
        [same] = [v for v in rated["frame"] if v.id == store.ids[row]]
        np.testing.assert_array_equal(rgb, same.frames["rgb"])
    shutil.copy(next((records / "segment").iterdir()), records / "segment" / "again.tfrecord")
    with pytest.raises(InputError, match="segment/again.tfrecord: id .* appears twice, again in"):
        decode.main(records, tmp_path / "store", jobs=1)


def test_kinds_are_joined_by_id(records, tmp_path, capsys):
    shutil.rmtree(records / "segment")
    shards = sorted((records / "frame").iterdir())
    shards[0].unlink()
    payloads = [bytes(p) for p in read_records(shards[1])]
    write_records(shards[1], payloads[::-1])
    decode.main(records, tmp_path / "store", jobs=1)
    assert "20 videos are only in video/ and are left out" in capsys.readouterr().out
    store, truth = Store(tmp_path / "store"), videos_of(records)
    assert store.ids.tolist() == [video.id for video in truth["video"][20:]]
    frames = {video.id: video for video in truth["frame"]}
    for row in (0, 7, 39):
        rgb = store.frames(np.array([row]))[0]["rgb"]
        np.testing.assert_array_equal(rgb, frames[store.ids[row]].frames["rgb"])
        np.testing.assert_array_equal(
            store.video([row])["rgb"][0], truth["video"][20 + row].features["rgb"].astype("f2")
        )
    for path in (records / "frame").iterdir():
        path.unlink()
    lonely = tmp_path / "other"
    synthetic.main(lonely, videos=9, classes=12, rgb=6, audio=3, shards=1, frames=True, seed=9)
    shutil.copytree(lonely / "frame", records / "frame", dirs_exist_ok=True)
    with pytest.raises(InputError, match="video/ and frame/ have no video in common"):
        decode.main(records, tmp_path / "store2", jobs=1)
