"""The table, and the comparison with the hidden clean labels, against direct definitions."""

import numpy as np
import pytest

from report import denoising, table
from report.clean_labels import compare
from yt8m.base.cli import InputError
from yt8m.data.predictions import Predictions
from yt8m.records.labels import Labels


def test_a_figure_that_does_not_exist_is_a_dash_and_columns_are_aligned():
    systems = [
        {"system": "linear", "level": "video", "gap_oof": 0.61234, "gap_single": None,
         "gap_five": None, "megabytes": 17.8, "seconds": 61.4},
        {"system": "export", "level": "video", "gap_oof": None, "gap_single": 0.7,
         "gap_five": None, "megabytes": 494.5, "seconds": None},
    ]  # fmt: skip
    lines = table.lines(systems)
    assert len({len(line) for line in lines}) == 1
    assert [cell.strip() for cell in lines[2].split("|")[1:-1]] == [
        "linear", "video", "0.6123", "-", "-", "17.8", "61",
    ]  # fmt: skip
    assert "0.7000" in lines[3]


def test_precision_is_compared_at_the_noisy_labels_recall():
    rng = np.random.default_rng(0)
    videos, classes = 50, 12
    clean = [rng.choice(classes, 3, replace=False) for _ in range(videos)]
    noisy = [np.unique([row[0], rng.integers(classes)]) for row in clean]
    order = np.stack([rng.permutation(classes)[:8] for _ in range(videos)]).astype(np.uint16)
    logits = -np.sort(-rng.normal(size=order.shape), axis=1).astype(np.float16)
    ids = np.array([f"{i:02d}".encode() for i in range(videos)])
    found = compare(
        Predictions(ids, order, logits), Labels.from_lists(noisy), Labels.from_lists(clean)
    )
    kept = sum(len(set(n) & set(c)) for n, c in zip(noisy, clean, strict=True))
    assert found["recall"] == pytest.approx(kept / (3 * videos))
    assert found["noisy_precision"] == pytest.approx(kept / sum(map(len, noisy)))
    ranked = sorted(
        (-float(z), row, place, c in clean[row])
        for row in range(videos)
        for place, (z, c) in enumerate(zip(logits[row], order[row], strict=True))
    )
    right = np.cumsum([hit for *_, hit in ranked])
    taken = int(np.argmax(right == kept)) + 1  # the shortest list with as many clean labels
    assert found["soft_precision"] == pytest.approx(kept / taken)


def test_real_records_have_no_clean_labels(tmp_path):
    with pytest.raises(InputError, match="no clean labels; only generated records have them"):
        denoising.main(tmp_path)
