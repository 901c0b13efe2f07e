"""Synthetic records: the real format, the promised noise, determinism, and that one can learn."""

import csv

import numpy as np
import pytest
from record_bytes import videos_of

from yt8m.base.arrays import open_arrays
from yt8m.base.cli import InputError
from yt8m.records import synthetic
from yt8m.records.description import describe, find_shards
from yt8m.records.labels import Labels
from yt8m.records.values import dequantise, quantise
from yt8m.records.video import video_level
from yt8m.records.worlds.scenes import make_appearance, make_clips
from yt8m.records.worlds.topics import clean_labels, draw_topics, make_world, noisy_labels

SMALL = {"videos": 90, "classes": 20, "rgb": 8, "audio": 4, "shards": 3, "max_frames": 20}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.main(folder, **SMALL, frames=True, segments=True)
    return folder


def test_all_kinds_hold_the_same_videos(written):
    video, frame = (videos_of(written / level)[level] for level in ("video", "frame"))
    assert [v.id for v in video] == [v.id for v in frame]
    assert len({v.id for v in video}) == 90
    for a, b in zip(video, frame, strict=True):
        assert a.labels.tolist() == b.labels.tolist()
        assert 1 <= b.num_frames <= 20
        for mean, of_frames in zip(a.features.values(), video_level(b).values(), strict=True):
            np.testing.assert_allclose(mean, of_frames, atol=1e-5)
    rated = videos_of(written / "segment")["frame"]
    assert {v.id for v in rated} < {v.id for v in video}
    start, end, label, score = next(v.segments for v in rated if v.segments is not None)
    assert (end - start == 5).all()
    assert len(set(label)) == 1
    assert set(score) <= {0, 1}
    scores = np.concatenate([v.segments[3] for v in rated if v.segments is not None])
    assert 0 < scores.mean() < 1


