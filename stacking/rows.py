"""Rows of one fold: features, classes and labels of its videos' candidates, and the holdout's.

    python -m stacking.rows CONFIG.json MODELS.txt RUN_FOLDER STORE FOLDS OUT --fold 3

All scores come from the first-level models trained without this fold. OUT is a folder of .npy:

    [holdout_]ids (N,), classes uint16 (N, M), labels uint8 (N, M), features float32 (N, M, F),
    label_features float32 (5, N, M, L): one for each booster; holdout_... (1, N, M, L)
    rows.json: names of models and columns, counts, recall of the candidates, seconds

N videos, M candidates, F columns without labels, L columns from labels (label_features.py).
"""

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stacking import features, label_features
from stacking.candidates import pooled
from stacking.config import Stacking
from yt8m.base import cli
from yt8m.base.arrays import create, let_go, open_array
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_snapshot
from yt8m.base.files import working_in, write_json, writing
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits, find_rows
from yt8m.data.store import Store

OWN, HOLDOUT = "", "holdout_"  # prefixes of the two groups' files


@dataclass(frozen=True)
class Rows:
    """One group's arrays, mapped. Column order: features, then label_features."""

    ids: np.ndarray
    classes: np.ndarray
    labels: np.ndarray
    features: np.ndarray
    label_features: np.ndarray

    @classmethod
    def open(cls, folder: Path, prefix: str) -> "Rows":
        """InputError when the folder is absent."""
        if not (folder / "rows.json").is_file():
            raise InputError(f"{folder}: no rows there; run `make` to build them")
        names = ("ids", "classes", "labels", "features", "label_features")
        return cls(*(open_array(folder / f"{prefix}{name}.npy") for name in names))

    def matrix(self, videos, variant: int) -> np.ndarray:
        """float32 (n * M, F + L) of `videos` (slice or indices); variant = the booster's fold, or 0
        for the holdout's, which has one."""
        own, known = self.features[videos], self.label_features[variant][videos]
        both = np.concatenate([own, known], axis=2)
        return both.reshape(-1, both.shape[2])


def read_models(path: Path) -> list[str]:
    """Model names, one a line, in the order of the columns. InputError when none or doubled."""
    models = path.read_text().split()
    if not models or len(set(models)) != len(models):
        raise InputError(f"{path}: {len(models)} names, {len(set(models))} different; one a line")
    return models


def column_names(about: dict) -> list[str]:
    """Names of the columns of `Rows.matrix`, from rows.json."""
    return about["features"] + about["label_features"]


def main(
    config: Path,
    models: Path,
    run: Path,
    store: Path,
    folds: Path,
    out: Path,
    *,
    fold: int = 0,
    frames: bool = True,
) -> None:
    """Writes the rows of one fold and of the holdout; every array in chunks of videos.

    --no-frames leaves the number of frames out, for boosters that will not be told it.
    """
    started = time.monotonic()
    settings = read_snapshot(config, Stacking)
    names = read_models(models)
    videos = Store(store)
    splits = Splits.read(folds, videos.ids)
    paths = [
        run / "first_level" / name / f"fold{fold}" / "predictions.safetensors" for name in names
    ]
    with working_in(out.parent), writing(out) as folder:
        folder.mkdir()
        about = write_fold(folder, fold, paths, names, videos, splits, settings, frames)
        about["seconds"] = round(time.monotonic() - started, 2)
        write_json(folder / "rows.json", about)
    log(
        f"[stack fold{fold}] {about['videos']:,} videos and {about['holdout_videos']:,} of the "
        f"holdout, {about['candidates']} candidates (recall {about['recall'] or 0:.4f}), "
        f"{len(column_names(about))} columns, {about['seconds']} s, "
        f"{cli.peak_memory_mb():,.0f} MB"
    )


def write_fold(
    folder: Path, fold: int, paths, names, store, splits: Splits, settings, frames: bool = True
) -> dict:
    """All arrays of one fold into `folder`, from the models' predictions (paths) in the order of
    their names; returns what rows.json says."""
    groups = {OWN: splits.rows(fold), HOLDOUT: splits.holdout}
    about = {"models": names, "label_features": list(label_features.NAMES)}
    lists = find_lists(paths, store.ids, groups)
    for prefix, rows in groups.items():
        about |= write_rows(folder, prefix, lists[prefix], store, rows, settings, names, frames)
    column = about["features"].index("probability_mean")
    write_label_features(folder, fold, store, splits, settings, column)
    return about


