"""The stack's figures beside those of what it must beat.

    python -m stacking.report CONFIG.json MODELS.txt RUN_FOLDER STORE FOLDS OUT.json

Every system is scored alike, by the 20 best float16 logits of each video (`metrics.evaluate`):

    out_of_fold      all training videos, each predicted without its fold
    holdout          the average of the five versions' probabilities; null without a holdout
    holdout_single   the mean figures of the five versions
    gap_oof, gap_holdout, gap_holdout_single   GAP@20 of these three
    gap_folds        GAP@20 out of fold, fold by fold
    gap_versions     GAP@20 of each of the five versions on the holdout
    bce_oof          binary cross-entropy of the kept logits (a lower bound)

holdout/<system>.safetensors has the averaged predictions of the stack and of each member.
"""

import math
from pathlib import Path

import numpy as np

from stacking import baselines
from stacking.alarms import alarms_of
from stacking.candidates import average
from stacking.config import Stacking
from stacking.learners.learned import Learned
from stacking.table import (
    FOLD_PREFIX,
    HOLDOUT_PREFIX,
    Rows,
    check_read,
    column_names,
    fold_predictions,
    read_models,
)
from yt8m.base import cli
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json, write_json
from yt8m.base.paths import (
    BOOSTER_TRAINING,
    HEAD_TRAINING,
    HOLDOUT_FOLDER,
    ROWS,
    ROWS_ABOUT,
    Artifacts,
    fold_folder,
)
from yt8m.base.receipts import commit
from yt8m.base.tables import mean_figures
from yt8m.data.origins import without
from yt8m.data.predictions import TOP_K, Predictions, to_fill
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.records.labels import Labels
from yt8m.training.metrics import cross_entropy, evaluate, gap

FOLDS = range(NUM_FOLDS)


def main(config: Path, models: Path, run: Path, store: Path, folds: Path, out: Path) -> None:
    """Scores the stack, its members and their means; writes OUT last."""
    settings = read_snapshot(config, Stacking)
    names = read_models(models)
    videos = Store(store)
    truth = Truth(videos, Splits.read(folds, videos.ids), out.parent)
    files = Artifacts(run, store)
    stacking = files.stacking
    for name in names:
        check_read(files, name)  # InputError on other predictions than the stack has read
    boosted = [fold_predictions(stacking, k, truth.learnt[k]) for k in FOLDS]
    figures = {"stack": truth.score(boosted, out.parent / HOLDOUT_FOLDER / "stack.safetensors")}
    figures |= means(stacking, names, truth, settings)
    gains = importance(stacking, settings)
    figures["members"] = {}
    for name in names:
        parts = [fold_predictions(files.model(name), k, truth.learnt[k]) for k in FOLDS]
        own = truth.score(parts, out.parent / HOLDOUT_FOLDER / f"{name}.safetensors")
        figures["members"][name] = own | {"gain": gains[name]}
    best = max(names, key=lambda name: figures["members"][name]["gap_oof"] or 0)
    alarms = alarms_of(figures, files, min(map(len, truth.labels)))
    figures |= {"best_member": best, "importance": gains, "alarms": alarms, "commit": commit()}
    write_json(out, figures | costs(stacking, settings))
    for name in ("stack", "weighted_mean", "mean"):
        log(f"[stack] {name:14s} {_text(figures[name])}")
    log(f"[stack] {'best member':14s} {_text(figures['members'][best])} ({best})")
    for line in alarms:
        log(f"warning: {line}")


class Truth:
    """The labels of the training videos of each fold, and of the holdout, with their ids.

    folder: where predictions are kept while they are compared. learnt: digests of the videos that
    what judges each fold may have learnt from.
    """

    def __init__(self, store, splits: Splits, folder: Path):
        self.classes, self.folder = store.dims.classes, folder
        self.learnt = [without(fold, splits, store.ids) for fold in FOLDS]
        rows = [splits.rows(fold) for fold in FOLDS] + [splits.holdout]
        self.ids = [store.ids[part] for part in rows]
        self.labels = [store.labels.take(part, folder) for part in rows]
        self.pooled = store.labels.take(np.concatenate(rows[:-1]), folder)

    def score(self, parts: list[Predictions], out: Path) -> dict:
        """Figures of a system whose version k predicts fold k and the holdout.

        Writes OUT: the versions' mean probabilities on the holdout, as logits of the 20 best.
        """
        own = [parts[k].align(self.ids[k], self.folder) for k in FOLDS]
        return self.figures(own, [part.align(self.ids[-1], self.folder) for part in parts], out)

    def figures(
        self, own: list[Predictions], rest: list[Predictions], out: Path | None = None
    ) -> dict:
        """The same from predictions of each fold (own) and of the holdout (rest)."""
        losses = [
            cross_entropy(part.classes, part.logits, self.labels[k], self.classes) * len(part.ids)
            for k, part in enumerate(own)
            if len(part.ids)
        ]
        pooled = self._evaluate(concatenate(own, self.folder), self.pooled)
        versions = [self._evaluate(part, self.labels[-1]) for part in rest]
        single = mean_figures(versions)
        holdout = None
        if len(self.ids[-1]):
            mean = average(rest, self.classes, TOP_K, self.folder)
            holdout = self._evaluate(mean, self.labels[-1])
            if out is not None:
                mean.write(out)
        return {
            "gap_oof": pooled["gap20"],
            "bce_oof": sum(losses) / len(self.pooled) if losses else None,
            "gap_folds": [_gap(own[k], self.labels[k]) for k in FOLDS],
            "gap_versions": [version["gap20"] for version in versions],
            "gap_holdout": holdout and holdout["gap20"],
            "gap_holdout_single": single["gap20"],
            "out_of_fold": pooled,
            "holdout": holdout,
            "holdout_single": single,
        }

    def _evaluate(self, found: Predictions, labels: Labels) -> dict:
        return evaluate(found.classes, found.logits, labels, self.classes)


