"""Which video is in which fold: a holdout aside first, then five folds, by hashes of the id.

    python -m folds.assign STORE FOLDS [--holdout 0.1] [--groups groups.csv]

No stage trains, tunes or stops on the holdout. The fold of a video does not depend on how much is
held out. Videos of a group (of records, or of --groups) stay together: the group is hashed instead
of the id. Videos without a labels field (the test partition) are in no fold. Near-copies in
different groups are named, and near_copies.csv beside FOLDS joins them if given as --groups.
"""

from pathlib import Path

import numpy as np

from folds.related.groups import (
    absent_from,
    describe_groups,
    groups_of,
    report_alike,
    with_groups_of,
)
from folds.related.id_files import SHARE, read_ids, share_of
from folds.related.near_copies import find_alike
from yt8m.base import cli
from yt8m.base.arrays import blocks
from yt8m.base.cli import InputError, log, name_some
from yt8m.base.files import writing
from yt8m.base.paths import NEAR_COPIES, for_numpy
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNUSED, Splits, uniform
from yt8m.data.store import Store
from yt8m.records.labels import Labels

BLOCK = 1 << 15  # videos at a time


def main(store: Path, folds: Path, *, holdout: str = "", groups: Path | None = None) -> None:
    """Writes FOLDS for the videos of STORE and prints the balance.

    --holdout: fraction of the videos that no stage trains on (0.1), 0 is allowed, below 1; or a
    file of their ids, one a line or a CSV with a column id. Not where STORE has records of one.
    --groups: a CSV with columns id and group.
    """
    data = Store(store)
    share, held_out = choose(data, str(holdout))
    keys = groups_of(data, groups, folds.parent)
    if held_out is not None and keys is not None:
        given, held_out = held_out, with_groups_of(held_out, keys)
        more = int((held_out & ~given).sum())
        log(f"holdout: {more:,} more videos are held out, of groups of those given")
    splits = assign(data.ids if keys is None else keys, data.labelled, share, held_out)
    splits = Splits(splits.fold, keys)
    _check_folds(store, data, splits, share)
    if held_out is not None and not len(splits.holdout):
        raise InputError(f"{store}: no video of the holdout has labels; give others")
    log(balance(splits, data.labels, data.class_names))
    for line in describe_groups(data, splits, groups) if keys is not None else ():
        log(line)
    alike = find_alike(data, folds.parent)
    for line in report_alike(data, splits, alike, folds.with_name(NEAR_COPIES)):
        log(line)
    with writing(for_numpy(folds)) as temporary, open(temporary, "wb") as file:
        np.savez(file, ids=data.ids, fold=splits.fold)
    splits.write(folds, data.ids)


def choose(data: Store, holdout: str) -> tuple[float, np.ndarray | None]:
    """(share to hold out by hash, or the videos to hold out: bool (N,)). InputError on what is
    neither a share nor a file of ids, or ids of which the data has none."""
    if data.held_out is not None:
        if holdout:
            text = "has records of a holdout; leave it out, or decode without --holdout"
            raise InputError(f"--holdout {holdout}: {data.folder} {text}")
        return 0, np.asarray(data.held_out)
    share = share_of(holdout or SHARE, "--holdout")
    if share is not None:
        return share, None
    known = read_ids(Path(holdout))
    found = np.concatenate([known.rows(data.ids[b]) >= 0 for b in blocks(len(data), BLOCK)])
    if not found.any():
        raise InputError(
            f"{holdout}: the data has none of its {len(known.ids):,} ids; spell them alike"
        )
    absent = absent_from(data, known)
    log(
        f"{holdout}: {found.sum():,} videos are held out; {absent:,} of its ids are not in the data"
    )
    return 0, found


def assign(
    keys: np.ndarray, labelled: np.ndarray, share: float, held_out: np.ndarray | None = None
) -> Splits:
    """keys: ids, or groups, bytes (N,); labelled bool (N,); held_out: bool (N,), beside the share
    that hashes choose -> Splits. Two salts: two independent numbers a key."""
    fold = np.empty(len(keys), np.int8)
    for block in blocks(len(keys), BLOCK):
        own = (uniform(keys[block], "fold") * NUM_FOLDS).astype(np.int8)
        own[uniform(keys[block], "holdout") < share] = HOLDOUT
        if held_out is not None:
            own[held_out[block]] = HOLDOUT
        own[~np.asarray(labelled[block])] = UNUSED
        fold[block] = own
    return Splits(fold)


def _check_folds(store: Path, data: Store, splits: Splits, share: float) -> None:
    """InputError when a fold or the holdout that was asked for is empty, or no video can teach."""
    empty = [k for k in range(NUM_FOLDS) if not len(splits.rows(k))]
    remedy = "give more records or a smaller --holdout"
    if splits.groups is not None:
        remedy += ", or more and smaller groups"
    if empty:
        raise InputError(
            f"{store}: fold {empty[0]} has no videos: {int(data.labelled.sum()):,} of "
            f"{len(data.ids):,} videos have labels; {remedy}"
        )
    if share and not len(splits.holdout):
        raise InputError(
            f"{store}: none of {len(data.ids):,} videos is in the holdout; give more records or a "
            f"larger --holdout than {share:g}, or 0 to do without"
        )
    if not len(data.labels.take(splits.training).indices):
        raise InputError(f"{store}: no training video has a label; give records with labels")


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
    examples = f" ({name_some([names[c] for c in absent])})" if len(absent) else ""
    return f"{where}: {len(absent):,} of {len(names):,} classes have no positive{examples}"


if __name__ == "__main__":
    cli.run(main)
