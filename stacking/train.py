"""One booster: learns from the out-of-fold rows of every fold but one.

    python -m stacking.train CONFIG.json STACKING_FOLDER OUT_MODEL.txt --fold 3 --threads 1

Reads STACKING_FOLDER/fold<j>/rows for j != fold; with --fold -1, of all folds. Early stopping looks
at the log-loss of an inner split of those folds' videos, never at the fold that the booster then
predicts, nor at the holdout. Of more than booster.most_rows rows it reads those of a sample of the
videos. Writes LightGBM's text, and beside it train.json (rounds, losses, seconds).
"""

import time
from pathlib import Path

from stacking.booster import fit, sequences, title_of
from stacking.config import Stacking, parameters
from yt8m.base import cli
from yt8m.base.cli import log
from yt8m.base.config import read_snapshot
from yt8m.base.files import working_in, write_json, writing
from yt8m.base.paths import BOOSTER_TRAINING
from yt8m.base.receipts import commit


def main(config: Path, stacking: Path, out: Path, *, fold: int = 0, threads: int = 1) -> None:
    """Trains the booster that will predict fold FOLD and the holdout; with -1, other videos."""
    started = time.monotonic()
    settings = read_snapshot(config, Stacking)
    options, title = parameters(settings, threads), f"[stack {title_of(fold)}]"
    with working_in(out.parent):
        train, inner, names = sequences(stacking, fold, settings)
        booster, losses = fit(train, inner, names, options, title)
        about = {
            "rows": sum(map(len, train)),
            "inner_rows": sum(map(len, inner)),
            "rounds": booster.best_iteration,
            "inner_loss": losses[booster.best_iteration - 1],
            "seconds": round(time.monotonic() - started, 2),
            "commit": commit(),
        }
        write_json(out.with_name(BOOSTER_TRAINING), about)
        with writing(out) as temporary:
            booster.save_model(temporary, num_iteration=booster.best_iteration)
    log(
        f"{title} {about['rounds']} rounds on {about['rows']:,} rows, inner loss "
        f"{about['inner_loss']:.5f}, {about['seconds']} s, {cli.peak_memory_mb():,.0f} MB"
    )


if __name__ == "__main__":
    cli.run(main)
