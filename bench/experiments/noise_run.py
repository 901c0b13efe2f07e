"""One small run for the noise experiment: generated records, folds, first-level models, a stack.

The first level is bench/experiments/zoo_configs/noise. RUN is laid out as the folder of a plan.
"""

from pathlib import Path

from bench.experiments.jobs import run_verb
from bench.experiments.stack import boost, write_rows
from first_level.config import ModelConfig, read
from first_level.job import train_fold
from stacking.config import Stacking
from stacking.table import out_of_fold
from stacking.writer import RowWriter
from yt8m.base.config import read_toml, write_snapshot
from yt8m.base.paths import CONFIG, PREDICTIONS, Artifacts
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
    run: Path, precision: float, recall: float, videos: int, classes: int, seed: int
) -> tuple[Path, Path]:
    """Writes records, their store and folds; returns (store, folds).

    The videos of a seed are the same at any precision and recall of the labels.
    """
    files = Artifacts.of_run(run)
    store, folds = files.store, files.folds
    noise = ["--annotator", precision, recall]
    sizes = ["--videos", videos, "--classes", classes, "--rgb", 128, "--audio", 32]
    run.mkdir(parents=True, exist_ok=True)
    for module, arguments in (
        ("yt8m.records.synthetic", [files.records, *sizes, *noise, "--seed", seed]),
        ("folds.decode", [files.records, store, "--jobs", 1]),
        ("folds.assign", [store, folds, "--holdout", HOLDOUT_SHARE]),
    ):
        run_verb(module, arguments, run, run.name)
    return store, folds


def train_stack(run: Path, store: Path, folds: Path, seed: int) -> None:
    """Trains the first-level models on five folds and the stack; writes its soft labels."""
    files = Artifacts(run, store)
    for name in MODELS:
        config = files.model(name) / CONFIG
        write_snapshot(config, model_of(name, seed))
        for fold in range(NUM_FOLDS):
            train_fold(config, store, folds, files.model_fold(name, fold), fold)
    settings, out, data = read_toml(STACK, Stacking), files.stacking, Store(store)
    splits = Splits.read(folds, data.ids)
    write_rows(out, files, list(MODELS), RowWriter(data, splits, settings))
    for fold in range(NUM_FOLDS):
        boost(out, fold, settings).write(files.stack_fold(fold) / PREDICTIONS)
    out_of_fold(out, data.ids, splits, out).write(files.soft_labels)


def model_of(name: str, seed: int, noise: Noise | None = None) -> ModelConfig:
    """A model of the first level with another seed and a remedy."""
    model = read(MODELS[name]).as_model()
    changes = {"seed": seed, "noise": noise or Noise()}
    return model.model_copy(update={"training": model.training.model_copy(update=changes)})
