"""Generated first-level predictions that a stack can learn from: a hidden truth and noise.

N videos, C classes, m models.
"""

from pathlib import Path

import numpy as np
import torch

from yt8m.data.predictions import Predictions, sigmoid, top_k
from yt8m.data.splits import Splits
from yt8m.data.store import Dims
from yt8m.records.labels import Labels

RARE = 7.0  # logit of a class's mean below even odds


class GeneratedStore:
    """The parts of a store that stacking uses, in memory."""

    has_frames = False

    def __init__(self, ids: np.ndarray, labels: Labels, classes: int, rng):
        self.ids, self.labels = ids, labels
        self.dims = Dims({"rgb": 8, "audio": 8}, classes, 0)
        self.features = rng.standard_normal((len(ids), 8)).astype(np.float16)

    def video(self, rows):
        return {name: self.features[rows] for name in self.dims.features}


def world(videos: int, classes: int, rng) -> tuple[GeneratedStore, Splits, np.ndarray]:
    """A store, its folds, and the truth's logits float32 (N, C), a few of them likely."""
    truth = rng.standard_normal((videos, classes), np.float32) * 1.5 - RARE
    place = np.arange(videos)[:, None]
    truth[place, rng.integers(0, classes, (videos, 6))] += rng.uniform(2, 10, (videos, 6))
    drawn = rng.random(truth.shape, np.float32) < sigmoid(truth)
    rows, labels = np.nonzero(drawn)
    indptr = np.searchsorted(rows, np.arange(videos + 1)).astype(np.int64)
    ids = np.array([b"%08x" % i for i in range(videos)])
    fold = rng.integers(-1, 5, videos).astype(np.int8)
    store = GeneratedStore(ids, Labels(indptr, labels.astype(np.uint16)), classes, rng)
    return store, Splits(fold), truth


def scores(truth: np.ndarray, rng) -> np.ndarray:
    """Logits of a model of random quality, float32 (N, C)."""
    noise = rng.uniform(0.6, 1.6)
    return truth + noise * rng.standard_normal(truth.shape, np.float32)


def sparse(ids: np.ndarray, logits: np.ndarray, k: int) -> Predictions:
    """The k best classes of dense logits."""
    return Predictions(ids, *top_k(torch.from_numpy(logits), k))


def write_models(folder: Path, models: int, store: GeneratedStore, truth: np.ndarray, k: int, rng):
    """Paths and names of the models' predictions of all videos."""
    names = [f"model{i:03d}" for i in range(models)]
    paths = [folder / f"{name}.safetensors" for name in names]
    for path in paths:
        sparse(store.ids, scores(truth, rng), k).write(path)
    return paths, names
