"""On generated records: are the soft labels closer to the hidden clean labels than the noisy ones?

    python -m report.denoising artifacts/demo

Compares the labels of the training videos: the precision of both kinds, where the soft labels are
cut at the noisy labels' recall of the clean labels. Only reports read the clean labels. The exit
status is 1 if the soft labels are not more precise.
"""

import sys
from pathlib import Path

from report.clean_labels import clean_labels, compare
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, write_json
from yt8m.base.paths import Artifacts
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits
from yt8m.data.store import Store


def main(run: Path) -> None:
    """Compares RUN/stacking/soft_labels.safetensors with RUN/records/clean_labels.safetensors."""
    files = Artifacts.of_run(run)
    if not files.clean_labels.is_file():
        raise InputError(
            f"{run}: no clean labels; only generated records have them; run `make demo`"
        )
    store = Store(files.store)
    rows = Splits.read(files.folds, store.ids).training
    ids, noisy = store.ids[rows], store.labels.take(rows)
    clean = clean_labels(files.clean_labels, ids)
    soft = Predictions.read(files.soft_labels).align(ids)
    found = compare(soft, noisy, clean)
    write_json(files.denoising, found)
    log(
        f"\nagainst the hidden clean labels of {len(ids):,} training videos, at recall "
        f"{found['recall']:.3f}: noisy labels' precision {found['noisy_precision']:.3f}, "
        f"soft labels' {found['soft_precision']:.3f}"
    )
    _compare_students(files)
    if found["soft_precision"] <= found["noisy_precision"]:
        sys.exit("the soft labels are no more precise than the noisy labels they were made from")


def _compare_students(files: Artifacts) -> None:
    """Says whether the exported student beats each first-level model on the holdout."""
    systems = read_json(files.summary)["systems"]
    models = {s["system"]: s["gap_single"] for s in systems if s["level"] in ("video", "frame")}
    export = models.pop("export")
    best = max((m for m in models if not m.startswith("student")), key=models.get)
    log(f"holdout GAP@20: export {export:.4f}, best first-level model {models[best]:.4f} ({best})")


if __name__ == "__main__":
    cli.run(main)
