"""How much of a student's figure on a fold is leak (docs/distill.md, "The leak").

    python -m bench.experiments.leak artifacts/small/store artifacts/small/folds.safetensors \
        artifacts/small/stacking/soft_labels.safetensors OUT

One network learns from the videos outside fold 0: from their labels, from half labels and half soft
labels, from soft labels alone. The soft labels are out-of-fold predictions: none comes from a model
that saw its video, but all come from models that saw fold 0. What a network gains on fold 0 and not
on the holdout, which nobody saw, is leak. The table is printed, and written as OUT/table.md.
"""

from pathlib import Path

from bench.experiments.network import train_and_predict
from distill.config import SoftLabels
from distill.targets import SoftTargets
from first_level.config import ModelConfig
from yt8m.base import cli, processor
from yt8m.base.files import fingerprint, working_in
from yt8m.base.tables import publish, table
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.training import metrics

FOLD = 0
HARD_WEIGHTS = {"labels": 1.0, "half labels, half soft": 0.5, "soft labels": 0.0}
MODEL = ModelConfig(
    arch="mlp", model={"widths": [2048]}, training={"epochs": 8, "lr": 2e-3, "batch_size": 256}
)


def main(
    store: Path, folds: Path, soft_labels: Path, out: Path, *, threads: int = 1, seed: int = 0
) -> None:
    """Trains the three networks and prints their GAP@20 on fold 0 and on the holdout."""
    processor.set_threads(threads)
    data = Store(store)
    splits = Splits.read(folds, data.ids)
    rows = []
    with working_in(out):
        for name, hard_weight in HARD_WEIGHTS.items():
            on_fold, on_holdout = measure(data, splits, soft_labels, hard_weight, out, seed)
            difference = f"{on_fold - on_holdout:.4f}"
            rows.append([name, f"{on_fold:.4f}", f"{on_holdout:.4f}", difference])
        titles = ["targets", f"fold {FOLD}", "holdout", "difference"]
        publish(table(titles, rows), out / "table.md")


def measure(
    data: Store, splits: Splits, soft_labels: Path, hard_weight: float, folder: Path, seed: int
) -> tuple[float, float]:
    """GAP@20 of a network on the fold that it never saw, and on the holdout."""
    rows, parts = splits.others(FOLD), [splits.rows(FOLD), splits.holdout]
    mix = SoftLabels(how="mix", hard_weight=hard_weight)
    targets = SoftTargets(soft_labels, data.ids, data.labels, rows, data.dims.classes, mix)
    made_from = fingerprint(soft_labels, hard_weight)
    found = train_and_predict(MODEL, data, rows, targets, parts, folder, seed, made_from)
    labels = map(data.labels.take, parts)
    return tuple(
        metrics.gap(part.classes, part.logits, own) for part, own in zip(found, labels, strict=True)
    )


if __name__ == "__main__":
    cli.run(main)
