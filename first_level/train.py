"""One job: trains one model without one fold, then predicts that fold and the holdout.

    python -m first_level.train CONFIG.json STORE FOLDS.npz OUT --fold 3

writes OUT/weights.safetensors, OUT/report.json and, last, OUT/predictions.npz. Each is complete or
absent; a killed job goes on from its checkpoint, and a job whose weights are there only predicts.
No epoch is chosen on a video that the model then predicts: the schedule is fixed, or early stopping
looks at an inner split of the training videos.
"""

import time
from pathlib import Path

import numpy as np
from safetensors import safe_open
from torch import nn

from first_level.config import ModelConfig, build
from yt8m import cli, device, metrics
from yt8m.config import read_snapshot
from yt8m.dataset import HardTargets
from yt8m.files import fingerprint, read_json, working_in, write_json
from yt8m.splits import Splits, seed_of, uniform
from yt8m.store import Store
from yt8m.training import (
    fit,
    load_weights,
    predict,
    save_weights,
    size_of,
    start_from_frequencies,
)

WATCHED = 1000  # videos whose GAP is logged each epoch


def main(
    config: Path, store: Path, folds: Path, out: Path, *, fold: int = 0, threads: int = 1
) -> None:
    """Trains the model of CONFIG without fold FOLD and predicts that fold and the holdout."""
    cli.set_threads(threads)
    settings, name = read_snapshot(config, ModelConfig), config.parent.name
    source = fingerprint(config, store / "manifest.json", folds, fold)
    data = Store(store)
    splits = Splits.read(folds, data.ids)
    import torch

    torch.manual_seed(seed_of(settings.training.seed, name, fold))
    model = build(settings, data.dims, config)
    with working_in(out):
        if not _is_complete(out / "weights.safetensors", source):
            _train(model, settings, data, splits, out, f"{name} fold{fold}", fold, source)
        load_weights(model, out / "weights.safetensors")
        if device.rank() == 0:
            _predict(
                model.to(device.pick()), settings, data, splits, out, f"{name} fold{fold}", fold
            )


def _train(model: nn.Module, settings: ModelConfig, data, splits, out, job, fold, source) -> None:
    """Trains and writes the weights."""
    start = time.monotonic()
    rows, check = splits.others(fold), splits.rows(fold)[:WATCHED]
    if settings.training.patience:
        inner = uniform(data.ids[rows], "inner split") < settings.training.inner
        rows, check = rows[~inner], rows[inner]
    targets = HardTargets(data.labels, data.dims.classes)
    counts = data.labels.take(rows).class_counts(data.dims.classes)
    start_from_frequencies(model, counts, len(rows))
    training = settings.training.model_copy(
        update={"seed": seed_of(settings.training.seed, job, "fit")}
    )
    history = fit(
        model, model.level, settings.inputs, data, rows, targets, training, out, job, check, source
    )
    if device.rank() == 0:
        seconds = time.monotonic() - start
        write_json(out / "training.json", {"seconds": seconds, "epochs": history})
        save_weights(model, out / "weights.safetensors", {"source": source})
        (out / "checkpoint.pt").unlink(missing_ok=True)


def _predict(model: nn.Module, settings: ModelConfig, data, splits, out, job, fold: int) -> None:
    """Predicts the held-out fold and the holdout; writes the report and the predictions."""
    rows = np.concatenate([splits.rows(fold), splits.holdout])
    predictions = predict(model, model.level, settings.inputs, data, rows, settings.keep)
    held = len(splits.rows(fold))
    gaps = [
        metrics.gap(
            predictions.classes[part], predictions.logits[part], data.labels.take(rows[part])
        )
        for part in (slice(held), slice(held, None))
    ]
    gap_fold, gap_holdout = (None if gap != gap else gap for gap in gaps)
    parameters, megabytes = size_of(model)
    training = read_json(out / "training.json")
    report = {
        "model": out.parent.name,
        "arch": settings.arch,
        "level": model.level,
        "fold": fold,
        "gap_fold": gap_fold,
        "gap_holdout": gap_holdout,
        "parameters": parameters,
        "megabytes": megabytes,
        "peak_memory_mb": cli.peak_memory_mb(),
        **training,
    }
    write_json(out / "report.json", report)
    predictions.write(out / "predictions.npz")
    held_out = "" if gap_holdout is None else f", holdout {gap_holdout:.4f}"
    seconds = training["seconds"]
    cli.log(f"[{job}] done in {seconds:.0f} s: GAP@20 fold {gap_fold:.4f}{held_out}")


def _is_complete(weights: Path, source: str) -> bool:
    """Whether weights made from just these inputs are there."""
    if not weights.is_file() or not (weights.parent / "training.json").is_file():
        return False
    with safe_open(weights, framework="pt") as file:
        return (file.metadata() or {}).get("source") == source


if __name__ == "__main__":
    cli.run(main)
