"""Decoding records, CRCs checked, against the tfrecord package's loader, which checks none."""

from pathlib import Path

import numpy as np
from tfrecord.reader import tfrecord_loader

from bench.speed.measure import Result, in_turns, ratio
from yt8m.records.description import Description
from yt8m.records.framing import read_records, write_records
from yt8m.records.messages import example, sequence
from yt8m.records.reader import stream

CLASSES, RGB, AUDIO = 3862, 1024, 128
NAMES = Description(classes=CLASSES)


def figures(toy: bool, folder: Path) -> list[Result]:
    """Video-level and frame-level shards of YouTube-8M's sizes, on one core, in the page cache."""
    rng = np.random.default_rng(0)
    video, frame = folder / "video.tfrecord", folder / "frame.tfrecord"
    write_records(video, (video_record(rng, i) for i in range(300 if toy else 20_000)))
    write_records(frame, (frame_record(rng, i) for i in range(3 if toy else 400)))
    known = {"id": "byte", "labels": "int"}
    means = {**known, "mean_rgb": "float", "mean_audio": "float"}
    frames = {"rgb": "byte", "audio": "byte"}
    seconds = 0.1 if toy else 20
    of_video = in_turns(
        {
            "ours": lambda: exhaust(stream([video], NAMES)),
            "tfrecord": lambda: exhaust(tfrecord_loader(str(video), None, means)),
            "reading and CRCs": lambda: exhaust(read_records(video)),
        },
        seconds,
    )
    of_frames = in_turns(
        {
            "ours": lambda: exhaust(stream([frame], NAMES)),
            "tfrecord": lambda: exhaust(tfrecord_loader(str(frame), None, known, None, frames)),
            "reading and CRCs": lambda: exhaust(read_records(frame)),
        },
        seconds,
    )
    bare = of_frames["reading and CRCs"][0] / of_frames["ours"][0]
    return [
        ratio("frame level / tfrecord package", of_frames, "ours", "tfrecord", 5),
        Result("frame level: share of reading and CRCs alone", 100 * bare, "%", 50),
        ratio("video level / tfrecord package", of_video, "ours", "tfrecord", 2),
    ]


def exhaust(items) -> None:
    """Takes all of them."""
    for _ in items:
        pass


def context(rng, number: int) -> dict:
    """Id and labels: three or so, the first classes being the most frequent."""
    labels = (CLASSES * rng.random(1 + rng.poisson(2)) ** 3).astype(int)
    return {"id": [b"%04x" % number], "labels": sorted(set(labels.tolist()))}


def video_record(rng, number: int) -> bytes:
    features = context(rng, number)
    features["mean_rgb"] = rng.standard_normal(RGB, np.float32)
    features["mean_audio"] = rng.standard_normal(AUDIO, np.float32)
    return example(features)


def frame_record(rng, number: int) -> bytes:
    seconds = int(rng.integers(120, 301))
    widths = {"rgb": RGB, "audio": AUDIO}
    frames = {name: [rng.bytes(w) for _ in range(seconds)] for name, w in widths.items()}
    return sequence(context(rng, number), frames)
