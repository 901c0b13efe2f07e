"""A learnable data set in the real record format, with noisy labels and hidden clean ones.

    python -m yt8m.records.synthetic OUT
        [--videos 3000] [--classes 60] [--frames] [--segments] [--seed 0]

Writes OUT/video/*.tfrecord, OUT/frame/*.tfrecord (--frames), OUT/segment/*.tfrecord (--segments),
OUT/vocabulary.csv, OUT/clean_labels.safetensors (ids, indptr, indices: the truth; nothing but
evaluation may read it) and, last, OUT/dataset.toml. The same options give the same bytes.
"""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from yt8m.base import cli
from yt8m.base.arrays import write_arrays
from yt8m.base.cli import InputError, log
from yt8m.base.files import writing
from yt8m.base.paths import CLEAN_LABELS, DESCRIPTION_FILE
from yt8m.records.framing import write_records
from yt8m.records.labels import Labels
from yt8m.records.messages import example, sequence
from yt8m.records.values import LOWEST, QUANTUM
from yt8m.records.worlds.scenes import Clips, concatenate, make_appearance, make_clips
from yt8m.records.worlds.topics import World, clean_labels, draw_topics, make_world, noisy_labels

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
SEGMENT_SECONDS = 5
SEGMENTS = 5  # rated ones in a video
SEGMENT_VIDEOS = 5  # every fifth video has them
CHUNK = 128  # videos whose frames are made at a time, as floats


def main(
    out: Path,
    *,
    videos: int = 3000,
    classes: int = 60,
    rgb: int = 1024,
    audio: int = 128,
    frames: bool = False,
    segments: bool = False,
    max_frames: int = 30,
    shards: int = 8,
    annotator: list[float] = (0.79, 0.6),
    noise: float = 1.0,
    seed: int = 0,
) -> None:
    """Writes a synthetic data set into the folder OUT.

    --rgb, --audio: widths; --frames, --segments: those kinds of records too; --max-frames: of the
    longest video; --annotator: precision and recall of the noisy labels; --noise: of features.
    """
    _check(videos, classes, rgb, audio, max_frames, shards, annotator, noise)
    rng = np.random.default_rng([seed, 0])
    world = make_world(classes, rng)
    appearance = make_appearance(world, rgb, audio, rng)
    topics = draw_topics(world, videos, rng)
    clean = clean_labels(world, topics)
    noisy = noisy_labels(world, clean, *annotator, rng)
    ids = make_ids(videos, seed)
    kinds = ["video", *(["frame"] if frames else []), *(["segment"] if segments else [])]
    has = {"rgb": rgb > 0, "audio": audio > 0}
    _remove_old(out, kinds, shards)
    for shard, rows in enumerate(np.array_split(np.arange(videos), shards)):
        shard_rng = np.random.default_rng([seed, 1 + shard])
        pieces = np.split(topics[rows], range(CHUNK, len(rows), CHUNK))
        made = [make_clips(appearance, p, max_frames, noise, shard_rng) for p in pieces]
        shown_as = np.stack([topics[rows], world.vertical[topics[rows]]])
        records = Records(ids[rows], noisy.take(rows), shown_as, concatenate(made), has)
        name = f"synthetic-{shard:04d}-of-{shards:04d}.tfrecord"
        for kind in kinds:
            write_records(out / kind / name, records.of(kind, shard_rng))
    _write_vocabulary(out / "vocabulary.csv", world, noisy, np.random.default_rng([seed, 0, 1]))
    write_arrays(out / CLEAN_LABELS, {"ids": ids, **vars(clean)})
    _write_description(out / DESCRIPTION_FILE, classes)
    size = f"{videos:,} videos ({', '.join(kinds)}), {classes:,} classes"
    log(f"{out}: {size}, {label_noise(clean, noisy)}")


def _write_description(path: Path, classes: int) -> None:
    with writing(path) as temporary:
        temporary.write_text(
            "# Written by yt8m/records/synthetic.py; feature names are YouTube-8M's.\n"
            f'name = "synthetic"\nclasses = {classes}\nvocabulary = "vocabulary.csv"\n'
        )


def label_noise(clean: Labels, noisy: Labels) -> str:
    """How noisy the labels came out."""
    right = clean.rows() * 65536 + clean.indices
    found = noisy.rows() * 65536 + noisy.indices
    both = len(np.intersect1d(right, found))
    return (
        f"{len(right) / len(clean):.2f} clean labels a video; noisy labels: precision "
        f"{both / max(len(found), 1):.3f}, recall {both / len(right):.3f}"
    )


def _check(videos, classes, rgb, audio, max_frames, shards, annotator, noise) -> None:
    rates = " ".join(map(str, annotator))
    fit = len(annotator) == 2 and all(0 < rate <= 1 for rate in annotator)
    wrong = {
        f"--videos {videos}: {shards} (one a shard) to 14,000,000": not shards <= videos <= 14e6,
        f"--classes {classes}: 3 to 65,535": not 3 <= classes <= 65535,
        f"--rgb {rgb}: 0 or more": rgb < 0,
        f"--audio {audio}: 0 or more, and 1 or more without rgb": audio < (rgb < 1),
        f"--max-frames {max_frames}: 1 to 360": not 1 <= max_frames <= 360,
        f"--shards {shards}: 1 to 9,999": not 1 <= shards <= 9999,
        f"--annotator {rates}: a precision and a recall, each above 0 to 1": not fit,
        f"--noise {noise}: 0 or more": not 0 <= noise < 1e6,
    }
    for text, is_wrong in wrong.items():
        if is_wrong:
            raise InputError(f"{text} is allowed")


