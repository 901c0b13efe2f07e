"""Is anything better than chance where nothing can be learnt? The end of `make canary`.

    python -m report.canary artifacts/demo artifacts/demo_canary artifacts/demo_flips OUT

The second run is the plan on permuted labels. Each of its levels is judged on the holdout, and out
of fold where it predicts folds. Chance is the distribution of its own GAP@20 when the labels of the
judged videos (of each fold by itself) are permuted once more: what a system gets that knows the
frequencies of classes, and nothing of the videos. In the third run some labels of fold 0 are false:
who judges fold 0 must not rank them higher than the false labels of other videos. The verb fails
when a level is not at chance. docs/trust.md has a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill.config import DistillConfig
from distill.export.trained import Trained
from folds.false_labels import FOLD, SHARE, false_labels
from stacking import baselines
from stacking.candidates import average
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, Rows, fold_predictions, read_models
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_snapshot
from yt8m.base.files import working_in, writing
from yt8m.base.paths import CONFIG, Artifacts
from yt8m.base.tables import table
from yt8m.data.origins import without
from yt8m.data.predictions import TOP_K, Predictions
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.inputs.batch import Source
from yt8m.training.loop import predict
from yt8m.training.metrics import gap

FOLDS = range(NUM_FOLDS)
FAR = 4.5  # standard deviations: once in 150,000 tests, if the levels were independent
SAMPLES = 200  # permutations
MOST = 4096  # videos that are judged, evenly spread
STUDENTS = ("resnet", "student")
CHUNK = 256  # videos of rows read at a time


@dataclass(frozen=True)
class Level:
    """What a system says of some videos. groups: videos whose labels may change places."""

    name: str
    where: str
    found: Predictions
    rows: np.ndarray
    groups: np.ndarray


class Canary:
    """A run on permuted labels."""

    def __init__(self, run: Path):
        self.files = Artifacts.of_run(run)
        self.data = Store(self.files.store)
        self.splits = Splits.read(self.files.folds, self.data.ids)
        self.models = read_models(self.files.models)

    def levels(self) -> Iterator[Level]:
        """All of them, from the first level to the export."""
        for name in self.models:
            yield from self.of_folds(name, self.files.model(name))
        yield from self.mean()
        yield from self.of_folds("stack", self.files.stacking)
        yield from self.students()
        if len(self.splits.holdout):
            found = Predictions.read(self.files.evaluation_predictions)
            yield self.level("export", "holdout", found, self.splits.holdout)

    def level(self, name: str, where: str, found: Predictions, rows: np.ndarray) -> Level:
        """Of at most MOST of the rows."""
        rows = rows[:: -(-len(rows) // MOST) or 1]
        found = found.align(self.data.ids[rows])
        return Level(name, where, found, rows, self.splits.fold[rows])

    def of_folds(self, name: str, folder: Path) -> Iterator[Level]:
        """A system whose version k predicts fold k and the holdout."""
        learnt = [without(k, self.splits, self.data.ids) for k in FOLDS]
        parts = [fold_predictions(folder, k, learnt[k]) for k in FOLDS]
        own = [part.align(self.data.ids[self.splits.rows(k)]) for k, part in enumerate(parts)]
        yield from self.versions(name, own, parts)

    def versions(
        self, name: str, own: list[Predictions], rest: list[Predictions]
    ) -> Iterator[Level]:
        """own: of each fold; rest: of the holdout, whose mean is judged."""
        pooled = average_free(own)
        yield self.level(name, "out of fold", pooled, self.splits.training)
        if len(self.splits.holdout):
            ids = self.data.ids[self.splits.holdout]
            mean = average([part.align(ids) for part in rest], self.data.dims.classes, TOP_K)
            yield self.level(name, "holdout", mean, self.splits.holdout)

    def mean(self) -> Iterator[Level]:
        """The mean of all models' logits."""
        even, run = np.full(len(self.models), 1 / len(self.models), np.float32), self.files.run
        own, rest = (
            [
                baselines.weighted_mean(
                    Rows.open(self.files.stack_rows(k), prefix), even, 0.0, CHUNK, run
                )
                for k in FOLDS
            ]
            for prefix in (FOLD_PREFIX, HOLDOUT_PREFIX)
        )
        yield from self.versions("mean of models", own, rest)

    def students(self) -> Iterator[Level]:
        """Each trained student, in float32."""
        settings = read_snapshot(self.files.distill / CONFIG, DistillConfig)
        files, rows = self.files, self.splits.holdout
        trained = Trained(files.distill, settings, self.data, self.splits, files.soft_labels)
        for chosen in STUDENTS if len(rows) else ():
            network, manifest = trained.read(chosen, "float32", "canary")
            for number, (model, about) in enumerate(
                zip(network.members, manifest.members, strict=True)
            ):
                inputs = about.refit.inputs if about.refit else settings.inputs
                level = "frame" if network.by_frame[number] else "video"
                found = predict(model, Source(self.data, level, inputs), rows, TOP_K)
                name = f"refitted {about.name}" if about.refit else f"student: {chosen}"
                yield self.level(name, "holdout", found, rows)


