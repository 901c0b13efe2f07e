"""Small data sets that are unusual in one way each, and what is to become of them.

A data set of 60 videos, 6 classes, and frames is changed by a function. `refused` names the job
that says so, and the beginning of what it says; without it, everything runs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from yt8m.base.paths import DESCRIPTION_FILE
from yt8m.data.splits import NUM_FOLDS, uniform
from yt8m.records.framing import write_records
from yt8m.records.messages import example, sequence

CLASSES, HOLDOUT = 6, 0.2
WIDTHS = {"rgb": 4, "audio": 3}
Videos = list[dict]  # id, labels, features and frames by kind, segments


@dataclass(frozen=True)
class Case:
    """change: makes videos unusual; classes, more: of dataset.toml; settings: of make; inputs: of
    the frame-level model; training: of all models; refused: (job, text)."""

    change: Callable[[Videos], None] = lambda videos: None
    count: int = 60
    classes: int = CLASSES
    widths: Mapping[str, int] = field(default_factory=lambda: WIDTHS)
    more: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping = field(default_factory=dict)
    training: Mapping = field(default_factory=dict)
    levels: tuple[str, ...] = ("video", "frame")
    goal: str = "all"
    refused: tuple[str, str] | None = None

    def write(self, folder: Path) -> Path:
        """The records in a folder of their own; returns it."""
        videos = make_videos(self.count, min(self.classes, CLASSES), self.widths)
        self.change(videos)
        for level in self.levels:
            write_records(folder / level / "a.tfrecord", map(RECORDS[level], videos))
        text = f"classes = {self.classes}\n{self.more}"
        (folder / DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        return folder


def make_videos(count: int, classes: int, widths: Mapping[str, int]) -> Videos:
    """Videos with one to three labels and one to six frames."""
    rng, videos = np.random.default_rng(0), []
    for number in range(count):
        frames = int(rng.integers(1, 7))
        drawn = rng.integers(0, classes, rng.integers(1, 4))
        videos.append(
            {
                "id": b"v%04d" % number,
                "labels": sorted(set(drawn.tolist())),
                "features": {k: rng.standard_normal(w, np.float32) for k, w in widths.items()},
                "frames": {
                    kind: rng.integers(0, 256, (frames, width), np.uint8)
                    for kind, width in widths.items()
                },
                "segments": [],
            }
        )
    return videos


def _context(video: dict) -> dict:
    labels = {} if video["labels"] is None else {"labels": video["labels"]}
    return {"id": [video["id"]]} | labels


def _video_record(video: dict) -> bytes:
    means = {f"mean_{kind}": values for kind, values in video["features"].items()}
    return example(_context(video) | means)


def _frame_record(video: dict) -> bytes:
    context = _context(video)
    if video["segments"]:
        start, end, label, score = zip(*video["segments"], strict=True)
        times = {"segment_start_times": list(start), "segment_end_times": list(end)}
        rated = {"segment_labels": list(label), "segment_scores": np.array(score, np.float32)}
        context |= times | rated
    return sequence(context, video["frames"])


RECORDS = {"video": _video_record, "frame": _frame_record}


def set_all(**values) -> Callable[[Videos], None]:
    """Gives all videos the same."""
    return lambda videos: [video.update(values) for video in videos] and None


def set_one(number: int, **values) -> Callable[[Videos], None]:
    """Changes one video."""
    return lambda videos: videos[number].update(values)


def scale(factor: float) -> Callable[[Videos], None]:
    """Multiplies all video-level features; 0 makes the frames alike, too."""

    def change(videos: Videos) -> None:
        for video in videos:
            video["features"] = {k: x * np.float32(factor) for k, x in video["features"].items()}
            if not factor:
                video["frames"] = {kind: x * 0 for kind, x in video["frames"].items()}

    return change


def copy_first(videos: Videos) -> None:
    """All videos are one, but for their ids."""
    for video in videos[1:]:
        video.update({key: videos[0][key] for key in videos[0].keys() - {"id"}})


def clear_labels(*of: str) -> Callable[[Videos], None]:
    """No labels in some folds ("0" to "4") and in the "holdout"."""

    def change(videos: Videos) -> None:
        ids = np.array([video["id"] for video in videos])
        held, fold = uniform(ids, "holdout") < HOLDOUT, uniform(ids, "fold") * NUM_FOLDS
        for video, aside, number in zip(videos, held, fold.astype(int), strict=True):
            if ("holdout" if aside else str(number)) in of:
                video["labels"] = []

    return change


def crowd(keep: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Videos], None]:
    """Renames the videos so that their hashes put them into some folds.

    keep: (number of the fold, whether in the holdout) of many ids -> which of them to use.
    """

    def change(videos: Videos) -> None:
        ids = np.array([b"w%05d" % number for number in range(4000)])
        fold = (uniform(ids, "fold") * NUM_FOLDS).astype(int)
        chosen = ids[keep(fold, uniform(ids, "holdout") < HOLDOUT)]
        for video, identity in zip(videos, chosen, strict=False):
            video["id"] = bytes(identity)

    return change


def cut_audio(number: int, frames: int | None) -> Callable[[Videos], None]:
    """Leaves a video so many frames of audio; None: no audio at all, not as a mean either."""

    def change(videos: Videos) -> None:
        video = videos[number]
        if frames is None:
            del video["frames"]["audio"], video["features"]["audio"]
        else:
            rgb, audio = (np.resize(part, (5, part.shape[1])) for part in video["frames"].values())
            video["frames"] = {"rgb": rgb, "audio": audio[:frames]}

    return change


def add_frames(frames: int) -> Callable[[Videos], None]:
    """Gives the first video so many frames."""

    def change(videos: Videos) -> None:
        video = videos[0]
        video["frames"] = {
            kind: np.resize(part, (frames, part.shape[1])) for kind, part in video["frames"].items()
        }

    return change
