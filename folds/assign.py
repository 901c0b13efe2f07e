"""Which video is in which fold: a holdout aside first, then five folds, by hashes of the id.

    python -m folds.assign STORE FOLDS [--holdout 0.1]

No stage trains, tunes or stops on the holdout. The fold of a video does not depend on how much is
held out. Videos without a labels field (the test partition) are in no fold.
"""

from pathlib import Path

import numpy as np

from yt8m.base import cli
from yt8m.base.arrays import blocks
from yt8m.base.cli import InputError, log
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNUSED, Splits, uniform
from yt8m.data.store import Store
from yt8m.records.labels import Labels

BLOCK = 1 << 15  # videos at a time
SHOWN = 5  # class names in the log


def main(store: Path, folds: Path, *, holdout: float = 0.1) -> None:
    """Writes FOLDS for the videos of STORE and prints the balance.

    --holdout: fraction of the videos that no stage trains on; 0 is allowed, below 1.
    """
    if not 0 <= holdout < 1:
        raise InputError(f"--holdout {holdout}: at least 0 and less than 1 is allowed")
    data = Store(store)
    splits = assign(data.ids, data.labelled, holdout)
    empty = [k for k in range(NUM_FOLDS) if not len(splits.rows(k))]
    if empty:
        raise InputError(
            f"{store}: fold {empty[0]} has no videos: {int(data.labelled.sum()):,} of "
            f"{len(data.ids):,} videos have labels; give more records or a smaller --holdout"
        )
    if holdout and not len(splits.holdout):
        raise InputError(
            f"{store}: none of {len(data.ids):,} videos is in the holdout; give more records or a "
            f"larger --holdout than {holdout:g}, or 0 to do without"
        )
    if not len(data.labels.take(splits.training).indices):
        raise InputError(f"{store}: no training video has a label; give records with labels")
    log(balance(splits, data.labels, data.class_names))
    splits.write(folds, data.ids)


def assign(ids: np.ndarray, labelled: np.ndarray, holdout: float) -> Splits:
    """ids (N,) bytes, labelled bool (N,) -> Splits. Two salts: two independent numbers a video."""
    fold = np.empty(len(ids), np.int8)
    for block in blocks(len(ids), BLOCK):
        own = (uniform(ids[block], "fold") * NUM_FOLDS).astype(np.int8)
        own[uniform(ids[block], "holdout") < holdout] = HOLDOUT
        own[~np.asarray(labelled[block])] = UNUSED
        fold[block] = own
    return Splits(fold)


def balance(splits: Splits, labels: Labels, names: list[str]) -> str:
    """Lines on the videos and labels of each fold and of the holdout, and on how many classes have
    no positive video, in all folds and in each training split."""
    lines, counts = [], {}
    for k in (*range(NUM_FOLDS), HOLDOUT):
        rows, name = splits.rows(k), "holdout" if k == HOLDOUT else f"fold {k}"
        counts[name] = labels.class_counts(len(names), rows)
        mean = counts[name].sum() / max(len(rows), 1)
        lines.append(f"{name:8} {len(rows):>9,} videos {mean:6.2f} labels a video")
    unused = int((splits.fold == UNUSED).sum())
    if unused:
        lines.append(f"{'unused':8} {unused:>9,} videos without a labels field")
    del counts["holdout"]
    whole = sum(counts.values())
    lines.append(_without_positives("all folds", whole, names))
    for name, own in counts.items():
        lines.append(_without_positives(f"training without {name}", whole - own, names))
    return "\n".join(lines)


def _without_positives(where: str, counts: np.ndarray, names: list[str]) -> str:
    absent = np.flatnonzero(counts == 0)
    shown = ", ".join(names[c] for c in absent[:SHOWN])
    examples = f" ({shown}{', ...' if len(absent) > SHOWN else ''})" if len(absent) else ""
    return f"{where}: {len(absent):,} of {len(names):,} classes have no positive{examples}"


if __name__ == "__main__":
    cli.run(main)
