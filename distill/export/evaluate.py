"""Scores an export on the holdout: the six figures that `make evaluate` prints.

    python -m distill.export.evaluate EXPORT STORE FOLDS OUT.json

It scores the export as it is stored, on videos that no stage saw; without any (HOLDOUT=0) the
figures are null. The report reads OUT_predictions.safetensors, each video's 20 best classes.
"""

from pathlib import Path

import numpy as np
from scipy.special import logit

from distill.export.run import Exported, best_of
from first_level.bundle.manifest import read_trained_on
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, write_json
from yt8m.data.origins import count_known
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.training import metrics


def main(
    export: Path,
    store: Path,
    folds: Path,
    out: Path,
    *,
    threads: int = 1,
    stack: Path | None = None,
) -> None:
    """Writes gap20, map, classes, hit1, hit5, perr and videos of EXPORT on the holdout to OUT.

    --stack: the report of the stack; what it says of leaks is repeated, as `alarms`.
    """
    exported, data = Exported(export, threads=threads), Store(store)
    if exported.manifest.classes != data.dims.classes:
        raise InputError(
            f"{export}: has {exported.manifest.classes} classes and {store} {data.dims.classes}; "
            "give the store of the export's data set"
        )
    rows = Splits.read(folds, data.ids).holdout
    known = count_known(read_trained_on(export), data.ids[rows])
    if known:
        raise InputError(
            f"{export}: was trained on {known:,} of the {len(rows):,} videos of the holdout of "
            f"{folds}; judge it by the folds that it was trained by"
        )
    best = best_of(exported, data, rows)
    figures = figures_of(*best, data, rows)
    classes, scores = best
    limit = np.finfo(np.float16).max  # the logit of a score of 1 is infinite
    logits = logit(scores).clip(-limit, limit).astype(np.float16)
    predictions = Predictions(data.ids[rows], classes.astype(np.uint16), logits)
    predictions.write(out.with_name(f"{out.stem}_predictions.safetensors"))
    alarms = read_json(stack).get("alarms", []) if stack else []
    write_json(out, figures | ({"alarms": alarms} if alarms else {}))
    texts = (f"{name} {'-' if v is None else f'{v:.5g}'}" for name, v in figures.items())
    log(f"[score] {export} on {len(rows):,} videos of the holdout: {', '.join(texts)}")


def figures_of(classes: np.ndarray, scores: np.ndarray, data: Store, rows: np.ndarray) -> dict:
    """metrics.evaluate of store rows; None each without rows."""
    if not len(rows):
        names = ("gap20", "map", "classes", "hit1", "hit5", "perr", "videos")
        return dict.fromkeys(names)
    return metrics.evaluate(classes, scores, data.labels.take(rows), data.dims.classes)


if __name__ == "__main__":
    cli.run(main)