def average_free(parts: list[Predictions]) -> Predictions:
    """The videos of all parts, with as many classes as each part has."""
    width = min(part.classes.shape[1] for part in parts)
    arrays = (
        np.concatenate([getattr(part, name)[:, :width] for part in parts])
        for name in ("classes", "logits")
    )
    return Predictions(np.concatenate([part.ids for part in parts]), *arrays)


def main(run: Path, canary: Path, flips: Path, out: Path, *, samples: int = SAMPLES) -> None:
    """Prints the tables and writes them to OUT. InputError names the levels not at chance."""
    levels, bad = [], []
    with working_in(canary):
        permuted = Canary(canary)
        for level in permuted.levels():
            line, at_chance = judge(level, permuted.data, samples)
            levels.append(line)
            bad += [] if at_chance else [f"{level.name} ({level.where})"]
    titles = ["level", "judged", "videos", "GAP@20", "chance", "interval", "deviations"]
    found, agreeing = agreements(run, flips)
    text = [
        *table(titles, levels),
        "",
        *table(["judges fold 0", "false labels", "deviations"], found),
    ]
    bad += [f"{name} (false labels of fold {FOLD})" for name in agreeing]
    with writing(out) as temporary:
        temporary.write_text("\n".join(text) + "\n")
    log("\n".join(text))
    if bad:
        raise InputError(f"{canary}: better than chance, or worse: {', '.join(bad)}; find the leak")


def judge(level: Level, data: Store, samples: int) -> tuple[list[str], bool]:
    """A line of the table, and whether the level is at chance."""
    rng = np.random.default_rng(0)
    found, labels = level.found, data.labels.take(level.rows)
    value = gap(found.classes, found.logits, labels)
    chance = np.array(
        [
            gap(found.classes, found.logits, labels.take(within(level.groups, rng)))
            for _ in range(samples)
        ]
    )
    mean, error = float(chance.mean()), max(float(chance.std(ddof=1)), 1e-9)
    interval = f"{max(mean - FAR * error, 0):.4f} to {mean + FAR * error:.4f}"
    cells = [f"{len(level.rows):,}", f"{value:.4f}", f"{mean:.4f}", interval]
    z = (value - mean) / error
    return [level.name, level.where, *cells, f"{z:+.1f}"], abs(z) <= FAR


def within(groups: np.ndarray, rng) -> np.ndarray:
    """A permutation of the places of each group: int64 (N,)."""
    order = np.argsort(groups, kind="stable")
    mixed = np.lexsort((rng.random(len(groups)), groups))
    places = np.empty(len(groups), np.int64)
    places[order] = mixed
    return places


def agreements(run: Path, flips: Path) -> tuple[list[list[str]], list[str]]:
    """Lines on how high false labels stand with who judges fold 0, and the names of those that
    agree with them."""
    files, origin = Artifacts.of_run(flips), Artifacts.of_run(run)
    data = Store(origin.store)
    splits = Splits.read(origin.folds, data.ids)
    wrong = false_labels(data, splits, SHARE, 0)
    lines, agreeing = [], []
    for name in [*read_models(files.models), "stack"]:
        folder = files.stacking if name == "stack" else files.model(name)
        found = fold_predictions(folder, FOLD).align(data.ids[wrong.rows])
        z = agreement(found, wrong.classes)
        lines.append([name, f"{len(wrong.rows):,}", f"{z:+.1f}"])
        agreeing += [name] if z > FAR else []
    return lines, agreeing


def agreement(found: Predictions, classes: np.ndarray) -> float:
    """How far, in standard deviations, videos rank the class of their own higher than those of the
    other videos. classes (m,): one of each video. A class at place p of a list counts 1 / p."""
    at = found.classes[:, :, None] == classes  # (m, K, m)
    score = (at / np.arange(1, at.shape[1] + 1)[:, None]).sum(1)  # (m, m)
    centred = score - score.mean(0) - score.mean(1, keepdims=True) + score.mean()
    error = np.sqrt((centred**2).sum() / max(len(classes) - 1, 1))  # of a permutation's trace
    return float(np.trace(centred) / max(error, 1e-9))


if __name__ == "__main__":
    cli.run(main)
