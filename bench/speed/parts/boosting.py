"""LightGBM with the stage's settings against its default parameters, on the same rows.

"fast" is for users to whom time matters more than the last thousandths; docs/stacking.md measures
both on real rows. All stop early on the same inner split. GAP@20 is that of a fold that none saw.
"""

from functools import partial
from pathlib import Path

import numpy as np

from bench.speed import generated
from bench.speed.measure import Result, in_turns, ratio
from stacking.config import Booster, Stacking, parameters
from stacking.learners.booster import Trees, fit, sequences
from stacking.learners.learned import Learned
from stacking.table import FOLD_PREFIX, Rows
from stacking.writer import RowWriter
from yt8m.base.files import write_json
from yt8m.base.paths import ROWS_ABOUT
from yt8m.training import metrics

SHARED = (
    "objective",
    "metric",
    "seed",
    "num_threads",
    "num_iterations",
    "early_stopping_round",
    "verbosity",
)
FAST = Booster(
    learning_rate=0.2, num_leaves=31, early_stopping_rounds=10, feature_fraction=0.3, quantised=True
)


def figures(toy: bool, folder: Path) -> list[Result]:
    """Times the booster that predicts fold 0, on five folds of generated rows of ten models."""
    rounds = 20 if toy else 300
    settings = Stacking(booster=Booster(max_rounds=rounds))
    fast = Stacking(booster=FAST.model_copy(update={"max_rounds": rounds}))
    options = {"fast": parameters(fast, threads=1), "stage": parameters(settings, threads=1)}
    options["default"] = {key: options["stage"][key] for key in SHARED}
    options["default"]["early_stopping_round"] = FAST.early_stopping_rounds
    store, splits = write_rows(folder, 300 if toy else 20_000, 2 if toy else 10, settings)
    found = {}

    def trained(name: str) -> None:
        parts = sequences(folder, 0, settings)
        found[name], _ = fit(*parts, options[name], f"[{name}]")

    timings = in_turns({name: partial(trained, name) for name in options}, 0, 1 if toy else 2)
    rows, labels = (
        Rows.open(folder / "fold0" / "rows", FOLD_PREFIX),
        store.labels.take(splits.rows(0)),
    )
    gaps = {}
    for name, booster in found.items():
        made = Learned([Trees(booster)]).predict([(rows, 0)], 256, folder)
        gaps[name] = metrics.gap(made.classes, made.logits.astype(np.float32), labels)
    figures = []
    for name, goal, most in (("fast", 2, 5e-4), ("stage", None, None)):
        note = f"GAP@20 {gaps[name]:.4f} against {gaps['default']:.4f}"
        figures.append(ratio(f"{name} / default parameters", timings, name, "default", goal, note))
        lost = gaps["default"] - gaps[name]
        figures.append(Result(f"{name}: GAP@20 lost to them", lost, "", most, most=True))
    return figures


def write_rows(folder: Path, videos: int, models: int, settings: Stacking):
    """Rows of all folds below `folder`; returns store and splits."""
    rng = np.random.default_rng(0)
    store, splits, truth = generated.world(videos, 100 if videos < 1000 else 1000, rng)
    paths, names = generated.write_models(folder, models, store, truth, 60, rng)
    for fold in range(5):
        target = folder / f"fold{fold}" / "rows"
        target.mkdir(parents=True)
        about = RowWriter(store, splits, settings).write_fold(target, fold, paths, names)
        write_json(target / ROWS_ABOUT, about)
    return store, splits
