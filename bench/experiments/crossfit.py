"""A backbone that learnt soft labels, under a network that may trust it: cross-fitted soft labels.

    python -m bench.experiments.crossfit artifacts/best OUT "gated_mlp_2048 neighbours" \
        resnet_w1024_mix4 --epochs 30

The rows over a model must be of videos that it knows nothing of. Soft labels break that: those of
fold g come from models that have learnt fold f, so a student of soft labels has seen f's labels
through them. Here the student of fold f learns of each fold g from teachers that saw neither f nor
g: first-level models for each pair of folds, and a network over their rows for each ordered pair
(cross-fitting: Dao et al., 2021). Then a network over the student's out-of-fold rows is the last
layer of a student that has learnt the ordinary soft labels of all folds. The same with labels alone
stands beside it. Judged on fold 0 and on the holdout. Finished parts in OUT are kept.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from distill.config import SoftLabels
from distill.targets import SoftTargets
from first_level.config import ModelConfig, build
from stacking.config import Stacking
from stacking.learners.learned import Learned
from stacking.learners.network import NetworkOfRows, fit_head
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, FoldRows, Rows, groups_of
from stacking.writer import RowWriter
from yt8m.base import cli, processor
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import working_in, write_json
from yt8m.base.paths import (
    CHECKPOINT,
    CONFIG,
    PREDICTIONS,
    ROWS,
    ROWS_ABOUT,
    Artifacts,
    fold_folder,
)
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits, seed_of
from yt8m.data.store import Store
from yt8m.inputs.batch import HardTargets, Source, TargetSource
from yt8m.training.loop import Examples, fit, predict
from yt8m.training.metrics import gap
from yt8m.training.weights import start_from_frequencies

KEPT = 60  # classes of a model's list, as in the stages
FOLDS = range(NUM_FOLDS)
MIX = SoftLabels(how="mix", hard_weight=0.5)


@dataclass(frozen=True)
class Bench:
    """A run, and the folder of what is made beside it."""

    files: Artifacts
    out: Path
    data: Store
    splits: Splits
    settings: Stacking

    @property
    def writer(self) -> RowWriter:
        return RowWriter(self.data, self.splits, self.settings, frames=False)

    def config(self, name: str) -> ModelConfig:
        return read_snapshot(self.files.model(name) / CONFIG, ModelConfig)

    def trained(
        self, config: ModelConfig, rows: np.ndarray, targets: TargetSource, wanted, out: Path
    ) -> None:
        """Trains a model on some store rows; writes its predictions of the rows `wanted`."""
        if (out / PREDICTIONS).is_file():
            return
        out.mkdir(parents=True, exist_ok=True)
        data, seed = self.data, seed_of("crossfit", str(out.relative_to(self.out)))
        torch.manual_seed(seed)
        model = build(config, data.dims, out)
        start_from_frequencies(model, data.labels.class_counts(data.dims.classes, rows), len(rows))
        source = Source(data, model.level, config.inputs)
        training = config.training.model_copy(update={"seed": seed})
        fit(model, Examples(source, rows, targets), training, out, out.name)
        predict(model, source, wanted, KEPT).write(out / PREDICTIONS)
        (out / CHECKPOINT).unlink(missing_ok=True)

    def gap(self, found: Predictions, rows: np.ndarray) -> float:
        found = found.align(self.data.ids[rows])
        return gap(found.classes, found.logits, self.data.labels.take(rows))


def main(
    run: Path,
    out: Path,
    teachers: str,
    student: str,
    *,
    beside: str = "",
    epochs: int = 16,
    threads: int = 1,
) -> None:
    """Prints GAP@20 of the student alone and under its network, by labels and by soft labels.

    TEACHERS: first-level models of the run, as is STUDENT; --beside: models that lie under the
    network too.
    """
    processor.set_threads(threads)
    files = Artifacts.of_run(run)
    data = Store(files.store)
    settings = read_snapshot(files.stacking / CONFIG, Stacking)
    bench = Bench(files, out, data, Splits.read(files.folds, data.ids), settings)
    with working_in(out):
        names = teachers.split()
        train_pairs(bench, names)
        for fold in FOLDS:
            soften(bench, names, fold)
        train_students(bench, student, epochs)
        found = {"labels": measure(bench, student, files, beside.split())}
        own = Artifacts(out / "run", files.store)
        found["soft labels"] = measure(bench, student, own, beside.split())
        write_json(out / "result.json", found)
    for name, figures in found.items():
        log(f"{name}: " + ", ".join(f"{key} {value:.4f}" for key, value in figures.items()))


def train_pairs(bench: Bench, names: list[str]) -> None:
    """Each teacher without each pair of folds, which it then predicts."""
    hard = HardTargets(bench.data.labels, bench.data.dims.classes)
    for f in FOLDS:
        for g in range(f + 1, NUM_FOLDS):
            wanted = np.concatenate([bench.splits.rows(f), bench.splits.rows(g)])
            for name in names:
                out = bench.out / "pairs" / f"{f}{g}" / name
                bench.trained(bench.config(name), bench.splits.others(f, g), hard, wanted, out)


def soften(bench: Bench, names: list[str], fold: int) -> None:
    """Soft labels of all other folds that know nothing of `fold`: OUT/without<fold>."""
    folder = bench.out / f"without{fold}"
    if (folder / PREDICTIONS).is_file():
        return
    groups = {}
    for g in (k for k in FOLDS if k != fold):
        own = fold_folder(folder, g) / ROWS
        own.mkdir(parents=True, exist_ok=True)
        pair = bench.out / "pairs" / "{}{}".format(*sorted((fold, g)))
        paths = [pair / name / PREDICTIONS for name in names]
        no_holdout = Splits(np.where(bench.splits.fold == -1, -9, bench.splits.fold))
        writer = RowWriter(bench.data, no_holdout, bench.settings, frames=False)
        writer.write_fold(own, g, paths, names)
        groups[g] = FoldRows(open_rows(own), fold)
    columns = groups[(fold + 1) % NUM_FOLDS].rows.matrix(slice(0, 1), 0).shape[1]
    parts = []
    for g, own in groups.items():
        others = [group for k, group in groups.items() if k != g]
        head, _ = fit_head(others, columns, bench.settings, g, folder, f"{fold} {g}")
        (folder / CHECKPOINT).unlink(missing_ok=True)
        learned = Learned([NetworkOfRows(head)])
        parts.append(learned.predict([(own.rows, own.variant)], 256, folder))
    both = (
        np.concatenate([getattr(p, key) for p in parts]) for key in ("ids", "classes", "logits")
    )
    Predictions(*both).write(folder / PREDICTIONS)


def open_rows(folder: Path) -> Rows:
    """Rows without the file that names their columns."""
    names = ("ids", "classes", "labels", "features", "label_features")
    arrays = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in names]
    return Rows(*arrays, keys=arrays[0])


def train_students(bench: Bench, student: str, epochs: int) -> None:
    """The student of each fold, and the one of all, below OUT/run as the stages lay them out.

    Without mixup: soft labels are learnt better without.
    """
    data, splits, config = bench.data, bench.splits, bench.config(student)
    training = config.training.model_copy(update={"epochs": epochs, "mixup": 0.0})
    config = config.model_copy(update={"training": training})
    own = Artifacts(bench.out / "run", bench.files.store)

    def targets(soft: Path, rows: np.ndarray) -> SoftTargets:
        return SoftTargets(soft, data.ids, data.labels, rows, data.dims.classes, MIX)

    for fold in FOLDS:
        rows, wanted = splits.others(fold), np.concatenate([splits.rows(fold), splits.holdout])
        soft = bench.out / f"without{fold}" / PREDICTIONS
        bench.trained(config, rows, targets(soft, rows), wanted, own.model_fold(student, fold))
    rows = splits.training
    soft = bench.files.soft_labels
    bench.trained(config, rows, targets(soft, rows), splits.holdout, own.model(student) / "all")


def measure(bench: Bench, student: str, files: Artifacts, beside: list[str]) -> dict[str, float]:
    """GAP@20 of a student's fold models, and of the network over their rows.

    files: where the student's predictions lie; those of the models beside it are the run's.
    """
    names, splits = sorted([student, *beside]), bench.splits
    out = bench.out / f"measure_{files.run.name}_{len(names)}"
    where: Callable = lambda name: files if name == student else bench.files  # noqa: E731
    for fold in FOLDS:
        own = fold_folder(out, fold) / ROWS
        own.mkdir(parents=True, exist_ok=True)
        paths = [where(name).model_fold(name, fold) / PREDICTIONS for name in names]
        write_json(own / ROWS_ABOUT, bench.writer.write_fold(own, fold, paths, names))
    found = {}
    single = Predictions.read(files.model_fold(student, 0) / PREDICTIONS)
    found["alone, fold 0"] = bench.gap(single, splits.rows(0))
    found["alone, holdout"] = bench.gap(single, splits.holdout)
    groups, columns = groups_of(out, 0)
    head, _ = fit_head(groups, len(columns), bench.settings, 0, out, files.run.name)
    (out / CHECKPOINT).unlink(missing_ok=True)
    learned, own = Learned([NetworkOfRows(head)]), fold_folder(out, 0) / ROWS
    parts = [(Rows.open(own, FOLD_PREFIX), 0), (Rows.open(own, HOLDOUT_PREFIX), 0)]
    both = learned.predict(parts, 256, out)
    found["network, fold 0"] = bench.gap(both, splits.rows(0))
    found["network, holdout"] = bench.gap(both, splits.holdout)
    whole = files.model(student) / "all" / PREDICTIONS
    if whole.is_file():
        found["all folds, alone, holdout"] = bench.gap(Predictions.read(whole), splits.holdout)
    return found


if __name__ == "__main__":
    cli.run(main)
