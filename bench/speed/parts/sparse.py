"""Sparse top-K predictions against dense float16 scores: bytes on disk, and GAP@20 lost."""

from pathlib import Path

import numpy as np

from bench.speed import generated
from bench.speed.measure import Result
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.training import metrics

CLASSES, KEPT = 3862, 40


def figures(toy: bool, folder: Path) -> list[Result]:
    """Sparse predictions with K as models keep it; dense scores of all classes as float16."""
    rng = np.random.default_rng(0)
    classes = 200 if toy else CLASSES
    store, _, truth = generated.world(200 if toy else 8000, classes, rng)
    logits = generated.scores(truth, rng)
    np.save(folder / "dense.npy", sigmoid(logits).astype(np.float16))
    generated.sparse(store.ids, logits, KEPT).write(folder / "sparse.safetensors")
    dense, kept = np.load(folder / "dense.npy"), Predictions.read(folder / "sparse.safetensors")
    best = np.argsort(-logits, axis=1, kind="stable")[:, :20]
    exact = metrics.gap(best, np.take_along_axis(logits, best, 1), store.labels)
    of_sparse = metrics.gap(kept.classes, kept.logits.astype(np.float32), store.labels)
    sizes = [(folder / name).stat().st_size for name in ("dense.npy", "sparse.safetensors")]
    best = np.argsort(-dense.astype(np.float32), axis=1, kind="stable")[:, :20]
    of_dense = metrics.gap(best, np.take_along_axis(dense, best, 1), store.labels)
    loss, other = abs(exact - of_sparse), abs(exact - of_dense)
    note = f"float16 scores of all classes lose {other:.1e}"
    return [
        Result("bytes of dense scores / of sparse predictions", sizes[0] / sizes[1], "x", 40),
        Result("GAP@20 lost to float32", loss, "", 1e-4, most=True, note=note),
    ]
