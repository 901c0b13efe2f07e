"""Other people's features to records: what goes in is what every reader gets."""

import tracemalloc

import numpy as np
import pytest
from convert_world import EXPECTED, FRAME, IDS, LABELS, NAMED, VIDEO, converted
from record_bytes import decoded

from folds.conversion import convert
from folds.conversion.label_files import read_labels
from yt8m.records.description import describe, find_shards
from yt8m.records.values import QUANTUM, dequantise
from yt8m.records.vocabulary import Vocabulary


@pytest.mark.parametrize("options", VIDEO)
def test_video_level_features_of_every_form_are_kept_exactly(forms, tmp_path, options):
    kind, videos = converted(tmp_path, **options, labels="labels.csv", shard_videos=2)
    assert kind == "video"
    assert list(videos) == IDS, "the order of the features"
    assert len(list((tmp_path / "out/video").iterdir())) == 3
    for row, name in enumerate(IDS):
        np.testing.assert_array_equal(videos[name].features["rgb"], forms["means"]["rgb"][row])
        np.testing.assert_array_equal(videos[name].features["audio"], forms["means"]["audio"][row])


@pytest.mark.parametrize("options", FRAME)
def test_frame_level_features_of_every_form_are_kept_to_half_a_step(forms, tmp_path, options):
    level, videos = converted(tmp_path, **options, labels="labels.csv")
    assert level == "frame"
    for row, name in enumerate(IDS):
        for kind in ("rgb", "audio"):
            got, wanted = dequantise(videos[name].frames[kind]), forms["frames"][kind][row]
            np.testing.assert_allclose(got, wanted, atol=QUANTUM * 0.5001)


@pytest.mark.parametrize("modality", ["rgb", "audio"])
def test_one_modality_is_enough_and_fixed_length_clips_need_no_lengths(forms, tmp_path, modality):
    clips = np.random.default_rng(0).uniform(-1, 1, (5, 4, 3)).astype(np.float16)
    np.save(tmp_path / "clips.npy", clips)
    _, videos = converted(tmp_path, **{modality: "clips.npy"}, ids="ids.txt")
    assert list(videos["c"].frames) == [modality]
    assert videos["c"].frames[modality].shape == (4, 3)


def test_uint8_frames_are_taken_as_they_are(forms, tmp_path, capsys):
    clips = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    np.save(tmp_path / "clips.npy", clips)
    _, videos = converted(tmp_path, rgb="clips.npy", ids="ids.txt")
    np.testing.assert_array_equal(np.stack([videos[i].frames["rgb"] for i in IDS]), clips)
    assert "clipped" not in capsys.readouterr().out


LONG = "video_id,label\n" + "a22,7\na22,0\na22,7\nc,\ne,3\nb1,7\n"


@pytest.mark.parametrize("text", [LABELS, LONG, "\ufeff" + LABELS, LABELS.replace("\n", "\r\n")])
def test_labels_in_lists_or_one_a_row(forms, tmp_path, text, capsys):
    (tmp_path / "labels.csv").write_text(text, newline="", encoding="utf-8")
    _, videos = converted(tmp_path, **VIDEO[0], labels="labels.csv")
    got = {n: None if v.labels is None else v.labels.tolist() for n, v in videos.items()}
    assert got == EXPECTED
    said = capsys.readouterr().out
    assert "5 videos (video level), 1 of them without labels, 8 classes" in said
    assert ("1 ids of the labels have no features" in said) == ("stranger" in text)


def test_names_of_labels_are_numbered_by_themselves_or_by_a_vocabulary(forms, tmp_path):
    (tmp_path / "labels.csv").write_text(NAMED)
    _, videos = converted(tmp_path, **VIDEO[0], labels="labels.csv")
    assert videos["a22"].labels.tolist() == [0, 2]
    out = tmp_path / "out"
    description, vocabulary = describe(out, find_shards(out))
    assert (description.classes, vocabulary.names) == (3, ["Ball", "Cat", "Tree house"])
    (tmp_path / "words.csv").write_text(
        'Index,Name,Vertical1\n4,Tree house,"Ho, me"\n0,Ball,\n2,Cat,x\n'
    )
    _, videos = converted(tmp_path, **VIDEO[0], labels="labels.csv", vocabulary="words.csv")
    assert videos["a22"].labels.tolist() == [0, 4]
    description, vocabulary = describe(out, find_shards(out))
    assert (description.classes, vocabulary.names[4]) == (5, "Tree house")
    assert vocabulary.verticals == ["", "", "x", "", "Ho, me"]


