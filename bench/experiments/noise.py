"""What helps against wrong labels, from clean ones to worse than YouTube-8M's (docs/noise.md).

    python -m bench.experiments.noise OUT

Generated records, whose clean labels are hidden and known, are given noisy labels of one precision
and recall after another; all else of a seed stays. On each: one network on the labels, the same
with each published remedy, a stack of a few models, and the same network on the stack's soft
labels. GAP@20 is on the holdout, against its clean and against its noisy labels. Soft labels are
judged by their precision at the noisy labels' recall (report/clean_labels.py). Finished cells
(OUT/<cell>.json) are kept. The tables are printed, and written as OUT/table.md.
"""

import time
from pathlib import Path

import numpy as np

from bench.experiments.network import train_and_predict
from bench.experiments.noise_run import (
    HOLDOUT_SHARE,
    MODELS,
    STACK,
    generate,
    model_of,
    train_stack,
)
from distill.config import SoftLabels
from distill.targets import SoftTargets
from report.clean_labels import clean_labels, compare
from stacking.candidates import average
from stacking.table import fold_predictions, out_of_fold
from yt8m.base import cli, processor
from yt8m.base.cli import InputError
from yt8m.base.files import fingerprint, read_json, remove, working_in, write_json
from yt8m.base.paths import Artifacts
from yt8m.base.tables import format_cell, publish, table
from yt8m.data.predictions import TOP_K, Predictions
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.inputs.batch import HardTargets, TargetSource
from yt8m.records.labels import Labels
from yt8m.training import metrics
from yt8m.training.settings import Noise

NETWORK = "resnet_w256_mix4"  # the model that all remedies are tried on
LEVELS = "1:1 0.9:0.6 0.79:0.6 0.79:0.3 0.79:0.15 0.6:0.15 0.4:0.15"  # precision:recall
REMEDIES = {  # training.noise of the network; the others are compared with the first
    "labels as they are": {},
    "smoothing 0.1": {"smoothing": 0.1},
    "a tenth of the labels dropped": {"drop": 0.1},
    "a tenth of false labels added": {"add": 0.1},
    "both, by the classes' accuracy": {"drop": 0.1, "add": 0.1, "by_accuracy": True},
    "confidence penalty 0.1": {"confidence": 0.1},
    "forward correction": {"correction": "forward"},  # it knows the precision and recall
    "noise adaptation layer": {"adaptation": True},
}
SOFT = {"half labels, half soft": 0.5, "soft labels": 0.0}  # weight of the labels


def main(
    out: Path, *, levels: str = LEVELS, videos: int = 6000, classes: int = 80, seeds: int = 2
) -> None:
    """Measures every cell of LEVELS ("precision:recall ..."), each for every seed."""
    cells = parse_levels(levels)
    if seeds < 1:
        raise InputError(f"--seeds {seeds}: 1 or more is allowed")
    processor.set_threads(1)
    with working_in(out):
        found = {
            cell: [measure(out, *cell, videos, classes, seed) for seed in range(seeds)]
            for cell in cells
        }
        lines = [line for part in tables(found) for line in (*part, "")]
        publish(lines[:-1], out / "table.md")


def parse_levels(levels: str) -> list[tuple[float, float]]:
    """(precision, recall) of each word. InputError when a word is not a pair of shares."""
    cells = []
    for word in levels.split():
        try:
            precision, recall = map(float, word.split(":"))
        except ValueError as error:
            raise InputError(
                f"--levels {word!r}: write precision:recall, such as 0.79:0.15"
            ) from error
        if not (0 < precision <= 1 and 0 < recall <= 1):
            raise InputError(f"--levels {word!r}: both must be above 0 and at most 1")
        cells.append((precision, recall))
    if not cells:
        raise InputError(f"--levels {levels!r}: no levels; give some, such as '1:1 0.79:0.15'")
    return cells


def measure(
    out: Path, precision: float, recall: float, videos: int, classes: int, seed: int
) -> dict:
    """The figures of one cell: from its file, if it has them for just these settings."""
    run = out / f"precision{precision:g}_recall{recall:g}_seed{seed}"
    known = out / f"{run.name}.json"
    settings = NETWORK, REMEDIES, SOFT, HOLDOUT_SHARE, videos, classes
    made_from = fingerprint(STACK, *MODELS.values(), *MODELS, *settings)
    if known.is_file() and (figures := read_json(known))["made_from"] == made_from:
        return figures
    started = time.monotonic()
    remove(run)  # of a killed call, perhaps with other settings
    files = Artifacts.of_run(run)
    generate(files, precision, recall, videos, classes, seed)
    train_stack(files, seed)
    figures = Scores(files).all(precision, recall, seed)
    figures |= {"made_from": made_from, "seconds": time.monotonic() - started}
    write_json(known, figures)
    remove(run)
    cli.log(f"{run.name}: done in {figures['seconds']:.0f} s")
    return figures


