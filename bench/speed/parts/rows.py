"""Stacking rows from sparse predictions, against a build video by video from dense scores.

The latter follows the published code: for each video it takes the scores of all classes of all
models and the best of each model as candidates, and makes a row of scores for each candidate.
"""

import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

from bench.speed import generated
from bench.speed.measure import Result, in_turns
from stacking.config import Stacking
from stacking.writer import RowWriter
from yt8m.base import cli
from yt8m.data.predictions import sigmoid

CLASSES, KEPT, BEST = 3862, 60, 20
PUBLISHED = 50  # goal: times faster than the published build


def figures(toy: bool, folder: Path) -> list[Result]:
    """Videos a second with 20 and with 100 models, and the memory it takes."""
    found = []
    for models, videos in ((3, 300),) if toy else ((20, 24_000), (100, 6_000)):
        found += of_size(models, videos, folder / str(models), 0.1 if toy else 10)
    return found


def of_size(models: int, videos: int, folder: Path, seconds: float) -> list[Result]:
    rng = np.random.default_rng(0)
    classes = min(CLASSES, 4 * videos)
    folder.mkdir()
    store, splits, truth = generated.world(min(videos, 3000), classes, rng)
    paths, names = generated.write_models(folder, models, store, truth, KEPT, rng)
    few = 20 if videos < 1000 else 200
    dense = np.stack([sigmoid(generated.scores(truth[:few], rng)) for _ in range(models)], axis=1)
    dense = dense.astype(np.float16)  # (videos, models, C)
    store, splits = repeat(store, splits, paths, videos, rng)
    with ProcessPoolExecutor(1) as pool:  # whose peak begins with what is in memory now
        memory = pool.submit(memory_of_build, folder / "own", paths, names, store, splits).result()
    timings = in_turns(
        {
            "ours": lambda: build(folder / "rows", paths, names, store, splits),
            "video by video": lambda: [one_video(scores) for scores in dense],
        },
        seconds,
    )
    here = int((splits.fold == 0).sum() + (splits.fold == -1).sum())
    ours, theirs = here / timings["ours"][0], few / timings["video by video"][0]
    note = f"{ours:,.0f} against {theirs:,.0f} videos/s"
    return [
        Result(f"{models} models / video by video", ours / theirs, "x", PUBLISHED, note=note),
        Result(f"{models} models: memory of the build", memory, "MB", note=f"{here:,} videos"),
    ]


def repeat(store, splits, paths, videos: int, rng):
    """Repeats the videos under new ids until there are enough."""
    times = -(-videos // len(store.ids))
    ids = np.array([b"%08x" % i for i in range(times * len(store.ids))])
    labels = type(store.labels).concatenate([store.labels] * times)
    for path in paths:
        one = generated.Predictions.read(path)
        arrays = (np.tile(array, (times, 1)) for array in (one.classes, one.logits))
        generated.Predictions(ids, *arrays).write(path)
    many = generated.GeneratedStore(ids, labels, store.dims.classes, rng)
    return many, type(splits)(np.tile(splits.fold, times))


def build(folder: Path, paths, names, store, splits) -> None:
    """All rows of fold 0 and of the holdout, as the stage writes them."""
    folder.mkdir()
    RowWriter(store, splits, Stacking()).write_fold(folder, 0, paths, names)
    shutil.rmtree(folder)


def memory_of_build(*arguments) -> float:
    """MB that `build` adds to the memory of this process, which must be new."""
    before = cli.peak_memory_mb()
    build(*arguments)
    return cli.peak_memory_mb() - before


def one_video(scores: np.ndarray) -> np.ndarray:
    """scores float16 (m, C) -> rows (candidates, m + 4)."""
    candidates = set()
    for model in scores:
        candidates.update(np.argsort(-model)[:BEST].tolist())
    rows = []
    for label in sorted(candidates):
        own = scores[:, label].astype(np.float32)
        rows.append([*own.tolist(), own.mean(), own.std(), own.max(), own.min()])
    return np.array(rows, np.float32)
