"""Makes rows of predictions: candidates, their features and their labels, chunk by chunk.

n videos of a chunk, m models, M candidates, F columns without labels, L columns from labels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stacking import features, label_features
from stacking.candidates import pool
from stacking.config import Stacking
from stacking.table import FOLD_PREFIX, HOLDOUT_PREFIX
from yt8m.base.arrays import blocks, create, let_go, open_array
from yt8m.base.checksums import write_sums
from yt8m.base.files import fingerprint
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits, find_rows
from yt8m.data.store import Store

# Of each model: its predictions, and where the videos of a group are in them, int32 (n,).
Lists = list[tuple[Predictions, np.ndarray]]


def find_lists(paths: list[Path], ids: np.ndarray, groups: dict) -> dict[str, Lists]:
    """The Lists of each group (name -> store rows). InputError when a video is absent or doubled.

    paths: the models' predictions.
    """
    lists = {name: [] for name in groups}
    wanted = np.concatenate([ids[rows] for rows in groups.values()])
    ends = np.cumsum([len(rows) for rows in groups.values()])[:-1]
    known = places = None
    for path in paths:
        both = Predictions.read(path)
        if known is None or not np.array_equal(both.ids, known):  # most models share one order
            known, places = both.ids, np.split(find_rows(wanted, both.ids, both.where), ends)
        for name, place in zip(groups, places, strict=True):
            lists[name].append((both, place))
        let_go()
    return lists


@dataclass(frozen=True)
class RowWriter:
    """Makes the rows of a store's videos. frames: with the number of frames as a column."""

    store: Store
    splits: Splits
    settings: Stacking
    frames: bool = True

    def columns(self, models: list[str]) -> list[str]:
        """Names of the columns without labels."""
        context = features.video_context(self.store, np.zeros(0, np.int64), self.frames)
        return features.names(models, context)

    def chunks(
        self, lists: Lists, rows: np.ndarray, keep: int
    ) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Yields (slice of the videos, candidates (n, keep), features (n, keep, F))."""
        num_classes = self.store.dims.classes
        for chunk in blocks(len(rows), self.settings.chunk_videos):
            part = []
            for found, places in lists:
                at = places[chunk]
                part.append((found.classes[at], found.logits[at].astype(np.float32)))
            classes, _ = pool(part, self.settings.rank_by, num_classes, keep)
            context = features.video_context(self.store, rows[chunk], self.frames)
            yield chunk, classes, features.features(part, classes, num_classes, context)

    def known_labels(self, *folds: int) -> label_features.Statistics:
        """Statistics of the labels of all folds but these."""
        rows, num_classes = self.splits.others(*folds), self.store.dims.classes
        smoothing = self.settings.smoothing
        return label_features.statistics(self.store.labels, rows, num_classes, smoothing)

    def write_fold(self, folder: Path, fold: int, paths: list[Path], models: list[str]) -> dict:
        """Writes all arrays of one fold into `folder`; returns what rows.json says.

        paths: the predictions of the models, in the order of their names.
        """
        groups = {FOLD_PREFIX: self.splits.rows(fold), HOLDOUT_PREFIX: self.splits.holdout}
        lists = find_lists(paths, self.store.ids, groups)
        kept = [found.classes.shape[1] for found, _ in lists[FOLD_PREFIX]]
        about = {
            "models": models,
            "label_features": list(label_features.NAMES),
            "features": self.columns(models),
            "kept": kept,
            "candidates": min(self.settings.candidates, *kept, self.store.dims.classes),
        }
        for prefix, rows in groups.items():
            found = self._write_group(folder, prefix, lists[prefix], rows, about)
            about |= {f"{prefix}{key}": value for key, value in found.items()}
        if self.splits.groups is not None:
            keys = folder / f"{FOLD_PREFIX}keys.npy"
            np.save(keys, self.splits.groups[groups[FOLD_PREFIX]])
            about["keys"] = fingerprint(keys)  # learners are made from rows.json
        self._write_label_features(folder, fold, about["features"].index("probability_mean"))
        write_sums(folder)
        return about

    def _write_group(
        self, folder: Path, prefix: str, lists: Lists, rows: np.ndarray, about: dict
    ) -> dict:
        """Writes candidates, labels and features of one group; returns its counts and recall."""
        n, keep, found, total = len(rows), about["candidates"], 0, 0
        shape = (n, keep, len(about["features"]))
        np.save(folder / f"{prefix}ids.npy", self.store.ids[rows])
        all_classes = create(folder / f"{prefix}classes.npy", np.uint16, shape[:2])
        all_labels = create(folder / f"{prefix}labels.npy", np.uint8, shape[:2])
        all_features = create(folder / f"{prefix}features.npy", np.float32, shape)
        for chunk, classes, values in self.chunks(lists, rows, keep):
            labels = self.store.labels.take(rows[chunk])
            all_classes[chunk] = classes
            all_labels[chunk] = labels.contains(classes)
            all_features[chunk] = values
            found += int(all_labels[chunk].sum())
            total += len(labels.indices)
        recall = found / total if total else None
        return {"videos": n, "labels": total, "labels_found": found, "recall": recall}

    def _write_label_features(self, folder: Path, fold: int, column: int) -> None:
        """Writes the columns from labels. Those for booster k know neither fold k nor this fold.

        column: where the features have the candidates' mean probability.
        """
        groups = {}
        for prefix, variants in ((FOLD_PREFIX, NUM_FOLDS), (HOLDOUT_PREFIX, 1)):
            classes = open_array(folder / f"{prefix}classes.npy")
            shape = (variants, *classes.shape, len(label_features.NAMES))
            out = create(folder / f"{prefix}label_features.npy", np.float32, shape)
            own = open_array(folder / f"{prefix}features.npy")
            groups[prefix] = (out, classes, own[:, :, column])
        for booster in range(NUM_FOLDS):
            known = self.known_labels(fold, booster)
            self._fill(known, booster, *groups[FOLD_PREFIX])
            if booster == fold:
                self._fill(known, 0, *groups[HOLDOUT_PREFIX])

    def _fill(self, known, variant: int, out, classes, probability) -> None:
        """Fills in one variant of a group's columns from labels."""
        for chunk in blocks(len(classes), self.settings.chunk_videos):
            out[variant, chunk] = label_features.label_features(
                known, classes[chunk], probability[chunk], self.settings.neighbours
            )
