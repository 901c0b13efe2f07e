"""On generated records: are the soft labels closer to the hidden clean labels than the noisy ones?

    python -m report.denoising artifacts/demo

Of the training videos. The soft labels are cut at the threshold where their recall of the clean
labels equals the noisy labels' recall; the precision of both is compared there. Nothing else ever
reads the clean labels. Exit status 1 if the soft labels are not more precise.
"""

import sys
from pathlib import Path

import numpy as np

from yt8m.base import cli
from yt8m.base.arrays import open_arrays
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, write_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits, row_finder
from yt8m.data.store import Store
from yt8m.records.labels import Labels


def main(run: Path) -> None:
    """Compares RUN/stacking/soft_labels.safetensors with RUN/records/clean_labels.safetensors."""
    if not (run / "records" / "clean_labels.safetensors").is_file():
        raise InputError(f"{run}: no clean labels; only generated records have them; `make demo`")
    store = Store(run / "store")
    rows = Splits.read(run / "folds.safetensors", store.ids).training
    ids, noisy = store.ids[rows], store.labels.take(rows)
    clean = clean_labels(run / "records" / "clean_labels.safetensors", ids)
    soft = Predictions.read(run / "stacking" / "soft_labels.safetensors").align(ids)
    found = compare(soft, noisy, clean)
    write_json(run / "denoising.json", found)
    log(
        f"\nagainst the hidden clean labels of {len(ids):,} training videos, at recall "
        f"{found['recall']:.3f}: noisy labels' precision {found['noisy_precision']:.3f}, "
        f"soft labels' {found['soft_precision']:.3f}"
    )
    _compare_students(run)
    if found["soft_precision"] <= found["noisy_precision"]:
        sys.exit("the soft labels are no more precise than the noisy labels they were made from")


def clean_labels(path: Path, ids: np.ndarray) -> Labels:
    """The hidden clean labels of videos, aligned by id."""
    arrays = open_arrays(path)
    labels = Labels(arrays["indptr"], arrays["indices"].astype(np.uint16))
    return labels.take(row_finder(arrays["ids"], path)(ids))


def compare(soft: Predictions, noisy: Labels, clean: Labels) -> dict[str, float]:
    """Recall of the noisy labels, and the precision of noisy and of soft labels at that recall."""
    total = len(clean.indices)
    right = noisy.rows()[:, None], noisy.indices[:, None]
    kept = clean.take(right[0][:, 0]).contains(right[1]).sum()  # noisy labels that are clean ones
    hits = clean.contains(soft.classes).ravel()
    hits = hits[np.argsort(-soft.logits.astype(np.float32).ravel(), kind="stable")]
    found = np.cumsum(hits)
    at = int(np.searchsorted(found, kept))  # the first cut with as many clean labels as the noisy
    reached = at < len(found)
    return {
        "recall": float(kept / total),
        "noisy_precision": float(kept / len(noisy.indices)),
        "soft_precision": float(found[at] / (at + 1)) if reached else 0.0,
    }


def _compare_students(run: Path) -> None:
    """Says whether the exported student beats each first-level model on the holdout."""
    systems = read_json(run / "summary.json")["systems"]
    models = {s["system"]: s["gap_single"] for s in systems if s["level"] in ("video", "frame")}
    export = models.pop("export")
    best = max((m for m in models if not m.startswith("student")), key=models.get)
    log(f"holdout GAP@20: export {export:.4f}, best first-level model {models[best]:.4f} ({best})")


if __name__ == "__main__":
    cli.run(main)
