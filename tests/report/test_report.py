"""The tables, and the comparison with the hidden clean labels, against direct definitions."""

import numpy as np
import pytest

from report import denoising, stage, table
from report.clean_labels import compare
from yt8m.base.cli import InputError
from yt8m.base.files import write_json
from yt8m.base.paths import Artifacts
from yt8m.data.predictions import Predictions
from yt8m.records.labels import Labels


def _figures(first: float) -> dict:
    """GAP@20, mAP, Hit@1 and PERR that all differ; hit5 and classes, which no table shows."""
    names = ("gap20", "map", "hit1", "perr")
    return {name: first + 0.01 * i for i, name in enumerate(names)} | {"hit5": 0.99, "classes": 9}


def _cells(lines: list[str]) -> dict[str, list[list[str]]]:
    """The cells of the tables, by the line above each; all lines of a table are of one length."""
    tables, title = {}, ""
    for line in filter(None, lines):
        if line.startswith("|"):
            assert len(line) == len(tables.setdefault(title, [line])[0])
            tables[title].append(line)
        else:
            title = line
    return {
        title: [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in [*found[1:2], *found[3:]]
        ]
        for title, found in tables.items()
    }


def test_each_figure_stands_in_its_column_below_its_videos():
    linear = {"system": "linear", "level": "video", "megabytes": 17.8, "seconds": 61.4}
    linear |= {"gap_oof": 0.1, "gap_single": 0.2, "gap_five": 0.3}
    linear |= {"oof": _figures(0.1), "single": _figures(0.2), "five": _figures(0.3)}
    older = {"system": "older", "level": "video", "gap_oof": 0.7, "gap_single": 0.6,
             "gap_five": None, "megabytes": 494.5, "seconds": None}  # fmt: skip
    nowhere = older | {"system": "nowhere", "gap_oof": None, "gap_single": None}
    head = ["system", "level", "GAP@20", "mAP", "Hit@1", "PERR", "MB", "seconds"]
    rest = ["-", "-", "-", "494.5", "-"]
    assert _cells(table.lines([linear, older, nowhere])) == {
        "out of fold:": [
            head,
            ["linear", "video", "0.1000", "0.1100", "0.1200", "0.1300", "17.8", "61"],
            ["older", "video", "0.7000", *rest],
        ],
        "holdout:": [
            head,
            ["linear", "video", "0.2000", "0.2100", "0.2200", "0.2300", "17.8", "61"],
            ["older", "video", "0.6000", *rest],
            ["nowhere", "video", "-", *rest],
        ],
        "holdout, 5 averaged:": [
            head,
            ["linear", "video", "0.3000", "0.3100", "0.3200", "0.3300", "17.8", "61"],
        ],
    }


def test_stages_take_each_figure_from_its_key(tmp_path):
    files = Artifacts.of_run(tmp_path)
    files.models.parent.mkdir()
    files.models.write_text("a\n")
    for fold in (0, 1):
        cost = {"level": "video", "megabytes": 1.0, "seconds": 2.0}
        about = {"out_of_fold": _figures(0.1 + 0.2 * fold), "holdout": _figures(0.5 + 0.2 * fold)}
        write_json(files.model_fold("a", fold) / "report.json", cost | about)
    found = _cells(stage.first_level(files))
    assert found["out of fold:"][1:] == [
        ["a", "video", "0.2000", "0.2100", "0.2200", "0.2300", "1.0", "4"]
    ]
    assert found["holdout:"][1:] == [
        ["a", "video", "0.6000", "0.6100", "0.6200", "0.6300", "1.0", "4"]
    ]
    keys = ("out_of_fold", "holdout_single", "holdout")
    systems = {
        name: {key: _figures(first + 0.3 * i) for i, key in enumerate(keys)}
        for name, first in (("mean", 0.01), ("weighted_mean", 0.02), ("stack", 0.03))
    }
    best = {key: _figures(0.3 * i) for i, key in enumerate(keys)}
    systems |= {"best_member": "a", "members": {"a": best}}
    write_json(files.stacking / "report.json", systems)
    found = _cells(stage.stacking(files))
    firsts = {"out of fold:": 0, "holdout:": 0.3, "holdout, 5 averaged:": 0.6}
    names = (["best model", "a"], ["mean of models", "all"], ["weighted mean", "all"])
    for title, first in firsts.items():
        assert found[title][1:] == [
            [*name, *(f"{first + 0.01 * (i + j):.4f}" for j in range(4))]
            for i, name in enumerate((*names, ["stack", "all"]))
        ]
    write_json(files.distill / "resnet" / "report.json", cost | {"holdout": _figures(0.4)})
    assert _cells(stage.distill(files))["holdout:"][1:] == [
        ["resnet", "-", "0.4000", "0.4100", "0.4200", "0.4300", "1.0", "2"]
    ]


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
