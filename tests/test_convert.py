"""Other people's features to records: what goes in is what every reader gets."""

import sys
import tracemalloc

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from folds import decode
from yt8m import convert
from yt8m.cli import InputError
from yt8m.description import describe, find_shards
from yt8m.label_files import read_labels
from yt8m.records import stream
from yt8m.store import Store
from yt8m.videos import QUANTUM, dequantise
from yt8m.vocabulary import Vocabulary

LENGTHS = np.array([3, 1, 4, 2, 5])
IDS = ["b1", "a22", "c", "dd", "e"]
LABELS = "id,labels\na22,7 0\nc,\ne,3\nb1,7\nstranger,2\n"
EXPECTED = {"b1": [7], "a22": [0, 7], "c": [], "dd": None, "e": [3]}


@pytest.fixture
def inputs(tmp_path):
    """The same videos in every form; returns their features by name."""
    rng = np.random.default_rng(5)
    means = {"rgb": rng.normal(size=(5, 6)), "audio": rng.normal(size=(5, 3))}
    means = {name: values.astype(np.float32) for name, values in means.items()}
    total = int(LENGTHS.sum())
    frames = {n: rng.uniform(-1.9, 1.9, (total, v.shape[1])) for n, v in means.items()}
    frames = {name: values.astype(np.float32) for name, values in frames.items()}
    split = {n: np.split(v, np.cumsum(LENGTHS)[:-1]) for n, v in frames.items()}
    for name in means:
        np.save(tmp_path / f"{name}.npy", means[name])
        np.save(tmp_path / f"{name}_frames.npy", frames[name])
        np.savez(tmp_path / f"{name}.npz", **dict(zip(IDS, split[name], strict=True)))
        np.savez(tmp_path / f"{name}_means.npz", **dict(zip(IDS, means[name], strict=True)))
    (tmp_path / "ids.txt").write_text("\n".join(IDS) + "\n")
    np.save(tmp_path / "ids.npy", np.array(IDS))
    np.save(tmp_path / "lengths.npy", LENGTHS)
    (tmp_path / "lengths.txt").write_text("".join(f"{n}\n" for n in LENGTHS))
    lists = {n: list(v) for n, v in means.items()}
    _parquet(tmp_path / "means.parquet", id=IDS, **lists)
    _parquet(tmp_path / "frames.parquet", id=IDS, **{n: _nested(v) for n, v in split.items()})
    (tmp_path / "labels.csv").write_text(LABELS)
    return {"means": means, "frames": split}


