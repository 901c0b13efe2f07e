"""LightGBM with the stage's settings against its default parameters, on the same rows.

Both stop early on the same inner split; GAP@20 is that of the fold that neither saw.
"""

from pathlib import Path

import numpy as np

from bench.speed import generated
from bench.speed.measure import Figure, in_turns
from stacking import predict, train
from stacking.config import Booster, Stacking, parameters
from stacking.rows import OWN, Rows, write_fold
from yt8m import metrics
from yt8m.files import write_json

SHARED = (
    "objective",
    "metric",
    "seed",
    "num_threads",
    "num_iterations",
    "early_stopping_round",
    "verbosity",
)


def figures(toy: bool, folder: Path) -> list[Figure]:
    """Five folds of generated rows of ten models; the booster that predicts fold 0."""
    settings = Stacking(booster=Booster(max_rounds=20 if toy else 300))
    ours = parameters(settings, threads=1)
    default = {key: ours[key] for key in SHARED}
    store, splits = write_rows(folder, 300 if toy else 6000, 2 if toy else 10, settings)
    parts = train.sequences(folder, 0, settings)
    found = {}

    def trained(name: str, options: dict):
        found[name], _ = train.fit(*parts, options, f"[{name}]", 0.0)

    contestants = {
        "ours": lambda: trained("ours", ours),
        "default": lambda: trained("default", default),
    }
    timings = in_turns(contestants, 0, 1)
    rows, labels = Rows.open(folder / "fold0" / "rows", OWN), store.labels.take(splits.rows(0))
    gaps = {}
    for name, booster in found.items():
        made = predict.predicted(booster, rows, 0, 256, 1)
        gaps[name] = metrics.gap(made.classes, made.logits.astype(np.float32), labels)
    speed = timings["default"][0] / timings["ours"][0]
    lost = gaps["default"] - gaps["ours"]
    note = f"GAP@20 {gaps['ours']:.4f} against {gaps['default']:.4f}"
    return [
        Figure("training / default parameters", speed, "x", 2, note=note, timings=timings),
        Figure("GAP@20 lost to default parameters", lost, "", 5e-4, most=True),
    ]


def write_rows(folder: Path, videos: int, models: int, settings: Stacking):
    """Rows of all folds below `folder`; returns store and splits."""
    rng = np.random.default_rng(0)
    store, splits, truth = generated.world(videos, 100 if videos < 1000 else 1000, rng)
    paths, names = generated.write_models(folder, models, store, truth, 60, rng)
    for fold in range(5):
        target = folder / f"fold{fold}" / "rows"
        target.mkdir(parents=True)
        about = write_fold(target, fold, paths, names, store, splits, settings)
        write_json(target / "rows.json", about)
    return store, splits
