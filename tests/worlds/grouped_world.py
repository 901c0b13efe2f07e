"""Small data sets whose videos have groups, and what is made of them."""

from pathlib import Path

import numpy as np
from record_bytes import example, sequence

from folds import decode
from yt8m.data.store import Store
from yt8m.records.framing import write_records

WIDTH = 6


def features(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, WIDTH), np.float32)


def write(folder: Path, ids, groups=None, values=None, labels=(0,), frames=False, name="a") -> Path:
    """Records of videos in order; groups: of each, None for none."""
    values = features(len(ids)) if values is None else values
    groups = [None] * len(ids) if groups is None else groups
    folder.mkdir(parents=True, exist_ok=True)
    payloads = []
    for video, group, row in zip(ids, groups, values, strict=True):
        context = {"id": [video.encode()], "labels": None if labels is None else list(labels)}
        context |= {} if group is None else {"group": [group]}
        lists = {"rgb": np.full((2, WIDTH), 9, np.uint8)}
        payloads.append(sequence(lists, **context) if frames else example(mean_rgb=row, **context))
    write_records(folder / f"{name}.tfrecord", payloads)
    (folder / "dataset.toml").write_text("classes = 3\n")
    return folder


def store_of(folder: Path, *args, **options) -> Store:
    """The store of `write`'s records."""
    decode.main(write(folder / "records", *args, **options), folder / "store", jobs=1)
    return Store(folder / "store")


def names(count: int, tag: str = "v") -> list[str]:
    return [f"{tag}{number:03d}" for number in range(count)]