def test_many_rows_and_chunks_give_the_labels_of_a_dictionary(tmp_path, monkeypatch):
    monkeypatch.setattr("folds.conversion.label_files.ROWS", 7)
    rng = np.random.default_rng(2)
    pairs = [(f"v{rng.integers(40)}", int(rng.integers(9))) for _ in range(150)]
    (tmp_path / "l.csv").write_text("label,id\n" + "".join(f"{c},{v}\n" for v, c in pairs))
    known = read_labels(tmp_path / "l.csv", Vocabulary([]))
    for name in {video for video, _ in pairs}:
        (row,) = known.rows(np.array([name.encode()]))
        got = known.labels.indices[known.labels.indptr[row] : known.labels.indptr[row + 1]]
        assert got.tolist() == sorted({c for v, c in pairs if v == name})
    assert known.rows(np.array([b"v999", b"a"])).tolist() == [-1, -1]


def test_what_quantisation_costs_is_said_and_the_scale_it_says_mends_it(forms, tmp_path, capsys):
    clips = np.linspace(-8, 8, 5 * 4 * 3).reshape(5, 4, 3).astype(np.float32)
    np.save(tmp_path / "clips.npy", clips)
    converted(tmp_path, rgb="clips.npy", ids="ids.txt")
    said = capsys.readouterr().out
    outside = int((np.abs(clips) > 2).sum())
    assert f"rgb: {outside} values ({outside / clips.size:.2%}) lie outside [-2, 2]" in said
    assert "the largest is 8; --scale 0.25 keeps all" in said
    _, videos = converted(tmp_path, rgb="clips.npy", ids="ids.txt", scale=0.25)
    assert "outside" not in capsys.readouterr().out
    got = dequantise(np.stack([videos[i].frames["rgb"] for i in IDS]))
    np.testing.assert_allclose(got, clips / 4, atol=QUANTUM)
    np.save(tmp_path / "clips.npy", clips / 160)  # as unit vectors are
    converted(tmp_path, rgb="clips.npy", ids="ids.txt")
    assert "no value is beyond 0.05, 3 steps of the 8 bits" in capsys.readouterr().out


def test_decode_reads_it_and_the_same_inputs_give_the_same_bytes(forms, tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((5, 400, 3), np.float32))  # longer than by default
    converted(tmp_path, rgb="clips.npy", ids="ids.txt", labels="labels.csv", shard_videos=2)
    store = decoded(tmp_path / "out", tmp_path / "store")
    assert (len(store.ids), store.dims.features, store.dims.classes) == (5, {"rgb": 3}, 8)
    assert store.dims.max_frames == 400
    first = {p.name: p.read_bytes() for p in (tmp_path / "out/frame").iterdir()}
    converted(tmp_path, rgb="clips.npy", ids="ids.txt", labels="labels.csv", shard_videos=2)
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "out/frame").iterdir()}
    converted(tmp_path, rgb="clips.npy", ids="ids.txt", labels="labels.csv")
    assert len(list((tmp_path / "out/frame").iterdir())) == 1, "nothing of an earlier one is left"


def test_without_labels_the_videos_are_unlabelled(forms, tmp_path):
    _, videos = converted(tmp_path, **VIDEO[0])
    assert all(video.labels is None for video in videos.values())


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_memory_holds_a_video_and_not_all(tmp_path, form):
    frames = np.zeros((40, 250, 256), np.float32)  # 10 MB
    ids = [f"v{number}" for number in range(40)]
    (tmp_path / "ids.txt").write_text("\n".join(ids))
    np.save(tmp_path / "frames.npy", frames)
    np.savez(tmp_path / "frames.npz", **dict(zip(ids, frames, strict=True)))
    options = {"ids": tmp_path / "ids.txt"} if form == "npy" else {}
    tracemalloc.start()
    try:
        convert.main(tmp_path / "out", rgb=tmp_path / f"frames.{form}", **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.3 * frames.nbytes
