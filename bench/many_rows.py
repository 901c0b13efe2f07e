"""Rows of 85 models (115 columns): time, memory and disk as candidate rows grow to ten million.

    python -m bench.many_rows OUT [--rows "1000000 3000000 10000000"] [--rounds 30]

85 invented models list 20 classes of each video, 40 candidates a video. The stage's own verbs build
the rows of five folds and train one booster on four of them, on one thread each. OUT/many_rows.json
and OUT/many_rows.md hold CPU seconds, peak memory and disk of each size, and a straight line
through the two largest, drawn to a hundred million rows.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from bench.speed import stages
from bench.speed.generated import sparse
from bench.speed.measure import circumstances
from stacking.config import Booster, Stacking
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.files import read_json, working_in, write_json
from yt8m.base.paths import CONFIG, FIRST_LEVEL, PREDICTIONS, ROWS_ABOUT, Artifacts
from yt8m.base.tables import publish, table
from yt8m.data.origins import Origin, without
from yt8m.data.splits import Splits
from yt8m.data.store import Store

SIZES = "1000000 3000000 10000000"
NUM_MODELS, LISTED, POOL = 85, 20, 48  # POOL: classes of a video that any model lists
CANDIDATES = Stacking().candidates
CLASSES = 500
FAR = 100_000_000  # rows that the slope is drawn to
TITLES = ["rows", "columns", "stage", "CPU seconds", "memory MB", "disk GB"]


def main(out: Path, *, rows: str = SIZES, rounds: int = 30) -> None:
    """Measures each number of candidate rows of --rows."""
    wanted = sorted({int(size) for size in rows.split()})
    if not wanted or wanted[0] < 200 * CANDIDATES or rounds < 1:
        raise InputError(f"--rows {rows!r}: numbers, {200 * CANDIDATES:,} or more; --rounds: 1")
    with working_in(out):
        path = out / "many_rows.json"
        found = read_json(path) if path.is_file() else {}
        for size in wanted:
            with TemporaryDirectory(prefix="rows-", dir=out) as folder:
                found[str(size)] = of_size(size // CANDIDATES, Path(folder), rounds)
            write_json(path, found | {"about": {**circumstances(), "rounds": rounds}})
            found = read_json(path)
        publish(table(TITLES, lines(found)), out / "many_rows.md")


def of_size(videos: int, run: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds, MB and GB of both stages."""
    files = Artifacts.of_run(run)
    write_snapshot(files.stacking / CONFIG, Stacking(booster=Booster(max_rounds=rounds)))
    for verbs in stages.folds_commands(files, videos, CLASSES, rgb=16, audio=8).values():
        stages.run_verb(*verbs)
    with ProcessPoolExecutor(1) as pool:  # a process begins with the peak of the one it came from
        pool.submit(invent, files).result()
    commands, title = stages.stacking_commands(files), f"[many_rows] {videos * CANDIDATES:,} rows"
    found = {
        "rows": stages.run_all(commands["rows"], f"{title}, rows"),
        "boosting": stages.run_all(commands["boosting"][:1], f"{title}, boosting"),
    }
    about = read_json(files.stack_rows(0) / ROWS_ABOUT)
    found["columns"] = len(about["features"]) + len(about["label_features"])
    found["gb"] = round(stages.size_of(files.stacking) / 1e3, 3)
    return found


def invent(files: Artifacts) -> None:
    """Writes predictions of each model and fold: LISTED classes of its videos and the holdout."""
    store = Store(files.store)
    splits = Splits.read(files.folds, store.ids)
    names = [f"model{i:03d}" for i in range(NUM_MODELS)]
    files.first_level.mkdir()
    files.models.write_text("".join(f"{name}\n" for name in names))
    for fold in stages.FOLDS:
        rng = np.random.default_rng(fold)
        rows = np.concatenate([splits.rows(fold), splits.holdout])
        pool = pools(store, rows, rng)
        truth = rng.normal(-4, 2, pool.shape).astype(np.float32)
        truth[:, : POOL // 8] += 4
        for name in names:
            logits = truth + rng.standard_normal(truth.shape, np.float32)
            made = sparse(store.ids[rows], logits, LISTED)
            made = replace(made, classes=np.take_along_axis(pool, made.classes, 1))
            learnt, inputs = without(fold, splits, store.ids), {"folds": splits.digest}
            origin = Origin(f"{FIRST_LEVEL}/{name}", fold, learnt, inputs)
            replace(made, origin=origin).write(files.model_fold(name, fold) / PREDICTIONS)


def pools(store: Store, rows: np.ndarray, rng) -> np.ndarray:
    """uint16 (n, POOL): different classes of each video, its labels first."""
    pool = (rng.integers(0, CLASSES, (len(rows), 1)) + 7 * np.arange(POOL)) % CLASSES
    labels = store.labels.take(rows)
    for place in range(POOL // 8):
        videos = np.flatnonzero(np.diff(labels.indptr) > place)
        label = labels.indices[labels.indptr[videos] + place]
        # A label that is in the pool already changes places.
        twin = pool[videos] == label[:, None]
        where, column = np.nonzero(twin)
        pool[videos[where], column] = pool[videos[where], place]
        pool[videos, place] = label
    return pool.astype(np.uint16)


def lines(found: dict) -> list[list[str]]:
    """A row for each size and stage, and the two largest extrapolated to FAR rows."""
    sizes = sorted(int(size) for size in found if size != "about")
    rows = []
    for size in sizes:
        one = found[str(size)]
        for stage in ("rows", "boosting"):
            seconds, mb = one[stage]["seconds"], one[stage]["mb"]
            disk = f"{one['gb']:.2f}" if stage == "rows" else ""
            rows.append(
                [f"{size:,}", str(one["columns"]), stage, f"{seconds:,.0f}", f"{mb:,.0f}", disk]
            )
    if len(sizes) < 2:
        return rows
    small, large = (found[str(size)] for size in sizes[-2:])
    for stage in ("rows", "boosting"):
        further = [
            extrapolate(sizes, small[stage][key], large[stage][key]) for key in ("seconds", "mb")
        ]
        disk = f"{extrapolate(sizes, small['gb'], large['gb']):,.0f}" if stage == "rows" else ""
        rows.append([f"{FAR:,} by the slope", "", stage, *(f"{x:,.0f}" for x in further), disk])
    return rows


def extrapolate(sizes: list[int], before: float, after: float) -> float:
    """A straight line through the two largest sizes, at FAR."""
    return after + (after - before) / (sizes[-1] - sizes[-2]) * (FAR - sizes[-1])


if __name__ == "__main__":
    cli.run(main)
