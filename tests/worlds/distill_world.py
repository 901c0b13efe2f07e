"""Sizes of the distill stage, a toy configuration, soft labels, and runs with a re-ranker."""

import shutil
import subprocess
import sys

import numpy as np
from snapshots import write_distill_snapshots

from distill import predict, refit
from distill.config import DistillConfig
from first_level.config import ModelConfig
from first_level.train import main as train_first_level
from stacking import rows, train
from stacking.config import Stacking
from yt8m.base.config import write_snapshot
from yt8m.data.origins import SOFT_LABELS, Origin, without
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Dims, Store

FULL = Dims({"rgb": 1024, "audio": 128}, classes=3862, max_frames=0)
SCALE = 1 / 64


def toy_config(**changes) -> DistillConfig:
    quick = {"epochs": 6, "batch_size": 64, "lr": 3e-3, "precision": "float32"}
    values = {"scale": SCALE, "extractors": quick, "last_layers": quick} | changes
    values.setdefault("resnet", {"model": {"width": 16}, "training": quick})
    return DistillConfig.model_validate(values)


def soft_labels_of(store, splits, path) -> None:
    """Stand-in for the stack: the labels, as sure as can be, among some other classes."""
    rows, rng = splits.training, np.random.default_rng(0)
    noise = rng.normal(-4, 1, (len(rows), store.dims.classes))
    chosen = store.labels.take(rows)
    noise[chosen.rows(), chosen.indices] = 4
    classes = np.argsort(-noise, axis=1)[:, :20]
    logits = np.take_along_axis(noise, classes, 1).astype(np.float16)
    origin = Origin(SOFT_LABELS, None, without(None, splits, store.ids))
    found = Predictions(store.ids[rows], classes.astype(np.uint16), logits, origin=origin)
    found.write(path)


STACKING = {
    "candidates": 12,
    "booster": {"max_rounds": 30, "num_leaves": 7, "min_data_in_leaf": 20},
    "network": {"width": 16, "layers": 2, "training": {"epochs": 2}},
}


def make_run(run, data_set, models, epochs, copies=1) -> None:
    """Models (name -> arch, [model], [inputs]) of five folds, refitted copies, and a re-ranker."""
    store, folds = data_set / "store", data_set / "folds.safetensors"
    data = Store(store)
    soft_labels_of(data, Splits.read(folds, data.ids), run / "soft.safetensors")
    for name, (arch, arguments, inputs) in models.items():
        training = {"epochs": epochs, "lr": 0.02, "batch_size": 64, "precision": "float32"}
        config = ModelConfig(arch=arch, model=arguments, inputs=inputs, training=training)
        path = run / "first_level" / name / "config.json"
        write_snapshot(path, config)
        for fold in range(NUM_FOLDS):
            train_first_level(path, store, folds, path.parent / f"fold{fold}", fold=fold)
    toml, names = run / "distill.toml", sorted(models)
    toml.write_text(f"[refit]\nmodels = {names}\ncopies = {copies}\ntargets.hard_weight = 1.0\n")
    write_distill_snapshots(toml, run / "distill")
    write_snapshot(run / "stacking/config.json", Stacking.model_validate(STACKING))
    shutil.copy(folds, run / "folds.safetensors")
    for name in models:
        for copy in range(copies):
            refit_one(run, data_set, name, run / "distill/refit" / name / f"copy{copy}", copy)
    learn_rows(run, store, run / "distill" / "reranker")


def refit_one(run, data_set, name, out, copy=0) -> None:
    config = run / "first_level" / name / "config.json"
    store, folds = data_set / "store", data_set / "folds.safetensors"
    refit.main(
        run / "distill/config.json", config, store, folds, run / "soft.safetensors", out, copy=copy
    )


def learn_rows(run, store, out) -> None:
    """The rows of every fold, and the network over all of them."""
    settings, members = run / "stacking/config.json", run / "distill" / "members.txt"
    folds = run / "folds.safetensors"
    for fold in range(NUM_FOLDS):
        to = out / f"fold{fold}" / "rows"
        rows.main(settings, members, run, store, folds, to, fold=fold, frames=False)
    train.main(settings, out, out / "network/weights.safetensors", fold=-1, learner="network")


WITHOUT = """
import sys
for name in ("torch", "lightgbm", "onnx", "onnxscript", "safetensors", "sklearn", "joblib"):
    sys.modules[name] = None
from pathlib import Path
from distill import predict
predict.main(Path(sys.argv[1]), [Path(sys.argv[2])], Path(sys.argv[3]))
"""


def check_without_torch(export, records, folder) -> None:
    """An export predicts 400 records alike without torch and LightGBM."""
    files = [folder / "without.csv", folder / "with.csv"]
    subprocess.run([sys.executable, "-c", WITHOUT, export, records, files[0]], check=True)
    predict.main(export, [records], files[1])
    one, other = (
        [line.split(",")[1].split()[::2] for line in path.read_text().splitlines()[1:]]
        for path in files
    )
    assert len(one) == len(other) == 400
    assert np.mean([a == b for a, b in zip(one, other, strict=True)]) > 0.98
