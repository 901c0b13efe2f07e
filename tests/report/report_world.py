"""A small finished run for the tests of the report: real stacking, noted results of networks."""

import re
from dataclasses import replace

import numpy as np

from report import browser, summary
from stacking import predict, report, rows, soft_labels, train
from stacking.config import Stacking
from yt8m.base.config import write_snapshot
from yt8m.base.digests import digest_of
from yt8m.base.files import write_json
from yt8m.data.origins import Origin, without
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits

MODELS = {"sharp": 0.6, "dull": 1.5, "noise": 30.0}  # and how far their logits are off
QUICK = {"max_rounds": 25, "learning_rate": 0.2, "num_leaves": 7, "min_data_in_leaf": 20}
HOSTILE = [
    "<script>hacked = 1</script>",
    "</script><script>hacked = 1</script>",
    "<img src=x onerror=hacked=1>",
    "javascript:hacked=1",
    "\"' onmouseover='hacked=1' x=\"",
    "</style><style>* { display: none }</style>",
    "</title><svg onload=hacked=1>",
    "<a href=https://example.com>hacked</a>",
    "<iframe src=https://example.com></iframe>",
    "<meta http-equiv=refresh content='0;url=https://example.com'>",
    "<!-- ]]> {{ 7 * 7 }} ${hacked = 1}",
    "__proto__",
    "\u202eright to left",
    "\u05e9\u05dc\u05d5\u05dd",
    "x" * 3000,
    "bell \x07 and zero \x00",
]
PARTS = [*(f"extractor_{letter}" for letter in "abcdef"), "student", "resnet"]


def build(run, store, splits, config="{}\n") -> None:
    """Writes what a run of three models leaves in the folder `run`; returns nothing."""
    rng = np.random.default_rng(3)
    splits.write(run / "folds.safetensors", store.ids)
    truth = _truth(store)
    for name, off in MODELS.items():
        _model(run / "first_level" / name, truth, off, store, splits, rng, config)
    (run / "first_level" / "models.txt").write_text("\n".join(MODELS) + "\n")
    _stack(run, store.folder)
    _students(run, truth, store, splits, rng)
    summary.main(run, run / "summary.json")


def _truth(store) -> np.ndarray:
    logits = np.full((len(store.ids), store.dims.classes), -4.0)
    logits[store.labels.rows(), store.labels.indices] = 2.0
    return logits


def _predictions(logits, of, store, keep=20) -> Predictions:
    order = np.argsort(-logits, axis=1, kind="stable")[:, :keep]
    values = np.take_along_axis(logits, order, 1).astype(np.float16)
    return Predictions(store.ids[of], order.astype(np.uint16), values)


def _model(folder, truth, off, store, splits: Splits, rng, config: str) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(config)
    for fold in range(NUM_FOLDS):
        of = np.concatenate([splits.rows(fold), splits.holdout])
        logits = truth[of] + off * rng.normal(size=(len(of), truth.shape[1]))
        out = folder / f"fold{fold}"
        learnt, folds = without(fold, splits, store.ids), folder.parents[1] / "folds.safetensors"
        inputs = {"config": digest_of(folder / "config.json"), "folds": digest_of(folds)}
        origin = Origin(f"first_level/{folder.name}", fold, learnt, inputs)
        found = replace(_predictions(logits, of, store), origin=origin)
        found.write(out / "predictions.safetensors")
        epochs = [{"epoch": e + 1, "loss": 3 - e, "gap": 0.3 + 0.1 * e} for e in range(3)]
        about = {"level": "video", "gap_fold": 0.5, "megabytes": 2.0, "seconds": 10.0}
        write_json(out / "report.json", about | {"epochs": epochs})


def _stack(run, store) -> None:
    config, folder = run / "stacking" / "config.json", run / "stacking"
    names, folds = run / "first_level" / "models.txt", run / "folds.safetensors"
    write_snapshot(config, Stacking.model_validate({"candidates": 12, "booster": QUICK}))
    for fold in range(NUM_FOLDS):
        rows.main(config, names, run, store, folds, folder / f"fold{fold}" / "rows", fold=fold)
    for fold in range(NUM_FOLDS):
        out = folder / f"fold{fold}"
        train.main(config, folder, out / "model.txt", fold=fold)
        predict.main(config, out / "rows", out, out / "predictions.safetensors", fold=fold)
    soft_labels.main(folder, store, folds, folder / "soft_labels.safetensors")
    report.main(config, names, run, store, folds, folder / "report.json")


def _students(run, truth, store, splits: Splits, rng) -> None:
    held = splits.holdout
    reached = 0.8 if len(held) else None
    for part in PARTS:
        history = [{"epoch": e + 1, "loss": 5.0 - e} for e in range(2)]
        about = {"seconds": 4.0, "megabytes": 3.0, "parameters": 1000, "history": history}
        about |= {"gap_holdout": reached, "commit": "abc1234"}
        write_json(run / "distill" / part / "report.json", about)
    write_json(run / "distill" / "config.json", {"refit": {"models": [], "copies": 1}})
    manifest = {"values": 1000, "dtype": "float16", "members": [{}, {}]}
    write_json(run / "export" / "model.json", manifest)
    (run / "export" / "model.safetensors").write_bytes(bytes(2000))
    logits = truth[held] + 0.5 * rng.normal(size=(len(held), truth.shape[1]))
    _predictions(logits, held, store).write(run / "evaluation_predictions.safetensors")
    figures = {"gap20": reached, "map": 0.7, "hit1": 0.9, "perr": 0.6}
    write_json(run / "evaluation.json", figures if len(held) else dict.fromkeys(figures))


def poison(run, monkeypatch) -> None:
    """Gives the run's classes, their verticals and the videos names that try to be code."""
    plain = browser.data

    def data(run, videos):
        found = plain(run, videos)
        for number, video in enumerate(found["videos"]):
            video["id"] = HOSTILE[number % len(HOSTILE)]
        return found

    monkeypatch.setattr(browser, "data", data)
    names = [HOSTILE[number % len(HOSTILE)] for number in range(run.num_classes)]
    run.store.class_names, run.store.verticals = names, names
    run.store.vertical_of = np.array([sorted(set(names)).index(name) for name in names])


def words_of(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def systems_of(text: str) -> dict[str, list[str]]:
    """The cells of each system: level, four figures and BCE out of fold, four on the holdout of
    one version, four of five, MB, seconds, membership."""
    table = re.search(r'<table class="sortable" id="systems-table">(.*?)</table>', text, re.S)[1]
    rows = [re.findall(r"<t[hd].*?</t[hd]>", row, re.S) for row in table.split("<tr")[1:]]
    groups, titles, *lines = [[words_of(cell) for cell in row] for row in rows]
    assert groups == ["", "out of fold", "holdout, one", "holdout, five", ""]
    four = ["GAP@20", "mAP", "Hit@1", "PERR"]
    assert titles[2:15] == [*four, "BCE", *four, *four]
    return {line[0]: line[1:] for line in lines}
