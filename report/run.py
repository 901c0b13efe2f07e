"""A finished run as the report's page reads it: files of all stages, and samples of them.

The page shows fold FOLD's versions of the first level and the stack: models and booster that never
saw that fold, nor the holdout. N videos, M candidates, m models, C classes.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from report.students import part_folders
from stacking.features import lookup
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX, Rows, read_models
from yt8m.base.files import read_json, require
from yt8m.base.paths import (
    CONFIG,
    HEAD_TRAINING,
    PREDICTIONS,
    REPORT,
    ROWS,
    ROWS_ABOUT,
    Artifacts,
    fold_folder,
)
from yt8m.data.predictions import Predictions, sigmoid
from yt8m.data.splits import NUM_FOLDS, Splits, row_finder, uniform
from yt8m.data.store import Store
from yt8m.records.labels import Labels

FOLD = 0


class Run:
    """files: of artifacts/<plan>; store: its Store; splits; models: names in the order of columns;
    summary, stack, evaluation: what the stages reported."""

    def __init__(self, folder: Path, store: Path):
        """InputError when a file is missing."""
        self.files, self.store = Artifacts(folder, store), Store(store)
        self.splits = Splits.read(self.files.folds, self.store.ids)
        self.models = read_models(self.files.models)
        self.summary = read_json(self.files.summary)
        self.stack = read_json(self.files.stacking / REPORT)
        self.evaluation = read_json(self.files.evaluation)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.store.dims.classes

    @property
    def has_holdout(self) -> bool:
        """False with HOLDOUT=0."""
        return len(self.splits.holdout) > 0

    @cached_property
    def reports(self) -> dict[str, list[dict]]:
        """The five reports of each first-level model."""
        return {
            model: [read_json(self.files.model_fold(model, k) / REPORT) for k in range(NUM_FOLDS)]
            for model in self.models
        }

    @cached_property
    def students(self) -> dict[str, dict]:
        """The reports of the students' parts that the settings name, by folder."""
        folder = self.files.distill
        parts = part_folders(read_json(folder / CONFIG))
        return {part: read_json(folder / part / REPORT) for part in parts}

    @cached_property
    def reranker_seconds(self) -> float:
        """Seconds of the re-ranker and its rows; 0 without a re-ranked student."""
        folder = self.files.reranker
        if not read_json(self.files.distill / CONFIG)["refit"]["models"]:
            return 0.0
        rows = [fold_folder(folder, k) / ROWS / ROWS_ABOUT for k in range(NUM_FOLDS)]
        return sum(read_json(path)["seconds"] for path in [folder / HEAD_TRAINING, *rows])

    @cached_property
    def exported(self) -> Predictions | None:
        """The export's best classes of the holdout, in the order of the store; None without one."""
        if not self.has_holdout:
            return None
        hint = f"delete {self.files.evaluation}, run `make`"
        path = require(self.files.evaluation_predictions, hint)
        return Predictions.read(path).align(self.store.ids[self.splits.holdout])

    @cached_property
    def stacked(self) -> Predictions:
        """The stack's predictions of fold FOLD and the holdout, by the booster that saw neither."""
        return Predictions.read(self.files.stack_fold(FOLD) / PREDICTIONS)

    @cached_property
    def judged(self) -> tuple[Predictions, str]:
        """What is judged, and in words: the export on the holdout, else the stack out of fold."""
        if self.exported is not None:
            number = len(self.splits.holdout)
            text = f"the export on all {number:,} videos of the holdout, which no stage saw"
            return self.exported, text
        found = self.stacked.align(np.array(self.rows(FOLD_PREFIX).ids))
        text = f"the stack, out of fold, on the {len(found.ids):,} training videos of fold {FOLD}"
        return found, f"{text}; there is no holdout"

    @cached_property
    def clean(self) -> Path | None:
        """The hidden clean labels, which generated records alone have."""
        path = self.files.clean_labels
        return path if path.is_file() else None

    def rows(self, prefix: str) -> Rows:
        """The candidates of fold FOLD or, with HOLDOUT_PREFIX, of the holdout; memory-mapped."""
        return Rows.open(self.files.stack_rows(FOLD), prefix)

    def labels_of(self, ids: np.ndarray) -> Labels:
        """The labels of videos."""
        return self.store.labels.take(row_finder(self.store.ids, self.store.folder)(ids))


@dataclass(frozen=True)
class Sample:
    """Candidates of n videos. classes, labels (n, M); logits float32 (m, n, M) of the models;
    mean: their mean probability, stack: its logits, (n, M); rows, videos: where they are from."""

    ids: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    mean: np.ndarray
    stack: np.ndarray
    rows: Rows
    videos: np.ndarray


def prefix_of(run: Run) -> str:
    """The group that figures of the ensemble are from: the holdout, or else fold FOLD."""
    return HOLDOUT_PREFIX if run.has_holdout else FOLD_PREFIX


def source_of(run: Run, videos: int) -> str:
    """Which videos those are, in words."""
    by = f", by the versions that never saw fold {FOLD}"
    if run.has_holdout:
        return f"{videos:,} videos of the holdout, which no stage saw{by}"
    return f"{videos:,} training videos of fold {FOLD}{by}; the run has no holdout"


def choose(ids: np.ndarray, most: int) -> np.ndarray:
    """At most `most` places of ids, ascending, chosen by a hash of the id."""
    return np.sort(np.argsort(uniform(ids, "report"), kind="stable")[:most])


def sample(run: Run, prefix: str, videos: np.ndarray) -> Sample:
    """The candidates of `videos`, int64 places in the group's rows."""
    rows = run.rows(prefix)
    ids, classes = np.array(rows.ids[videos]), np.array(rows.classes[videos])
    features, count = rows.features[videos], len(run.models)
    stack = values_at(run.stacked.align(ids), classes, run.num_classes)
    return Sample(
        ids,
        classes,
        np.array(rows.labels[videos], bool),
        np.moveaxis(features[:, :, :count], 2, 0),
        sigmoid(features[:, :, :count]).mean(2),
        stack,
        rows,
        videos,
    )


def values_at(found: Predictions, classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Logits of aligned predictions at classes (n, M); the least one of a row where not kept."""
    return lookup([(found.classes, found.logits)], classes, num_classes)[0][0]
