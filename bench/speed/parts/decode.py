"""Decoding records, CRCs checked, against the tfrecord package's loader, which checks none."""

from collections import deque
from pathlib import Path

import numpy as np
from tfrecord.reader import tfrecord_loader

from bench.speed.measure import Result, Timings, in_turns, ratio
from yt8m.records.description import Description
from yt8m.records.framing import read_records, write_records
from yt8m.records.messages import example, sequence
from yt8m.records.reader import stream

CLASSES, WIDTHS = 3862, {"rgb": 1024, "audio": 128}
NAMES = Description(classes=CLASSES)


def figures(toy: bool, folder: Path) -> list[Result]:
    """Video-level and frame-level shards of YouTube-8M's sizes, on one core, in the page cache."""
    rng = np.random.default_rng(0)
    video, frame = folder / "video.tfrecord", folder / "frame.tfrecord"
    write_records(video, (video_record(rng, i) for i in range(300 if toy else 20_000)))
    write_records(frame, (frame_record(rng, i) for i in range(3 if toy else 400)))
    known = {"id": "byte", "labels": "int"}
    means = known | {f"mean_{name}": "float" for name in WIDTHS}
    seconds = 0.1 if toy else 20
    of_video = decoding(video, (means,), seconds)
    of_frames = decoding(frame, (known, None, dict.fromkeys(WIDTHS, "byte")), seconds)
    bare = of_frames["reading and CRCs"][0] / of_frames["ours"][0]
    return [
        ratio("frame level / tfrecord package", of_frames, "ours", "tfrecord", 5),
        Result("frame level: share of reading and CRCs alone", 100 * bare, "%", 50),
        ratio("video level / tfrecord package", of_video, "ours", "tfrecord", 2),
    ]


def decoding(shard: Path, wanted: tuple, seconds: float) -> Timings:
    """Times to take all records of a shard. wanted: what the package's loader is to read."""
    return in_turns(
        {
            "ours": lambda: deque(stream([shard], NAMES), maxlen=0),
            "tfrecord": lambda: deque(tfrecord_loader(str(shard), None, *wanted), maxlen=0),
            "reading and CRCs": lambda: deque(read_records(shard), maxlen=0),
        },
        seconds,
    )


def context(rng, number: int) -> dict:
    """Id and labels: three or so, the first classes being the most frequent."""
    labels = (CLASSES * rng.random(1 + rng.poisson(2)) ** 3).astype(int)
    return {"id": [b"%04x" % number], "labels": sorted(set(labels.tolist()))}


def video_record(rng, number: int) -> bytes:
    features = context(rng, number)
    for name, width in WIDTHS.items():
        features[f"mean_{name}"] = rng.standard_normal(width, np.float32)
    return example(features)


def frame_record(rng, number: int) -> bytes:
    seconds = int(rng.integers(120, 301))
    sizes = {name: (seconds, width) for name, width in WIDTHS.items()}
    frames = {name: rng.integers(0, 256, size, np.uint8) for name, size in sizes.items()}
    return sequence(context(rng, number), frames)