# Of each model: its predictions, and where the videos of a group are in them, int32 (n,).
Lists = list[tuple[Predictions, np.ndarray]]


def find_lists(paths: list[Path], ids: np.ndarray, groups: dict) -> dict[str, Lists]:
    """For each group, the Lists of the models. InputError when a video is absent or there twice."""
    lists = {prefix: [] for prefix in groups}
    wanted = np.concatenate([ids[rows] for rows in groups.values()])
    ends = np.cumsum([len(rows) for rows in groups.values()])[:-1]
    known = places = None
    for path in paths:
        both = Predictions.read(path)
        if known is None or not np.array_equal(both.ids, known):  # mostly all have one order
            known, places = both.ids, np.split(find_rows(wanted, both.ids, both.where), ends)
        for prefix, place in zip(groups, places, strict=True):
            lists[prefix].append((both, place))
        let_go()
    return lists


def write_rows(
    folder, prefix, lists, store, rows, settings: Stacking, models, frames: bool
) -> dict:
    """Candidates, their labels and features of one group. Returns what rows.json says of it."""
    kept = [found.classes.shape[1] for found, _ in lists]
    keep = min(settings.candidates, *kept, store.dims.classes)
    columns = features.names(models, features.video_context(store, rows[:0], frames))
    n, found, total = len(rows), 0, 0
    np.save(folder / f"{prefix}ids.npy", store.ids[rows])
    all_classes = create(folder / f"{prefix}classes.npy", np.uint16, (n, keep))
    all_labels = create(folder / f"{prefix}labels.npy", np.uint8, (n, keep))
    all_features = create(folder / f"{prefix}features.npy", np.float32, (n, keep, len(columns)))
    for chunk, classes, values in described(lists, store, rows, settings, keep, frames):
        labels = store.labels.take(rows[chunk])
        all_classes[chunk] = classes
        all_labels[chunk] = labels.contains(classes)
        all_features[chunk] = values
        let_go()
        found += int(all_labels[chunk].sum())
        total += len(labels.indices)
    recall = found / total if total else None
    about = {"videos": n, "labels": total, "labels_found": found, "recall": recall}
    return {f"{prefix}{key}": value for key, value in about.items()} | {
        "features": columns,
        "kept": kept,
        "candidates": keep,
    }


def described(lists, store, rows, settings: Stacking, keep: int, frames: bool):
    """Yields (slice of the videos, candidates (n, keep), features (n, keep, F)), chunk by chunk."""
    for start in range(0, len(rows), settings.chunk_videos):
        chunk = slice(start, start + settings.chunk_videos)
        some = ((found, places[chunk]) for found, places in lists)
        part = [(found.classes[at], found.logits[at].astype(np.float32)) for found, at in some]
        classes, _ = pooled(part, settings.rank_by, store.dims.classes, keep)
        context = features.video_context(store, rows[chunk], frames)
        yield chunk, classes, features.features(part, classes, store.dims.classes, context)


def known_labels(store, splits: Splits, settings: Stacking, *folds: int):
    """Statistics of the labels of all folds but these."""
    rows = splits.others(*folds)
    return label_features.statistics(store.labels, rows, store.dims.classes, settings.smoothing)


def write_label_features(folder, fold: int, store, splits: Splits, settings, column) -> None:
    """The columns from labels: those for booster k know the labels of neither fold k nor this.

    column: where the features have the candidates' mean probability.
    """
    groups = {}
    for prefix, variants in ((OWN, NUM_FOLDS), (HOLDOUT, 1)):
        classes = open_array(folder / f"{prefix}classes.npy")
        shape = (variants, *classes.shape, len(label_features.NAMES))
        out = create(folder / f"{prefix}label_features.npy", np.float32, shape)
        own = open_array(folder / f"{prefix}features.npy")
        groups[prefix] = (out, classes, own[:, :, column])
    for booster in range(NUM_FOLDS):
        known = known_labels(store, splits, settings, fold, booster)
        targets = [(booster, groups[OWN])]
        if booster == fold:
            targets.append((0, groups[HOLDOUT]))
        for variant, (out, classes, probability) in targets:
            for start in range(0, len(classes), settings.chunk_videos):
                chunk = slice(start, start + settings.chunk_videos)
                out[variant, chunk] = label_features.label_features(
                    known, classes[chunk], probability[chunk], settings.neighbours
                )
                let_go()


if __name__ == "__main__":
    cli.run(main)