def concatenate(parts: list[Predictions], folder: Path) -> Predictions:
    """The videos of all parts with their 20 best classes; kept in `folder`."""
    width = min(TOP_K, *(part.classes.shape[1] for part in parts))
    pool, start = to_fill(np.concatenate([part.ids for part in parts]), width, folder), 0
    for part in parts:
        rows = np.arange(len(part.ids))
        pool.put(start + rows, part, rows)
        start += len(rows)
    return pool


def means(stacking: Path, names: list[str], truth: Truth, settings: Stacking) -> dict:
    """Figures of the mean of the models' logits and of the fitted weighted mean."""
    folders = [fold_folder(stacking, k) / ROWS for k in FOLDS]
    own = [Rows.open(folder, FOLD_PREFIX) for folder in folders]
    rest = [Rows.open(folder, HOLDOUT_PREFIX) for folder in folders]
    count = len(names)
    samples = [baselines.sample(rows, count, f"weights {settings.seed}") for rows in own]
    even = [(np.full(count, 1 / count, np.float32), 0.0)] * NUM_FOLDS
    fitted = [
        baselines.fit_weights([part for j, part in enumerate(samples) if j != k]) for k in FOLDS
    ]
    figures = {}
    for system, weights in (("mean", even), ("weighted_mean", fitted)):
        found = [
            [
                baselines.weighted_mean(rows, *weights[k], settings.chunk_videos, truth.folder)
                for k, rows in enumerate(group)
            ]
            for group in (own, rest)
        ]
        figures[system] = truth.figures(*found)
    mean_weights = np.mean([weights for weights, _ in fitted], axis=0)
    figures["weighted_mean"]["weights"] = dict(zip(names, map(float, mean_weights), strict=True))
    return figures


def importance(stacking: Path, settings: Stacking) -> dict[str, float]:
    """What the learners make of each column, mean over the five folds; largest first."""
    shares, names = [], []
    for fold in FOLDS:
        folder = fold_folder(stacking, fold)
        about = read_json(folder / ROWS / ROWS_ABOUT)
        shares.append(Learned.read(folder, settings, about).shares())
        names = column_names(about)
    mean = np.mean(shares, axis=0)
    return {names[i]: float(mean[i]) for i in np.argsort(-mean, kind="stable")}


def costs(stacking: Path, settings: Stacking) -> dict:
    """Rows, seconds, rounds and the candidates' recall, as the other verbs reported them."""
    folders = [fold_folder(stacking, k) for k in FOLDS]
    rows = [read_json(folder / ROWS / ROWS_ABOUT) for folder in folders]
    trees, networks = (
        [read_json(folder / name) for folder in folders] if used else []
        for name, used in ((BOOSTER_TRAINING, settings.trees), (HEAD_TRAINING, settings.networks))
    )
    found, total = (sum(part[key] for part in rows) for key in ("labels_found", "labels"))
    held = [part["holdout_recall"] for part in rows]
    return {
        "learner": settings.learner,
        "candidates": rows[0]["candidates"],
        "recall": found / total if total else None,
        "recall_holdout": None if None in held else sum(held) / len(held),
        "videos": sum(part["videos"] for part in rows),
        "holdout_videos": rows[0]["holdout_videos"],
        "rows": sum(part["videos"] * part["candidates"] for part in rows),
        "rounds": [part["rounds"] for part in trees],
        "inner_loss": [part["inner_loss"] for part in trees],
        "seconds_rows": sum(part["seconds"] for part in rows),
        "seconds_train": sum(part["seconds"] for part in trees + networks),
    }


def _gap(found: Predictions, labels: Labels) -> float | None:
    value = gap(found.classes, found.logits, labels)
    return None if math.isnan(value) else value


def _text(figures: dict) -> str:
    texts = {"gap_oof": "out of fold", "gap_holdout": "holdout", "gap_holdout_single": "single"}
    known = [key for key in texts if figures[key] is not None]
    return "GAP@20 " + ", ".join(f"{texts[key]} {figures[key]:.4f}" for key in known)


if __name__ == "__main__":
    cli.run(main)
