"""The stages' own verbs in one process: generated records, folds, first-level models, a stack.

The first level is bench/experiments/zoo_configs/noise; RUN is laid out as the folder of a plan.
"""

from pathlib import Path

from first_level.config import ModelConfig, read
from first_level.train import main as train_model
from folds import assign, decode
from stacking import predict, report, rows, soft_labels, train
from stacking.config import Stacking
from yt8m.base.config import read_toml, write_if_changed, write_snapshot
from yt8m.data.splits import NUM_FOLDS
from yt8m.records import synthetic
from yt8m.training.settings import Noise

ROOT = Path(__file__).parents[2]
MODELS = {
    path.stem: path
    for path in sorted((Path(__file__).parent / "zoo_configs" / "noise").glob("*.toml"))
}
STACK = ROOT / "stacking" / "configs" / "demo.toml"
HOLDOUT = 0.4  # many videos to score on: they cost nothing but their prediction


def generated(
    run: Path, precision: float, recall: float, videos: int, classes: int, seed: int
) -> tuple[Path, Path]:
    """Records, their store and folds; (store, folds). A seed's videos are the same at any noise."""
    store, folds = run / "store", run / "folds.safetensors"
    noise = {"precision": precision, "recall": recall}
    sizes = {"videos": videos, "classes": classes, "rgb": 128, "audio": 32}
    synthetic.main(run / "records", **sizes, **noise, seed=seed)
    decode.main(run / "records", store, jobs=1)
    assign.main(store, folds, holdout=HOLDOUT)
    return store, folds


def stacked(run: Path, store: Path, folds: Path, seed: int) -> None:
    """The stages' own verbs: first-level models on five folds, the stack, its soft labels."""
    models, config, out = run / "models.txt", run / "stacking.json", run / "stacking"
    write_if_changed(models, "".join(f"{name}\n" for name in MODELS))
    write_snapshot(config, read_toml(STACK, Stacking))
    for name in MODELS:
        path = run / "first_level" / name / "config.json"
        write_snapshot(path, model_of(name, seed))
        for k in range(NUM_FOLDS):
            train_model(path, store, folds, path.parent / f"fold{k}", fold=k)
    for k in range(NUM_FOLDS):
        rows.main(config, models, run, store, folds, out / f"fold{k}" / "rows", fold=k)
    for k in range(NUM_FOLDS):
        folder = out / f"fold{k}"
        train.main(config, out, folder / "model.txt", fold=k)
        parts = folder / "rows", folder / "model.txt", folder / "predictions.safetensors"
        predict.main(config, *parts, fold=k)
    soft_labels.main(out, store, folds, out / "soft_labels.safetensors")
    report.main(config, models, run, store, folds, out / "report.json")


def model_of(name: str, seed: int, noise: Noise | None = None) -> ModelConfig:
    """A model of the first level with another seed and a remedy."""
    model = read(MODELS[name]).trained()
    changes = {"seed": seed, "noise": noise or Noise()}
    return model.model_copy(update={"training": model.training.model_copy(update=changes)})
