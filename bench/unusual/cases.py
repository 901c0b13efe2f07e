"""The unusual data sets by name."""

import numpy as np

from bench.unusual.data import (
    Case,
    add_frames,
    clear_labels,
    copy_first,
    crowd,
    cut_audio,
    scale,
    set_all,
    set_one,
)

DECODE, ASSIGN, FIRST = "folds/decode", "folds/assign", "first_level/linear/fold0"
EVERY_FOLD_BUT = ("0", "1", "3", "4", "holdout")


def rate(start: int, end: int, label: int = 1, score: float = 1.0):
    """Every video has this rated segment."""
    return set_all(segments=[(start, end, label, score)])


def one_a_fold(fold: np.ndarray, held: np.ndarray) -> np.ndarray:
    """The first video of each fold."""
    return np.concatenate([np.flatnonzero((fold == k) & ~held)[:1] for k in range(5)])


def refuse(job: str, text: str, change=lambda videos: None, **more) -> Case:
    return Case(change, refused=(job, text), **more)


CASES = {
    # What is in it.
    "usual": Case(),
    "all videos alike": Case(copy_first),
    "zeros": Case(scale(0)),
    "huge": Case(scale(15_000)),
    "huge, not normalised": Case(scale(15_000), inputs={"normalise": "none"}),
    "huge, whitened": Case(scale(15_000), inputs={"normalise": "whiten"}),
    "zeros, whitened": Case(scale(0), inputs={"normalise": "whiten"}),
    "zeros, standardised": Case(scale(0), inputs={"normalise": "standard"}),
    "tiny": Case(scale(1e-7)),
    "beyond float16": refuse(DECODE, "not finite or beyond 65504", scale(1e6)),
    "not a number": refuse(DECODE, "rgb has a value that is not finite", scale(np.nan)),
    "width 1": Case(widths={"rgb": 1, "audio": 1}),
    "one kind": Case(widths={"rgb": 4}),
    "only frames": Case(levels=("frame",)),
    # How many.
    "no videos": refuse(DECODE, "is empty; download", count=0),
    "one video": refuse(ASSIGN, "fold 0 has no videos", count=1),
    "fewer than folds": refuse(ASSIGN, "fold 0 has no videos", count=4),
    "a video in each fold": Case(crowd(one_a_fold), count=5, settings={"HOLDOUT": "0"}),
    "twenty videos": Case(count=20),
    "holdout 0": Case(settings={"HOLDOUT": "0"}),
    "holdout 0.99": refuse(ASSIGN, "fold 0 has no videos", settings={"HOLDOUT": "0.99"}),
    "holdout of none": refuse(ASSIGN, "none of 60 videos", settings={"HOLDOUT": "0.0001"}),
    "one fold by the hash": refuse(ASSIGN, "fold 0 has no v", crowd(lambda f, h: (f == 1) & ~h)),
    "holdout by the hash": refuse(ASSIGN, "fold 0 has no videos", crowd(lambda f, h: h)),
    "empty fold by the hash": refuse(ASSIGN, "fold 1 has no videos", crowd(lambda f, h: f != 1)),
    # Labels.
    "fold without positives": Case(clear_labels("2")),
    "holdout without positives": Case(clear_labels("holdout")),
    "positives in one fold": Case(clear_labels(*EVERY_FOLD_BUT)),
    "no positives": refuse(ASSIGN, "no training video has a label", set_all(labels=[])),
    "no labels field": refuse(ASSIGN, "fold 0 has no videos: 0 of 60", set_all(labels=None)),
    "one without labels field": Case(set_one(3, labels=None)),
    "every label": Case(set_all(labels=list(range(6)))),
    "one class, always": Case(classes=1),
    "one class": Case(
        lambda videos: [v.update(labels=[]) for v in videos[::2]] and None, classes=1
    ),
    "two classes": Case(classes=2),
    "classes that nobody has": Case(classes=40),
    "far more classes": Case(classes=2_000),
    "label -1": refuse(DECODE, "label -1 is out of range; 0 to 5 are", set_one(4, labels=[-1])),
    "label beyond": refuse(DECODE, "label 6 is out of range; 0 to 5 are", set_one(4, labels=[6])),
    "huge label": refuse(DECODE, "label 1099511627776 is out of", set_one(4, labels=[1 << 40])),
    # Ids.
    "id twice": refuse(DECODE, "id v0009 appears twice", set_one(5, id=b"v0009")),
    "id without letters": refuse(DECODE, "has no id", set_one(5, id=b"")),
    "id of spaces and quotes": Case(set_one(5, id=b' a "b" c')),
    # Frames.
    "one frame each": Case(lambda videos: [cut_all(v, 1) for v in videos] and None),
    "no frames of one": refuse(DECODE, "without values", lambda v: cut_all(v[3], 0)),
    "most frames": Case(add_frames(360)),
    "too many frames": refuse(DECODE, "has 361 frames; 1 to 360 are allowed", add_frames(361)),
    "more frames are allowed": Case(add_frames(500), more="max_frames = 1000\n"),
    "kinds differ in frames": refuse(DECODE, r"rgb and audio differ in frames", cut_audio(7, 3)),
    "kinds cut to the shortest": Case(cut_audio(7, 3), more="cut_frames = true\n"),
    "one lacks audio": refuse(DECODE, "lacks audio; `optional = true`", cut_audio(7, None)),
    "the first lacks audio": refuse(DECODE, "has audio, which the first", cut_audio(0, None)),
    "audio is filled in": Case(cut_audio(7, None), more="[features.audio]\noptional = true\n"),
    "audio of all but the first": Case(
        cut_audio(0, None), more="[features.audio]\noptional = true\n"
    ),
    # Rated segments.
    "segments": Case(rate(0, 5), goal="segments"),
    "segment cut by the end": Case(rate(0, 500), goal="segments"),
    "segment after the end": refuse(
        "folds/fit", "no rated segments", rate(100, 105), goal="segments"
    ),
    "segment backwards": refuse(DECODE, "a segment goes from 3 to 1 s", rate(3, 1)),
    "empty segment": refuse(DECODE, "a segment goes from 2 to 2 s", rate(2, 2)),
    "segment before 0": refuse(DECODE, "a segment goes from -5 to 0 s", rate(-5, 0)),
    "segment far away": refuse(DECODE, "a segment goes from 8589934592 to", rate(1 << 33, 1 << 34)),
    "segment of no class": refuse(DECODE, "label -1 is out of range; 0 to 5", rate(0, 5, -1)),
    "segment's score": refuse(DECODE, "has the score nan", rate(0, 5, 1, np.nan)),
    # Settings that data of this size cannot have, or that go wrong.
    "patience": Case(count=25, training={"patience": 1, "epochs": 2}),
    "patience without labels": refuse(
        FIRST,
        "no videos with labels for the inner",
        clear_labels("1", "2", "3", "4"),
        training={"patience": 1},
    ),
    "batches of two": Case(count=41, training={"batch_size": 2, "epochs": 1}),
    "huge lr": refuse(FIRST, "predictions are not numbers; lower lr", training={"lr": 1e30}),
    "more centroids than frames": refuse(
        "folds/fit", "give fewer", inputs={"sampling": "centroids"}
    ),
}


def cut_all(video: dict, frames: int) -> None:
    """Leaves a video its first frames."""
    video["frames"] = {kind: part[:frames] for kind, part in video["frames"].items()}
