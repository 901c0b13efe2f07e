"""A store with false labels, for `make canary`: its features are those of another one.

    python -m folds.shuffle STORE FOLDS OUT [--seed 0] [--share 0.01]

Each video gets the labels of another one: then features say nothing of labels. With --share only
such a share of the labels of fold 0's videos is replaced, each by a class of another video
(`false_labels`). OUT links to STORE's features, and to its videos without labels.
"""

import shutil
from pathlib import Path

import numpy as np

from folds.false_labels import FOLD, false_labels, permute
from folds.join import ROWS
from folds.parts import sizes_of
from yt8m.base import cli
from yt8m.base.checksums import write_sums
from yt8m.base.cli import log
from yt8m.base.files import read_json, remove, working_in, write_json, writing
from yt8m.base.paths import ABOUT, MANIFEST
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.data.unlabelled import FOLDER
from yt8m.records.labels import Labels


def main(store: Path, folds: Path, out: Path, *, seed: int = 0, share: float = 0.0) -> None:
    """Writes OUT, a store like STORE with permuted labels, or with a --share of false ones."""
    data = Store(store)
    splits = Splits.read(folds, data.ids)
    if share:
        wrong = false_labels(data, splits, share, seed)
        labels, text = wrong.labels, f"{len(wrong.rows):,} false labels in fold {FOLD}"
    else:
        labels, text = permute(data, seed), "the labels of another video for each"
    with working_in(out):
        rows = read_json(store / MANIFEST)["rows"]
        with writing(out / rows) as folder:
            write_rows(store / rows, folder, labels)
        for name in [*data.kinds, FOLDER]:
            if (store / name).is_dir():
                remove(out / name)
                (out / name).symlink_to((store / name).resolve())
        for name in (ABOUT, MANIFEST):
            shutil.copy(store / name, out / name)
    log(f"{out}: {len(data.ids):,} videos, {text}")


def write_rows(source: Path, folder: Path, labels: Labels) -> None:
    """A copy of a store's rows with other labels."""
    shutil.copytree(source, folder)
    np.save(folder / "indptr.npy", labels.indptr)
    np.save(folder / "indices.npy", labels.indices)
    about = read_json(folder / ROWS)
    (folder / ROWS).unlink()
    write_sums(folder)
    write_json(folder / ROWS, about | {"files": sizes_of(folder)})


if __name__ == "__main__":
    cli.run(main)
