"""Features by kind, as tests write them: rgb and audio, or four kinds."""

from pathlib import Path

import numpy as np
import torch

from yt8m.data.store import Dims

WIDTHS = {"rgb": 16, "audio": 8, "title": 384, "transcript": 256}
VIDEOS, CLASSES = 240, 20
FOUR = {"rgb": 6, "audio": 3, "title": 5, "transcript": 4}


def named(rgb, audio) -> dict:
    """Features of YouTube-8M's two kinds."""
    return {"rgb": rgb, "audio": audio}


def random_features(dims: Dims, *shape: int, generator=None) -> dict[str, torch.Tensor]:
    """(*shape, W) of each kind."""
    return {
        name: torch.randn(*shape, width, generator=generator)
        for name, width in dims.features.items()
    }


def as_float(features: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(values, np.float32) for name, values in features.items()}


def as_tensors(features: dict) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(values)) for name, values in features.items()}


def write_table(folder: Path) -> None:
    """videos.parquet, whose titles tell a video's two classes, and labels.csv."""
    import pyarrow
    import pyarrow.parquet

    rng = np.random.default_rng(0)
    classes = [rng.choice(CLASSES, 2, replace=False) for _ in range(VIDEOS)]
    looks = {kind: rng.normal(0, 1, (CLASSES, width)) for kind, width in WIDTHS.items()}
    columns = {"id": [f"v{i:03d}" for i in range(VIDEOS)]}
    for kind, width in WIDTHS.items():
        columns[kind] = []
        for number, own in enumerate(classes):
            seconds = 2 + number % 5
            shape = (width,) if kind in ("title", "transcript") else (seconds, width)
            clear = 0.1 if kind == "title" else 1.0
            values = looks[kind][own].mean(0) + rng.normal(0, clear, shape)
            absent = kind == "transcript" and number % 2
            columns[kind].append(None if absent else values.clip(-2, 2).tolist())
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "videos.parquet")
    lines = [f"v{i:03d},{' '.join(map(str, own))}" for i, own in enumerate(classes)]
    (folder / "labels.csv").write_text("\n".join(["id,labels", *lines]) + "\n")
