"""One learner of the stack: learns from the out-of-fold rows of every fold but one.

    python -m stacking.train CONFIG.json STACKING_FOLDER OUT --fold 3 --learner trees --threads 1

Reads STACKING_FOLDER/fold<j>/rows for j != fold; with --fold -1, of all folds. Writes one of:

    trees    OUT is LightGBM's text, beside it train.json (rows, losses, seconds). Early stopping
             looks at the log-loss of an inner split of those folds' videos. Of more than
             booster.most_rows rows it reads those of a sample of the videos.
    network  OUT is the weights, beside it report.json. It learns from all rows.

Neither looks at the fold that it then predicts, nor at the holdout.
"""

import math
import time
from dataclasses import asdict, replace
from pathlib import Path

from stacking.config import Stacking, parameters
from stacking.table import groups_of, origin_of_learner, title_of
from yt8m.base import cli, processor
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_snapshot
from yt8m.base.digests import digest_of
from yt8m.base.files import fingerprint, remove, working_in, write_json
from yt8m.base.paths import (
    BOOSTER,
    BOOSTER_TRAINING,
    CHECKPOINT,
    REPORT,
    ROWS,
    ROWS_ABOUT,
    fold_folder,
)
from yt8m.base.receipts import commit
from yt8m.data.origins import MADE_FROM
from yt8m.data.splits import NUM_FOLDS

LEARNERS = ("trees", "network")


def main(
    config: Path,
    stacking: Path,
    out: Path,
    *,
    fold: int = 0,
    learner: str = "trees",
    threads: int = 1,
) -> None:
    """Trains what will predict fold FOLD and the holdout; with -1, other videos."""
    if learner not in LEARNERS:
        raise InputError(f"--learner {learner}: not a learner; allowed: {', '.join(LEARNERS)}")
    settings = read_snapshot(config, Stacking)
    with working_in(out.parent):
        train = train_trees if learner == "trees" else train_network
        about, text = train(stacking, out, fold, settings, threads)
    log(
        f"[stack {title_of(fold)} {learner}] {text} on {about['rows']:,} rows, "
        f"{about['seconds']} s, {cli.peak_memory_mb():,.0f} MB"
    )


def train_trees(stacking: Path, out: Path, fold: int, settings: Stacking, threads: int):
    """Writes a booster; returns what it says of itself, and a text for people."""
    from stacking.learners.booster import fit, save_booster, sequences

    started, options = time.monotonic(), parameters(settings, threads)
    origin = origin_of_learner(stacking, groups_of(stacking, fold)[0], fold)
    train, inner, names = sequences(stacking, fold, settings)
    booster, losses = fit(train, inner, names, options, f"[stack {title_of(fold)}]")
    if not math.isfinite(losses[booster.best_iteration - 1]):
        raise InputError(
            f"[stack {title_of(fold)}] inner loss is {losses[0]} after round 1; learning_rate is "
            f"{settings.booster.learning_rate:g}; lower booster.learning_rate"
        )
    about = {
        "rows": sum(map(len, train)),
        "inner_rows": sum(map(len, inner)),
        "rounds": booster.best_iteration,
        "inner_loss": losses[booster.best_iteration - 1],
        "seconds": round(time.monotonic() - started, 2),
        "commit": commit(),
    }
    save_booster(booster, out)
    origin = replace(origin, inputs=origin.inputs | {BOOSTER: digest_of(out)})
    write_json(out.with_name(BOOSTER_TRAINING), about | {MADE_FROM: asdict(origin)})
    return about, f"{about['rounds']} rounds, inner loss {about['inner_loss']:.5f},"


def train_network(stacking: Path, out: Path, fold: int, settings: Stacking, threads: int):
    """Writes a network; returns what it says of itself, and a text for people."""
    from stacking.learners.network import fit_head, save_head

    started = time.monotonic()
    processor.set_threads(threads)
    groups, names = groups_of(stacking, fold)
    origin = origin_of_learner(stacking, groups, fold)
    folds = [k for k in range(NUM_FOLDS) if k != fold]
    described = [fold_folder(stacking, k) / ROWS / ROWS_ABOUT for k in folds]
    made_from = fingerprint(settings.network.model_dump_json(), *described)
    head, history = fit_head(groups, len(names), settings, fold, out.parent, made_from)
    about = {
        "rows": sum(group.rows.labels.size for group in groups),
        "loss": history[-1]["loss"],
        "seconds": round(time.monotonic() - started, 2),
        "commit": commit(),
    }
    write_json(out.with_name(REPORT), about)
    save_head(head, out, names, origin)
    remove(out.with_name(CHECKPOINT))
    return about, f"loss {about['loss']:.5f}"


if __name__ == "__main__":
    cli.run(main)