def _parquet(path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def _nested(rows):
    return [[list(frame) for frame in row.tolist()] for row in rows]


def _convert(folder, out="out", **options):
    """Paths are names in `folder`."""
    paths = ("rgb", "audio", "ids", "lengths", "table", "labels", "vocabulary")
    options = {k: folder / v if k in paths and v else v for k, v in options.items()}
    convert.main(folder / out, **options)
    return _read(folder / out)


def _read(out):
    shards = find_shards(out)
    ((kind, paths),) = shards.items()
    return kind, {v.id.decode(): v for v in stream(paths, describe(out, shards)[0])}


BOTH = {"rgb": "rgb.npy", "audio": "audio.npy"}
VIDEO = [
    {**BOTH, "ids": "ids.txt"},
    {**BOTH, "ids": "ids.npy"},
    {"rgb": "rgb_means.npz", "audio": "audio_means.npz"},
    {"table": "means.parquet"},
]
FRAMES = {"rgb": "rgb_frames.npy", "audio": "audio_frames.npy", "ids": "ids.txt"}
FRAME = [
    {**FRAMES, "lengths": "lengths.npy"},
    {**FRAMES, "lengths": "lengths.txt"},
    {"rgb": "rgb.npz", "audio": "audio.npz"},
    {"table": "frames.parquet"},
]


@pytest.mark.parametrize("options", VIDEO)
def test_video_level_features_of_every_form_are_kept_exactly(inputs, tmp_path, options):
    kind, videos = _convert(tmp_path, **options, labels="labels.csv", shard_videos=2)
    assert kind == "video"
    assert list(videos) == IDS, "the order of the features"
    assert len(list((tmp_path / "out/video").iterdir())) == 3
    for row, name in enumerate(IDS):
        np.testing.assert_array_equal(videos[name].rgb, inputs["means"]["rgb"][row])
        np.testing.assert_array_equal(videos[name].audio, inputs["means"]["audio"][row])


@pytest.mark.parametrize("options", FRAME)
def test_frame_level_features_of_every_form_are_kept_to_half_a_step(inputs, tmp_path, options):
    kind, videos = _convert(tmp_path, **options, labels="labels.csv")
    assert kind == "frame"
    for row, name in enumerate(IDS):
        for got, wanted in (
            (videos[name].rgb_frames, inputs["frames"]["rgb"][row]),
            (videos[name].audio_frames, inputs["frames"]["audio"][row]),
        ):
            np.testing.assert_allclose(dequantise(got), wanted, atol=QUANTUM * 0.5001)


@pytest.mark.parametrize("modality", ["rgb", "audio"])
def test_one_modality_is_enough_and_fixed_length_clips_need_no_lengths(inputs, tmp_path, modality):
    clips = np.random.default_rng(0).uniform(-1, 1, (5, 4, 3)).astype(np.float16)
    np.save(tmp_path / "clips.npy", clips)
    _, videos = _convert(tmp_path, **{modality: "clips.npy"}, ids="ids.txt")
    frames = {"rgb": videos["c"].rgb_frames, "audio": videos["c"].audio_frames}
    assert frames.pop(modality).shape == (4, 3)
    assert list(frames.values()) == [None]


def test_uint8_frames_are_taken_as_they_are(inputs, tmp_path, capsys):
    clips = np.random.default_rng(0).integers(0, 256, (5, 4, 3), np.uint8)
    np.save(tmp_path / "clips.npy", clips)
    _, videos = _convert(tmp_path, rgb="clips.npy", ids="ids.txt")
    np.testing.assert_array_equal(np.stack([videos[i].rgb_frames for i in IDS]), clips)
    assert "clipped" not in capsys.readouterr().out


LONG = "video_id,label\n" + "a22,7\na22,0\na22,7\nc,\ne,3\nb1,7\n"
NAMED = "id,label\n" + "a22,Tree house\na22,Ball\nc,\ne,Cat\nb1,Tree house\n"


@pytest.mark.parametrize("text", [LABELS, LONG, "\ufeff" + LABELS, LABELS.replace("\n", "\r\n")])
def test_labels_in_lists_or_one_a_row(inputs, tmp_path, text, capsys):
    (tmp_path / "labels.csv").write_text(text, newline="", encoding="utf-8")
    _, videos = _convert(tmp_path, **VIDEO[0], labels="labels.csv")
    got = {n: None if v.labels is None else v.labels.tolist() for n, v in videos.items()}
    assert got == EXPECTED
    said = capsys.readouterr().out
    assert "5 videos (video level), 1 of them without labels, 8 classes" in said
    assert ("1 ids of the labels have no features" in said) == ("stranger" in text)


def test_names_of_labels_are_numbered_by_themselves_or_by_a_vocabulary(inputs, tmp_path):
    (tmp_path / "labels.csv").write_text(NAMED)
    _, videos = _convert(tmp_path, **VIDEO[0], labels="labels.csv")
    assert videos["a22"].labels.tolist() == [0, 2]
    out = tmp_path / "out"
    description, vocabulary = describe(out, find_shards(out))
    assert (description.classes, vocabulary.names) == (3, ["Ball", "Cat", "Tree house"])
    (tmp_path / "words.csv").write_text(
        'Index,Name,Vertical1\n4,Tree house,"Ho, me"\n0,Ball,\n2,Cat,x\n'
    )
    _, videos = _convert(tmp_path, **VIDEO[0], labels="labels.csv", vocabulary="words.csv")
    assert videos["a22"].labels.tolist() == [0, 4]
    description, vocabulary = describe(out, find_shards(out))
    assert (description.classes, vocabulary.names[4]) == (5, "Tree house")
    assert vocabulary.verticals == ["", "", "x", "", "Ho, me"]


def test_many_rows_and_chunks_give_the_labels_of_a_dictionary(tmp_path, monkeypatch):
    monkeypatch.setattr("yt8m.label_files.ROWS", 7)
    rng = np.random.default_rng(2)
    pairs = [(f"v{rng.integers(40)}", int(rng.integers(9))) for _ in range(150)]
    (tmp_path / "l.csv").write_text("label,id\n" + "".join(f"{c},{v}\n" for v, c in pairs))
    known = read_labels(tmp_path / "l.csv", Vocabulary([]))
    for name in {video for video, _ in pairs}:
        (row,) = known.rows(np.array([name.encode()]))
        got = known.labels.indices[known.labels.indptr[row] : known.labels.indptr[row + 1]]
        assert got.tolist() == sorted({c for v, c in pairs if v == name})
    assert known.rows(np.array([b"v999", b"a"])).tolist() == [-1, -1]


def test_what_quantisation_costs_is_said_and_the_scale_it_says_mends_it(inputs, tmp_path, capsys):
    clips = np.linspace(-8, 8, 5 * 4 * 3).reshape(5, 4, 3).astype(np.float32)
    np.save(tmp_path / "clips.npy", clips)
    _convert(tmp_path, rgb="clips.npy", ids="ids.txt")
    said = capsys.readouterr().out
    outside = int((np.abs(clips) > 2).sum())
    assert f"rgb: {outside} values ({outside / clips.size:.2%}) lie outside [-2, 2]" in said
    assert "the largest is 8; --scale 0.25 keeps all" in said
    _, videos = _convert(tmp_path, rgb="clips.npy", ids="ids.txt", scale=0.25)
    assert "outside" not in capsys.readouterr().out
    got = dequantise(np.stack([videos[i].rgb_frames for i in IDS]))
    np.testing.assert_allclose(got, clips / 4, atol=QUANTUM)
    np.save(tmp_path / "clips.npy", clips / 160)  # as unit vectors are
    _convert(tmp_path, rgb="clips.npy", ids="ids.txt")
    assert "no value is beyond 0.05, 3 steps of the 8 bits" in capsys.readouterr().out


def test_decode_reads_it_and_the_same_inputs_give_the_same_bytes(inputs, tmp_path):
    np.save(tmp_path / "clips.npy", np.zeros((5, 400, 3), np.float32))  # longer than by default
    _convert(tmp_path, rgb="clips.npy", ids="ids.txt", labels="labels.csv", shard_videos=2)
    decode.main(tmp_path / "out", tmp_path / "store", jobs=1)
    store = Store(tmp_path / "store")
    assert (len(store.ids), store.dims.rgb, store.dims.audio, store.dims.classes) == (5, 3, 0, 8)
    assert store.dims.max_frames == 400
    first = {p.name: p.read_bytes() for p in (tmp_path / "out/frame").iterdir()}
    _convert(tmp_path, rgb="clips.npy", ids="ids.txt", labels="labels.csv", shard_videos=2)
    assert first == {p.name: p.read_bytes() for p in (tmp_path / "out/frame").iterdir()}
    _convert(tmp_path, rgb="clips.npy", ids="ids.txt", labels="labels.csv")
    assert len(list((tmp_path / "out/frame").iterdir())) == 1, "nothing of an earlier one is left"


def test_without_labels_the_videos_are_unlabelled(inputs, tmp_path):
    _, videos = _convert(tmp_path, **VIDEO[0])
    assert all(video.labels is None for video in videos.values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give features: --rgb and/or --audio .*, or --table"),
        ({"table": "means.parquet", "rgb": "rgb.npy"}, "give features: --rgb and/or"),
        ({"rgb": "rgb.npy"}, "rgb.npy: give --ids too: a .npy, or a text file"),
        ({"rgb": "rgb.npy", "audio": "audio.npz"}, "all .npy or all .npz is allowed"),
        ({"rgb": "labels.csv"}, "all .npy or all .npz is allowed"),
        ({"rgb": "rgb.npz", "ids": "ids.txt"}, "ids.txt: a .npz has ids and lengths of its own"),
        ({"rgb": "rgb_frames.npy", "ids": "ids.txt"}, "15 rows for 5 ids"),
        ({"rgb": "rgb.npy", "ids": "ids.txt", "lengths": "lengths.npy"}, "5 rows for 15 frames by"),
        ({**FRAMES, "lengths": "short.txt"}, "short.txt: 2 lengths for 5 ids"),
        ({**FRAMES, "lengths": "ids.txt"}, "ids.txt: is no column of int"),
        ({**FRAMES, "lengths": "rgb.npy"}, "rgb.npy: is no column of int .float32"),
        ({"rgb": "one.npy", "ids": "ids.txt"}, r"one.npy \(5,\): \(videos, width\), "),
        ({"rgb": "fake.npy", "ids": "ids.txt"}, "fake.npy: is no .npy or .npz of numbers"),
        ({"rgb": "fake.npz"}, "fake.npz: is no .npy or .npz"),
        ({"rgb": "few.npz", "audio": "audio.npz"}, "4 ids are in one only .one: a22"),
        ({"rgb": "uneven.npz"}, r"video c: rgb has shape \(2, 9\), not \(frames, 6\)"),
        ({"rgb": "uneven.npz", "audio": "uneven2.npz"}, r"rgb and audio differ in frames \[1, 2\]"),
        ({"rgb": "integers.npy", "ids": "ids.txt"}, "rgb is int64; floats are needed, or uint8"),
        ({"rgb": "nan.npy", "ids": "ids.txt"}, "video a22: rgb: a value is not finite or beyond"),
        ({"rgb": "rgb.npy", "ids": "twice.txt"}, "id 'b1' is there 2 times"),
        ({"rgb": "rgb.npy", "ids": "gap.txt"}, "gap.txt: row 1 has an empty id"),
        ({"table": "labels.csv"}, "labels.csv: is no parquet file"),
        ({"table": "means.parquet", "id_column": "key"}, "columns key, and rgb or audio, are need"),
        ({"table": "means.parquet", "rgb_column": "id"}, "column id is string; a list of numbers"),
        ({"table": "mixed.parquet"}, "one column is of frames and one is not"),
        ({"table": "holes.parquet"}, "holes.parquet: row 1 is empty"),
        ({"table": "ragged.parquet"}, "ragged.parquet: row 0 has frames of"),
        ({**VIDEO[0], "labels": "ids.txt"}, "columns id or video_id or VideoId, and labels or"),
        ({**VIDEO[0], "labels": "commas.csv"}, "'a22,7,0' has 3 fields, the header 2; put spaces"),
        ({**VIDEO[0], "labels": "others.csv"}, "none of its ids, such as 'x', is one of the feat"),
        ({**VIDEO[0], "labels": "large.csv"}, "label 65536; 0 to 65535 are allowed"),
        ({**VIDEO[0], "labels": "none.csv"}, "none.csv: has no label at all"),
        ({**VIDEO[0], "labels": "rgb.npy"}, "rgb.npy: is no CSV of UTF-8"),
        (
            {**VIDEO[0], "labels": "named.csv", "vocabulary": "words.csv"},
            "'Tree house' is no name in",
        ),
        (
            {**VIDEO[0], "labels": "labels.csv", "vocabulary": "words.csv"},
            "label 7; 0 to 0 are",
        ),
        ({**VIDEO[0], "scale": 0.0}, "--scale 0.0: above 0 is allowed"),
        ({**VIDEO[0], "out": "foreign"}, "x.tfrecord: is not of a conversion"),
    ],
)
def test_mistakes(inputs, tmp_path, options, message):
    _make_mistakes(tmp_path)
    with pytest.raises(InputError, match=message):
        _convert(tmp_path, **options)
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
    _parquet(folder / "mixed.parquet", id=["a"], rgb=[[1.0]], audio=[[[1.0]]])
    _parquet(folder / "holes.parquet", id=["a", "b"], rgb=[[1.0], None])
    _parquet(folder / "ragged.parquet", id=["a"], rgb=[[[1.0], [1.0, 2.0]]])
    (folder / "commas.csv").write_text("id,labels\nb1,3\na22,7,0\n")
    (folder / "others.csv").write_text("id,labels\nx,3\n")
    (folder / "large.csv").write_text("id,labels\nb1,65536\n")
    (folder / "none.csv").write_text("id,labels\nb1,\n")
    (folder / "named.csv").write_text(NAMED)
    (folder / "words.csv").write_text("Index,Name\n0,Ball\n")
    (folder / "foreign/video").mkdir(parents=True)
    (folder / "foreign/video/x.tfrecord").write_text("")


def test_without_pyarrow_one_line_says_what_to_install(inputs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match="is not installed: pip install pyarrow"):
        _convert(tmp_path, table="means.parquet")
    assert len(_convert(tmp_path, **VIDEO[0])[1]) == 5, "the other inputs do without it"


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
