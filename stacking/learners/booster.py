"""One LightGBM booster: the rows it learns from, its training, and what it predicts."""

import time
from pathlib import Path

import lightgbm
import numpy as np

from stacking.config import Stacking
from stacking.table import Rows, groups_of, title_of
from yt8m.base.arrays import blocks, let_go
from yt8m.base.checksums import open_text, seal_text
from yt8m.base.cli import InputError, log
from yt8m.base.files import writing
from yt8m.data.splits import uniform

LOG_EVERY = 50  # rounds
TOGETHER = 64  # videos, or single rows, read before their pages are released


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


def sequences(stacking: Path, fold: int, settings: Stacking):
    """(training sequences, inner sequences, column names) of every fold but `fold` (ALL: of all).

    Of a sample of the videos where there are more than booster.most_rows rows. InputError when
    folds have different columns or a split has no video.
    """
    groups, names = groups_of(stacking, fold)
    total, most = sum(group.rows.labels.size for group in groups), settings.booster.most_rows
    share = most / max(1, total)
    if share < 1:
        log(f"[stack {title_of(fold)}] learns from {share:.1%} of {total:,} rows")
    train, inner = [], []
    draws = [uniform(group.rows.keys, f"stacking inner {settings.seed}") for group in groups]
    least = min((draw.min() for draw in draws if len(draw)), default=0)  # one video at least
    for group, draw in zip(groups, draws, strict=True):
        rows = group.rows
        chosen = uniform(rows.ids, f"stacking sample {settings.seed}") < share
        inside = (draw < settings.inner_fraction) | (draw == least)
        for parts, wanted in ((train, chosen & ~inside), (inner, chosen & inside)):
            videos = np.flatnonzero(wanted)
            if len(videos):
                parts.append(RowSequence(rows, videos, group.variant))
    if not train or not inner:
        raise InputError(
            f"{stacking}: too few videos to train the booster of {title_of(fold)}; "
            "give more records"
        )
    return train, inner, names


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


def save_booster(booster: lightgbm.Booster, path: Path) -> None:
    """Writes LightGBM's text up to the best round, atomically, and a checksum as its last line."""
    text = booster.model_to_string(num_iteration=booster.best_iteration)
    with writing(path) as temporary:
        temporary.write_text(seal_text(text), encoding="utf-8")


def read_booster(path: Path) -> lightgbm.Booster:
    """Reads what `save_booster` wrote. InputError when the file is absent or damaged: LightGBM
    would end the process over a text that is cut off."""
    text = open_text(path)
    try:
        return lightgbm.Booster(model_str=text)
    except lightgbm.basic.LightGBMError as error:
        raise InputError(
            f"{path}: not a LightGBM model ({error}); delete it, run `make`"
        ) from error


class Trees:
    """A booster as a learner of the stack."""

    def __init__(self, booster: lightgbm.Booster, threads: int = 1):
        self.booster, self.threads = booster, threads

    @classmethod
    def read(cls, path: Path, columns: list[str], threads: int = 1) -> "Trees":
        """InputError when the file is absent or damaged, or of other columns."""
        booster = read_booster(path)
        if booster.feature_name() != columns:
            raise InputError(
                f"{path}: was trained on other columns than these rows have; run `make`"
            )
        return cls(booster, threads)

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Raw scores (R,) of rows (R, F): logits with both objectives."""
        return self.booster.predict(matrix, raw_score=True, num_threads=self.threads)

    def shares(self) -> np.ndarray:
        """Of the gain of all splits: float (F,)."""
        gain = self.booster.feature_importance("gain")
        return gain / max(gain.sum(), 1e-12)
