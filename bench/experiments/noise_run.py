"""One small run for the noise experiment: generated records, folds, first-level models, a stack.

The first level is bench/experiments/zoo_configs/noise.
"""

from dataclasses import replace
from pathlib import Path

from bench.experiments.jobs import run_verb
from bench.experiments.stack import boost, write_rows
from first_level.config import ModelConfig, read
from first_level.job import train_fold
from stacking.config import Stacking
from stacking.table import out_of_fold
from stacking.writer import RowWriter
from yt8m.base.config import read_toml, write_snapshot
from yt8m.base.paths import CONFIG, PREDICTIONS, STACKING, Artifacts
from yt8m.data.origins import Origin, without
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.training.settings import Noise

ROOT = Path(__file__).parents[2]
MODELS = {
    path.stem: path
    for path in sorted((Path(__file__).parent / "zoo_configs" / "noise").glob("*.toml"))
}
STACK = ROOT / "stacking" / "configs" / "demo.toml"
HOLDOUT_SHARE = 0.4  # many videos to score on: they cost nothing but their prediction


def generate(
    files: Artifacts, precision: float, recall: float, videos: int, classes: int, seed: int
) -> None:
    """Writes records, their store and folds.

    The videos of a seed are the same at any precision and recall of the labels.
    """
    noise = ["--annotator", precision, recall]
    sizes = ["--videos", videos, "--classes", classes, "--rgb", 128, "--audio", 32]
    files.run.mkdir(parents=True, exist_ok=True)
    for module, arguments in (
        ("yt8m.records.synthetic", [files.records, *sizes, *noise, "--seed", seed]),
        ("folds.decode", [files.records, files.store, "--jobs", 1]),
        ("folds.assign", [files.store, files.folds, "--holdout", HOLDOUT_SHARE]),
    ):
        run_verb(module, arguments, files.run, files.run.name)


def train_stack(files: Artifacts, seed: int) -> None:
    """Trains the first-level models on five folds and the stack; writes its soft labels."""
    for name in MODELS:
        config = files.model(name) / CONFIG
        write_snapshot(config, model_of(name, seed))
        for fold in range(NUM_FOLDS):
            train_fold(config, files.store, files.folds, files.model_fold(name, fold), fold)
    settings, out, data = read_toml(STACK, Stacking), files.stacking, Store(files.store)
    splits = Splits.read(files.folds, data.ids)
    write_rows(out, files, list(MODELS), RowWriter(data, splits, settings))
    for fold in range(NUM_FOLDS):
        origin = Origin(STACKING, fold, without(fold, splits, data.ids))
        found = replace(boost(out, fold, settings), origin=origin)
        found.write(files.stack_fold(fold) / PREDICTIONS)
    out_of_fold(out, data.ids, splits, out).write(files.soft_labels)


def model_of(name: str, seed: int, noise: Noise | None = None) -> ModelConfig:
    """A model of the first level with another seed and a remedy."""
    model = read(MODELS[name]).as_model()
    changes = {"seed": seed, "noise": noise or Noise()}
    return model.model_copy(update={"training": model.training.model_copy(update=changes)})