def test_description_and_vocabulary(written):
    description, vocabulary = describe(written, find_shards(written))
    assert (description.name, description.classes, len(vocabulary)) == ("synthetic", 20, 20)
    with open(written / "vocabulary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    indices = [int(row["Index"]) for row in rows]
    assert sorted(indices) == list(range(20)) != indices  # not sorted, as the real one
    assert set(rows[0]) == {"Index", "TrainVideoCount", "Name", "Vertical1"}


def test_same_seed_same_bytes(written, tmp_path):
    synthetic.main(tmp_path / "again", **SMALL, frames=True, segments=True)
    files = sorted(path for path in written.rglob("*") if path.is_file())
    assert len(files) == 12
    for path in files:
        again = tmp_path / "again" / path.relative_to(written)
        assert again.read_bytes() == path.read_bytes(), path
    synthetic.main(tmp_path / "other", **SMALL, seed=1)
    name = "video/synthetic-0000-of-0003.tfrecord"
    assert (tmp_path / "other" / name).read_bytes() != (written / name).read_bytes()


def test_kinds_do_not_change_each_other(written, tmp_path):
    synthetic.main(tmp_path, **SMALL)
    for path in (written / "video").iterdir():
        assert (tmp_path / "video" / path.name).read_bytes() == path.read_bytes()


def test_shards_of_an_earlier_run_are_removed(tmp_path):
    synthetic.main(tmp_path, **SMALL, frames=True)
    synthetic.main(tmp_path, **{**SMALL, "shards": 2})
    assert not list((tmp_path / "frame").iterdir())
    assert len(videos_of(tmp_path)["video"]) == 90


@pytest.mark.parametrize(("precision", "recall"), [(0.79, 0.6), (0.788, 0.3), (1.0, 1.0), (0.5, 1)])
def test_noise_has_the_precision_and_recall_asked_for(precision, recall):
    rng = np.random.default_rng(0)
    world = make_world(60, rng)
    clean = clean_labels(world, draw_topics(world, 3000, rng))
    noisy = noisy_labels(world, clean, precision, recall, rng)
    right = set((clean.rows() * 65536 + clean.indices).tolist())
    said = (noisy.rows() * 65536 + noisy.indices).tolist()
    assert len(said) == len(set(said))
    both = len(right.intersection(said))
    assert both / len(said) == pytest.approx(precision, abs=0.01)
    assert both / len(right) == pytest.approx(recall, abs=0.01)
    if recall > 0.5:
        assert (noisy.counts() > 0).mean() > 0.99


def test_topics_have_parents_and_zipf_like_frequencies():
    rng = np.random.default_rng(1)
    world = make_world(3862, rng)
    assert world.num_verticals == 25
    topics = draw_topics(world, 20_000, rng)
    assert ((topics >= 0).sum(axis=1) >= 1).all()
    assert all(len(set(row[row >= 0])) == (row >= 0).sum() for row in topics[:500])
    clean = clean_labels(world, topics)
    parents = world.vertical[topics[:, :1]]
    assert clean.contains(parents).all()
    counts = clean.class_counts(3862)
    assert counts[25] > 5 * counts[500:600].mean() > 0
    assert 1.9 < clean.counts().mean() < 3.2


def test_row_norms_vary_as_the_real_ones():
    rng = np.random.default_rng(0)
    world = make_world(60, rng)
    appearance = make_appearance(world, 256, 16, rng)
    clips = make_clips(appearance, draw_topics(world, 400, rng), 12, 1.0, rng)
    ends = np.cumsum(clips.lengths)[:-1]
    means = [q.mean(axis=0) * 4 / 255 + 4 / 512 - 2 for q in np.split(clips.rgb, ends)]
    low, high = np.percentile(np.linalg.norm(means, axis=1), [1, 99])
    assert 3.5 < high / low < 12  # 5.4 in the real data
    assert clips.shown.any(axis=1).mean() > 0.8


def test_quantise_is_the_dequantisation_in_reverse():
    q = np.arange(256, dtype=np.uint8)
    np.testing.assert_allclose(dequantise(q), np.arange(256) * 4 / 255 + 4 / 512 - 2, atol=1e-6)
    np.testing.assert_array_equal(quantise(dequantise(q)), q)
    np.testing.assert_array_equal(quantise(np.array([-9.0, 9.0], np.float32)), [0, 255])


def test_labels_can_be_learned_and_the_noise_cannot(tmp_path):
    """Nearest neighbours of held-out videos rank true labels above what their own labels say."""
    options = {"videos": 1500, "classes": 30, "rgb": 48, "audio": 16, "shards": 2}
    synthetic.main(tmp_path, **options, max_frames=10)
    videos = videos_of(tmp_path)["video"]
    truth = open_arrays(tmp_path / "clean_labels.safetensors")
    assert truth["ids"].tolist() == [v.id for v in videos]
    clean = dense(Labels(truth["indptr"], truth["indices"]), 30)
    noisy = dense(Labels.from_lists([v.labels for v in videos]), 30)
    features = np.stack([np.concatenate(list(v.features.values())) for v in videos])
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    similar = features @ features.T
    np.fill_diagonal(similar, -1)
    near = np.argsort(-similar, axis=1)[:, :15]
    scores = noisy[near].mean(axis=1)
    true, wrong = scores[(clean == 1) & (noisy == 0)], scores[(clean == 0) & (noisy == 1)]
    assert true.mean() > 2 * wrong.mean()  # missing labels look more true than wrong ones
    order = np.argsort(-scores.ravel())[: int(noisy.sum() / 2)]
    assert clean.ravel()[order].mean() > 0.79


def dense(labels: Labels, classes: int) -> np.ndarray:
    out = np.zeros((len(labels), classes))
    out[labels.rows(), labels.indices] = 1
    return out


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"videos": 2}, "--videos 2: 3 .one a shard. to"),
        ({"classes": 2}, "--classes 2: 3 to 65,535"),
        ({"rgb": 0, "audio": 0}, "--audio 0: 0 or more, and 1 or more without rgb"),
        ({"rgb": -1}, "--rgb -1: 0 or more"),
        ({"max_frames": 361}, "--max-frames 361: 1 to 360"),
        ({"shards": 0}, "--shards 0: 1 to 9,999"),
        ({"annotator": (0, 1)}, "--annotator 0 1: a precision and a recall, each above 0 to 1"),
        ({"annotator": (0.5, 1.1)}, "--annotator 0.5 1.1: a precision and a recall, each above 0"),
        ({"annotator": (0.5,)}, "--annotator 0.5: a precision and a recall, each above 0 to 1"),
        ({"noise": -1}, "--noise -1: 0 or more"),
    ],
)
def test_wrong_options(tmp_path, wrong, text):
    with pytest.raises(InputError, match=text):
        synthetic.main(tmp_path / "out", **{**SMALL, **wrong})
    assert not (tmp_path / "out").exists()