class Scores:
    """Scores a cell against the clean and the noisy labels of the holdout."""

    def __init__(self, files: Artifacts):
        self.files, self.store = files, Store(files.store)
        self.splits = Splits.read(files.folds, self.store.ids)
        self.clean, self.noisy = self.labels_of(self.splits.holdout)

    def labels_of(self, part: np.ndarray) -> tuple[Labels, Labels]:
        """(clean, noisy) labels of store rows."""
        clean = clean_labels(self.files.clean_labels, self.store.ids[part])
        return clean, self.store.labels.take(part)

    def all(self, precision: float, recall: float, seed: int) -> dict:
        """Every figure of the cell."""
        soft, own = self.files.soft_labels, self.files.run / "own_soft_labels.safetensors"
        network = self.files.model(NETWORK)
        out_of_fold(network, self.store.ids, self.splits, self.files.run).write(own)
        systems, hard = {}, HardTargets(self.store.labels, self.store.dims.classes)
        for name, remedy in REMEDIES.items():
            if "correction" in remedy:
                remedy = remedy | {"label_precision": precision, "label_recall": recall}
            systems[name] = self.network(hard, seed, Noise(**remedy))
        for name, weight in SOFT.items():
            systems[name] = self.network(self.mixture(soft, weight), seed)
        systems["soft labels of its own folds"] = self.network(self.mixture(own, 0.0), seed)
        found = self.denoising(soft) | {"network_precision": self.denoising(own)["soft_precision"]}
        return {"systems": systems | self.ensembles()} | found

    def mixture(self, soft: Path, weight: float) -> SoftTargets:
        """Soft labels of the training videos with a weight of the labels."""
        data, mix = self.store, SoftLabels(how="mix", hard_weight=weight)
        rows, classes = self.splits.training, data.dims.classes
        return SoftTargets(soft, data.ids, data.labels, rows, classes, mix)

    def network(self, targets: TargetSource, seed: int, noise: Noise | None = None) -> dict:
        """GAP@20 of the network, trained on the videos of all folds."""
        model, wanted = model_of(NETWORK, seed, noise), [self.splits.holdout]
        rows, folder = self.splits.training, self.files.run / "network"
        return self.gaps(*train_and_predict(model, self.store, rows, targets, wanted, folder, seed))

    def ensembles(self) -> dict:
        """Of five versions: the stack's mean and average, the network's and all models' average."""
        single = [self.gaps(part) for part in self.versions(self.files.stacking)]
        models = {name: self.average(self.files.model(name)) for name in MODELS}
        mean = average(list(models.values()), self.store.dims.classes)
        return {
            "five versions of the network": self.gaps(models[NETWORK]),
            "five versions of all models": self.gaps(mean),
            "stack, one version": {key: np.mean([gap[key] for gap in single]) for key in single[0]},
            "stack, five versions": self.gaps(self.average(self.files.stacking)),
        }

    def versions(self, folder: Path) -> list[Predictions]:
        """Predictions of the holdout by the five versions of a model or the stack."""
        ids = self.store.ids[self.splits.holdout]
        return [fold_predictions(folder, k).align(ids) for k in range(NUM_FOLDS)]

    def average(self, folder: Path) -> Predictions:
        """The 20 best classes by the mean of the five versions."""
        return average(self.versions(folder), self.store.dims.classes, TOP_K)

    def gaps(self, found: Predictions) -> dict:
        """GAP@20 on the holdout against either labels."""
        found = found.align(self.store.ids[self.splits.holdout])
        kinds = {"clean": self.clean, "noisy": self.noisy}
        return {name: metrics.gap(found.classes, found.logits, own) for name, own in kinds.items()}

    def denoising(self, soft: Path) -> dict:
        """Precision of the soft and of the noisy labels of the training videos at equal recall."""
        clean, noisy = self.labels_of(self.splits.training)
        found = Predictions.read(soft).align(self.store.ids[self.splits.training])
        return compare(found, noisy, clean)


def tables(found: dict[tuple[float, float], list[dict]]) -> list[list[str]]:
    """GAP against clean and against noisy labels, then the labels themselves; means over seeds."""
    return [
        [f"GAP@20 of the holdout against its {kind} labels", "", *gap_table(found, kind)]
        for kind in ("clean", "noisy")
    ] + [["Labels of the training videos", "", *label_table(found)]]


def gap_table(found: dict[tuple[float, float], list[dict]], kind: str) -> list[str]:
    """The first system's GAP, then differences to it with half their range over the seeds."""
    systems = list(next(iter(found.values()))[0]["systems"])
    cells = [[system] for system in systems]
    for figures in found.values():
        gaps = np.array([[part["systems"][name][kind] for name in systems] for part in figures])
        differences = gaps - gaps[:, :1]  # (seeds, systems)
        cells[0].append(f"{gaps[:, 0].mean():.4f}")
        for row, own in zip(cells[1:], differences.T[1:], strict=True):
            spread = f" ({np.ptp(own) / 2:.4f})" if len(own) > 1 else ""
            row.append(f"{own.mean():+.4f}{spread}")
    return table(["precision, recall", *(f"{p:g}, {r:g}" for p, r in found)], cells)


def label_table(found: dict[tuple[float, float], list[dict]]) -> list[str]:
    """A row for each cell; precision is a dash where the recall is not reached."""
    keys = ("recall", "noisy_precision", "network_precision", "soft_precision")
    titles = ["precision, recall", "recall", "noisy labels", NETWORK, "soft labels"]
    rows = []
    for (precision, recall), figures in found.items():
        means = [np.mean([part[key] for part in figures]) for key in keys]
        cells = [format_cell(mean or None, "{:.3f}") for mean in means]
        rows.append([f"{precision:g}, {recall:g}", *cells])
    return table(titles, rows)


if __name__ == "__main__":
    cli.run(main)
