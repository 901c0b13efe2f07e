"""The hidden clean labels of generated records, and how close other labels come to them."""

from pathlib import Path

import numpy as np

from yt8m.base.arrays import open_arrays
from yt8m.data.predictions import Predictions
from yt8m.data.splits import row_finder
from yt8m.records.labels import Labels
from yt8m.training.metrics import ranked_hits


def clean_labels(path: Path, ids: np.ndarray) -> Labels:
    """The hidden clean labels of videos, aligned by id."""
    arrays = open_arrays(path)
    labels = Labels(arrays["indptr"], arrays["indices"].astype(np.uint16))
    return labels.take(row_finder(arrays["ids"], path)(ids))


def compare(soft: Predictions, noisy: Labels, clean: Labels) -> dict[str, float]:
    """Recall of the noisy labels, and the precision of noisy and of soft labels at that recall."""
    total = len(clean.indices)
    # noisy labels that are clean ones
    kept = clean.take(noisy.rows()).contains(noisy.indices[:, None]).sum()
    _, hits = ranked_hits(soft.classes, soft.logits, clean, soft.classes.shape[1])
    found = np.cumsum(hits)
    at = int(np.searchsorted(found, kept))  # the first cut with as many clean labels as the noisy
    reached = at < len(found)
    return {
        "recall": float(kept / total),
        "noisy_precision": float(kept / len(noisy.indices)),
        "soft_precision": float(found[at] / (at + 1)) if reached else 0.0,
    }