def _remove_old(out: Path, kinds: list[str], shards: int) -> None:
    """Removes shards of an earlier run with other options: their ids would appear twice."""
    for kind in ("video", "frame", "segment"):
        for old in sorted((out / kind).glob("synthetic-*-of-*.tfrecord")):
            if kind not in kinds or not old.name.endswith(f"-of-{shards:04d}.tfrecord"):
                old.unlink()


def make_ids(videos: int, seed: int) -> np.ndarray:
    """Distinct ids of four characters, as in the real data: S4 (N,)."""
    base = len(ALPHABET)
    # Multiplying by a number prime to 62^4 permutes: no two videos get one id.
    number = (np.arange(videos, dtype=np.int64) * 7_368_787 + seed * 1_000_003 + 12_345) % base**4
    letters = np.frombuffer(ALPHABET.encode(), np.uint8)
    digits = np.stack([number // base**power % base for power in range(4)], axis=1)
    return letters[digits].reshape(-1).view("S4")


class Records:
    """Serialised records of the videos of one shard."""

    def __init__(self, ids, labels: Labels, shown_as, clips: Clips, kinds: dict[str, bool]):
        """shown_as: int64 (2, n, K), the topics and their parents; clips.shown says when. kinds:
        whether records have rgb and audio."""
        self.ids, self.labels, self.shown_as, self.clips = ids, labels, shown_as, clips
        self.ends = np.cumsum(clips.lengths)
        self.frames_of = {kind: getattr(clips, kind) for kind, has in kinds.items() if has}

    def of(self, level: str, rng: np.random.Generator) -> Iterator[bytes]:
        """The records of a folder: "video", "frame" or "segment"."""
        return {"video": self.video, "frame": self.frame}.get(level, lambda: self.segment(rng))()

    def _span(self, row: int) -> slice:
        return slice(int(self.ends[row] - self.clips.lengths[row]), int(self.ends[row]))

    def _context(self, row: int) -> dict:
        labels = self.labels
        classes = labels.indices[labels.indptr[row] : labels.indptr[row + 1]].tolist()
        return {"id": [bytes(self.ids[row])], "labels": classes}

    def video(self):
        """Video-level records: the means of the dequantised frames."""
        for row in range(len(self.ids)):
            features = self._context(row)
            for name, values in self.frames_of.items():
                # The mean of integers is exact, so it is the mean of the dequantised frames.
                mean = values[self._span(row)].mean(axis=0, dtype=np.float64) * QUANTUM + LOWEST
                features[f"mean_{name}"] = mean.astype(np.float32)
            yield example(features)

    def frame(self):
        """Frame-level records."""
        for row in range(len(self.ids)):
            yield self._sequence(row, self._context(row))

    def segment(self, rng: np.random.Generator):
        """Segment-rated records of every fifth video: its segments are rated for one of its
        labels, 1 where at least half of the frames show it."""
        for row in range(0, len(self.ids), SEGMENT_VIDEOS):
            features = self._context(row)
            possible = int(self.clips.lengths[row]) // SEGMENT_SECONDS
            classes = features["labels"]
            if possible and classes:
                rated = int(rng.choice(classes))
                chosen = rng.permutation(possible)[:SEGMENTS]
                is_rated = (self.shown_as[:, row] == rated).any(axis=0)
                seconds = (self.clips.shown[self._span(row)] & is_rated).any(axis=1)
                seconds = seconds[: possible * SEGMENT_SECONDS]
                share = seconds.reshape(possible, SEGMENT_SECONDS).mean(axis=1)[chosen]
                starts = chosen * SEGMENT_SECONDS
                features["segment_start_times"] = starts.tolist()
                features["segment_end_times"] = (starts + SEGMENT_SECONDS).tolist()
                features["segment_labels"] = [rated] * len(chosen)
                features["segment_scores"] = (share >= 0.5).astype(np.float32)
            yield self._sequence(row, features)

    def _sequence(self, row: int, features: dict) -> bytes:
        frames = {name: values[self._span(row)] for name, values in self.frames_of.items()}
        return sequence(features, frames)


def _write_vocabulary(path: Path, world: World, noisy: Labels, rng: np.random.Generator) -> None:
    """As the real one: a header, and rows that are not sorted by Index."""
    counts = noisy.class_counts(world.classes)
    with writing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["Index", "TrainVideoCount", "Name", "Vertical1"])
        for index in rng.permutation(world.classes).tolist():
            vertical = int(world.vertical[index])
            root = index < world.num_verticals
            name = f"Topic {index} (all of vertical {vertical})" if root else f"Topic {index}"
            writer.writerow([index, int(counts[index]), name, f"Vertical {vertical}"])


if __name__ == "__main__":
    cli.run(main)
