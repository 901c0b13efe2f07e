"""One booster: learns from the out-of-fold rows of every fold but one.

    python -m stacking.train CONFIG.json STACKING_FOLDER OUT_MODEL.txt --fold 3 --threads 1

Reads STACKING_FOLDER/fold<j>/rows for j != fold; with --fold -1, of all folds. Stops early on the
log-loss of an inner split of those folds' videos: never on the fold that it then predicts, nor on
the holdout. Of more than booster.most_rows rows, those of a sample of the videos are read. Writes
LightGBM's text, and beside it train.json (rounds, losses, seconds).
"""

import time
from pathlib import Path

import lightgbm
import numpy as np

from stacking.config import Stacking, parameters
from stacking.rows import OWN, Rows, column_names
from yt8m.base import cli
from yt8m.base.arrays import let_go
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json, working_in, write_json, writing
from yt8m.data.splits import NUM_FOLDS, uniform

LOG_EVERY = 50
TOGETHER = 64  # videos, or rows by themselves, read before pages may be let go of
ALL = -1  # as a fold: learn from every one


class RowSequence(lightgbm.Sequence):
    """Rows of some videos of one fold, read from the memory maps as LightGBM asks for them.

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
        for at in range(0, len(videos), TOGETHER):
            self.labels[at : at + TOGETHER] = rows.labels[videos[at : at + TOGETHER]]
            let_go()
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
        self.single += 1  # LightGBM asks for its sample row by row
        if self.single % TOGETHER == 0:
            let_go()
        return np.concatenate([own, known], axis=-1, dtype=np.float64)

    def _between(self, start: int, stop: int, step: int) -> np.ndarray:
        """Whole videos are copied, and the ends cut off."""
        first = start // self.width
        videos = self.videos[first : -(-stop // self.width)]
        rows = np.empty((len(videos), self.width, self.columns))
        own = self.features.shape[2]
        for at in range(0, len(videos), TOGETHER):  # of a sample, each is in pages of its own
            some = slice(at, at + TOGETHER)
            rows[some, :, :own] = self.features[videos[some]]
            rows[some, :, own:] = self.label_features[videos[some]]
            let_go()
        rows = rows.reshape(-1, self.columns)
        return rows[start - first * self.width : stop - first * self.width : step]


def main(config: Path, stacking: Path, out: Path, *, fold: int = 0, threads: int = 1) -> None:
    """Trains the booster that will predict fold FOLD and the holdout; with -1, other videos."""
    started = time.monotonic()
    settings = read_snapshot(config, Stacking)
    options = parameters(settings, threads)
    with working_in(out.parent):
        train, inner, names = sequences(stacking, fold, settings)
        booster, losses = fit(train, inner, names, options, f"[stack {named(fold)}]", started)
        about = {
            "rows": sum(map(len, train)),
            "inner_rows": sum(map(len, inner)),
            "rounds": booster.best_iteration,
            "inner_loss": losses[booster.best_iteration - 1],
            "seconds": round(time.monotonic() - started, 2),
        }
        write_json(out.with_name("train.json"), about)
        with writing(out) as temporary:
            booster.save_model(temporary, num_iteration=booster.best_iteration)
    log(
        f"[stack {named(fold)}] {about['rounds']} rounds on {about['rows']:,} rows, inner loss "
        f"{about['inner_loss']:.5f}, {about['seconds']} s, {cli.peak_memory_mb():,.0f} MB"
    )


def named(fold: int) -> str:
    """The booster that will predict this fold; ALL: the one that learns from every fold."""
    return "all folds" if fold == ALL else f"fold{fold}"


def sequences(stacking: Path, fold: int, settings: Stacking):
    """(training sequences, inner sequences, column names) of every fold but `fold` (of all: ALL);
    of more rows than booster.most_rows, those of a sample of the videos.

    InputError when folds were made from different models or a split has no video.
    """
    train, inner, names, opened = [], [], None, {}
    for other in (k for k in range(NUM_FOLDS) if k != fold):
        folder = stacking / f"fold{other}" / "rows"
        opened[other] = Rows.open(folder, OWN)
        found = column_names(read_json(folder / "rows.json"))
        if names not in (None, found):
            raise InputError(f"{folder}: other columns than its neighbours; delete it, run `make`")
        names = found
    there, most = sum(part.labels.size for part in opened.values()), settings.booster.most_rows
    share = most / max(1, there)
    if share < 1:
        log(f"[stack {named(fold)}] learns from {share:.1%} of {there:,} rows (booster.most_rows)")
    for other, rows in opened.items():
        chosen = uniform(rows.ids, f"stacking sample {settings.seed}") < share
        inside = uniform(rows.ids, f"stacking inner {settings.seed}") < settings.inner_fraction
        for part, wanted in ((train, chosen & ~inside), (inner, chosen & inside)):
            videos = np.flatnonzero(wanted)
            if len(videos):
                variant = other if fold == ALL else fold
                part.append(RowSequence(rows, videos, variant))
    if not train or not inner:
        raise InputError(
            f"{stacking}: too few videos to train and to stop the booster of {named(fold)}"
        )
    return train, inner, names


def fit(train, inner, names: list[str], options: dict, prefix: str, started: float):
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
    losses = []

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
        hint = (
            "; give it more rows or say quantised = false"
            if options.get("use_quantized_grad")
            else ""
        )
        raise InputError(f"{prefix} LightGBM failed: {error}{hint}") from error
    return booster, losses


if __name__ == "__main__":
    cli.run(main)
