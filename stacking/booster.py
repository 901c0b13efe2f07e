"""One LightGBM booster: the rows it learns from, its training, and what it predicts."""

import time
from pathlib import Path

import lightgbm
import numpy as np

from stacking.candidates import sort_by_logit
from stacking.config import Stacking
from stacking.table import FOLD_PREFIX, Rows, column_names
from yt8m.base.arrays import blocks, let_go
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, require
from yt8m.base.paths import ROWS, ROWS_ABOUT, fold_folder
from yt8m.data.predictions import Predictions, to_fill
from yt8m.data.splits import NUM_FOLDS, uniform

LOG_EVERY = 50  # rounds
TOGETHER = 64  # videos, or single rows, read before their pages are released
ALL = -1  # as a fold: learn from every one


class RowSequence(lightgbm.Sequence):
    """Rows of some videos of one fold. LightGBM reads them from the memory maps as it needs them.

    float64, the only type that lightgbm.Sequence takes. variant: the booster's fold.
    """

    def __init__(self, rows: Rows, videos: np.ndarray, variant: int):
        self.rows, self.features = rows, rows.features
        self.label_features = rows.label_features[variant]
        self.videos, self.single = videos, 0
        self.width = rows.classes.shape[1]  # M
        self.columns = self.features.shape[2] + self.label_features.shape[2]
        self.batch_size = 32_768
        self.labels = np.empty((len(videos), self.width), np.float32)
        for part in blocks(len(videos), TOGETHER):
            self.labels[part] = rows.labels[videos[part]]
        self.labels = self.labels.reshape(-1)

    def __len__(self) -> int:
        return len(self.videos) * self.width

    def __getitem__(self, index) -> np.ndarray:
        if isinstance(index, slice):
            return self._between(*index.indices(len(self)))
        if isinstance(index, list):
            index = np.asarray(index, np.int64)
        video, candidate = self.videos[index // self.width], index % self.width
        own, known = self.features[video, candidate], self.label_features[video, candidate]
        self.single += 1  # LightGBM reads its sample row by row
        if self.single % TOGETHER == 0:
            let_go()
        return np.concatenate([own, known], axis=-1, dtype=np.float64)

    def _between(self, start: int, stop: int, step: int) -> np.ndarray:
        """Copies whole videos and cuts the ends off."""
        first = start // self.width
        videos = self.videos[first : -(-stop // self.width)]
        rows = np.empty((len(videos), self.width, self.columns))
        own = self.features.shape[2]
        for part in blocks(len(videos), TOGETHER):  # sampled videos lie on pages of their own
            rows[part, :, :own] = self.features[videos[part]]
            rows[part, :, own:] = self.label_features[videos[part]]
        rows = rows.reshape(-1, self.columns)
        return rows[start - first * self.width : stop - first * self.width : step]


def title_of(fold: int) -> str:
    """The booster that will predict this fold; ALL: the one that learns from every fold."""
    return "all folds" if fold == ALL else f"fold{fold}"


def sequences(stacking: Path, fold: int, settings: Stacking):
    """(training sequences, inner sequences, column names) of every fold but `fold` (ALL: of all).

    Of a sample of the videos where there are more than booster.most_rows rows. InputError when
    folds have different columns or a split has no video.
    """
    parts, names = open_folds(stacking, [k for k in range(NUM_FOLDS) if k != fold])
    total, most = sum(rows.labels.size for rows in parts.values()), settings.booster.most_rows
    share = most / max(1, total)
    if share < 1:
        log(f"[stack {title_of(fold)}] learns from {share:.1%} of {total:,} rows")
    train, inner = [], []
    for other, rows in parts.items():
        chosen = uniform(rows.ids, f"stacking sample {settings.seed}") < share
        inside = uniform(rows.ids, f"stacking inner {settings.seed}") < settings.inner_fraction
        for group, wanted in ((train, chosen & ~inside), (inner, chosen & inside)):
            videos = np.flatnonzero(wanted)
            if len(videos):
                variant = other if fold == ALL else fold
                group.append(RowSequence(rows, videos, variant))
    if not train or not inner:
        raise InputError(
            f"{stacking}: too few videos to train the booster of {title_of(fold)}; "
            "give more records"
        )
    return train, inner, names


def open_folds(stacking: Path, folds: list[int]) -> tuple[dict[int, Rows], list[str]]:
    """The rows of some folds, and their columns. InputError when the columns differ."""
    parts, names = {}, None
    for fold in folds:
        folder = fold_folder(stacking, fold) / ROWS
        parts[fold] = Rows.open(folder, FOLD_PREFIX)
        own = column_names(read_json(folder / ROWS_ABOUT))
        if names not in (None, own):
            raise InputError(
                f"{folder}: its columns differ from those of other folds; delete it, run `make`"
            )
        names = own
    return parts, names


def fit(train, inner, names: list[str], options: dict, prefix: str):
    """Trains with early stopping; returns the booster and the inner log-loss of every round."""
    first = lightgbm.Dataset(
        train,
        label=np.concatenate([part.labels for part in train]),
        feature_name=names,
        params=options,
    )
    second = lightgbm.Dataset(
        inner, label=np.concatenate([part.labels for part in inner]), reference=first
    )
    losses, started = [], time.monotonic()

    def progress(state) -> None:
        losses.append(state.evaluation_result_list[0][2])
        if len(losses) % LOG_EVERY == 0:
            seconds = time.monotonic() - started
            log(f"{prefix} round {len(losses)}: inner loss {losses[-1]:.5f}, {seconds:.1f} s")

    progress.order = 1  # before early stopping, which ends the loop by an exception
    rounds = options["num_iterations"]
    rest = {key: value for key, value in options.items() if key != "num_iterations"}
    try:
        booster = lightgbm.train(rest, first, rounds, valid_sets=[second], callbacks=[progress])
    except lightgbm.basic.LightGBMError as error:
        quantised = options.get("use_quantized_grad")
        hint = "; give more rows or set quantised = false" if quantised else ""
        raise InputError(f"{prefix} LightGBM failed: {error}{hint}") from error
    return booster, losses


def read_booster(path: Path) -> lightgbm.Booster:
    """Reads LightGBM's text. InputError when the file is absent or damaged."""
    try:
        return lightgbm.Booster(model_file=require(path, "run `make` to build it"))
    except lightgbm.basic.LightGBMError as error:
        raise InputError(
            f"{path}: not a LightGBM model ({error}); delete it, run `make`"
        ) from error


def read_booster_for(path: Path, about: dict, rows: Path) -> lightgbm.Booster:
    """The same. InputError when its columns are not those of the rows that `about` describes."""
    booster = read_booster(path)
    if booster.feature_name() != column_names(about):
        raise InputError(f"{path}: was trained on other columns than {rows} has; run `make`")
    return booster


def predict_rows(
    booster, parts: list[tuple[Rows, int]], chunk_videos: int, threads: int, folder: Path
) -> Predictions:
    """Predicts all videos of some (rows, variant); keeps the Predictions in `folder`."""
    ids = np.concatenate([rows.ids for rows, _ in parts])
    found, start = to_fill(ids, parts[0][0].classes.shape[1], folder), 0
    for rows, variant in parts:
        for chunk in blocks(len(rows.ids), chunk_videos):
            best = predict_candidates(
                booster, rows.classes[chunk], rows.matrix(chunk, variant), threads
            )
            place = slice(start, start := start + len(best[0]))
            found.classes[place], found.logits[place] = best
    return found


def predict_candidates(booster, classes: np.ndarray, matrix: np.ndarray, threads: int):
    """Candidates (n, M) and their logits, best first. matrix: their columns (n * M, F + L).

    Raw scores are logits with both objectives.
    """
    raw = booster.predict(matrix, raw_score=True, num_threads=threads)
    return sort_by_logit(classes, raw.reshape(classes.shape))
