"""What each part of a student is trained on, by which settings, and what its report says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from distill_world import SCALE, soft_labels_of, toy_config

from distill import job, train
from distill.export import trained, write
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.files import read_json
from yt8m.data.origins import Origin
from yt8m.data.predictions import Predictions
from yt8m.data.splits import seed_of, uniform
from yt8m.networks.extractors import LAYOUTS
from yt8m.networks.student import num_values
from yt8m.training import metrics

QUICK = {"batch_size": 64, "precision": "float32"}


@pytest.fixture
def fitted(monkeypatch):
    """What was handed to `fit`, which trains nothing: (model, names of what learns, ...)."""
    calls = []

    def fit(model, *others):
        learning = {name for name, tensor in model.named_parameters() if tensor.requires_grad}
        calls.append((model, learning, *others))
        return [{"seconds": 1000.0, "loss": float(len(calls))}]

    monkeypatch.setattr(job, "fit", fit)
    return calls


@pytest.fixture
def run(data_set, store, splits, tmp_path):
    """Trains a part; its folder."""
    soft_labels_of(store, splits, tmp_path / "soft.safetensors")
    soft = Predictions.read(tmp_path / "soft.safetensors")
    config = toy_config(
        seed=3,
        extractors=QUICK | {"epochs": 5, "seed": 7, "patience": 2, "inner": 0.3},
        last_layers=QUICK | {"epochs": 6},
        fine_tune=QUICK | {"epochs": 2},
        resnet={"model": {"width": 16}, "training": QUICK | {"epochs": 4}},
    )
    write_snapshot(tmp_path / "config.json", config)

    def run(part):
        names = {"last": "student", "resnet": "resnet"}
        out = tmp_path / names.get(part, f"extractor_{part}")
        inputs = tmp_path / "config.json", data_set / "store", data_set / "folds.safetensors"
        train.main(*inputs, tmp_path / "soft.safetensors", out, part=part)
        return out

    assert soft.ids.tolist() == store.ids[splits.training].tolist()
    return run


def test_each_part_has_its_own_settings_seed_and_start(store, splits, run, fitted):
    outs = {part: run(part) for part in [*LAYOUTS, "last", "resnet"]}
    epochs = [(call[4].name, call[3].epochs) for call in fitted]
    extractors = [(f"extractor_{x}", 5) for x in LAYOUTS]
    assert epochs == [*extractors, ("student", 6), ("fine_tune", 2), ("resnet", 4)]
    parts = [*LAYOUTS, "last", "last", "resnet"]
    for (*_, settings, _, name, _), part in zip(fitted, parts, strict=True):
        assert name == f"distill {part}"
        assert settings.seed == seed_of(3, name, 7 if part in LAYOUTS else 0)
    rows = splits.training
    inner = uniform(store.ids[rows], "distill inner") < 0.3
    for (_, _, examples, *_), part in zip(fitted, parts, strict=True):
        if part in LAYOUTS:
            assert examples.rows.tolist() == rows[~inner].tolist()
            assert examples.watched.tolist() == rows[inner].tolist()
        else:
            assert examples.rows.tolist() == rows.tolist()
            assert examples.watched is None
    (last, learning, *_), (same, all_of_it, *_) = fitted[6:8]
    assert last is same
    assert {name.split(".")[0] for name in learning} == {"last"}
    assert {name.split(".")[0] for name in all_of_it} == {"last", "extractors"}
    assert not any(tensor.requires_grad for tensor in last.extractors.parameters()), "frozen again"
    assert read_json(outs["last"] / "report.json")["history"][-1]["loss"] == 8
    share = (np.bincount(store.labels.take(rows).indices, minlength=30) + 0.5) / (len(rows) + 1)
    odds = torch.from_numpy(np.log(share / (1 - share))).float()
    for model, bias in ((fitted[0][0], "head.bias"), (fitted[-1][0], "classifier.bias")):
        torch.testing.assert_close(model.get_parameter(bias).detach(), odds)
    first = [run(part) and fitted[-1][0].extractor for part in ("a", "b")]
    again = run("a") and fitted[-1][0].extractor
    assert torch.equal(first[0].joint[0].weight, again.joint[0].weight)
    assert not torch.equal(first[0].joint[0].weight[:9, :9], first[1].joint[0].weight[:9, :9])


def test_the_report_of_a_part_says_what_it_is_and_reaches(store, splits, run, fitted):
    for part in ("b", "resnet"):
        out = run(part)
        model, report = fitted[-1][0], read_json(out / "report.json")
        kept = model.extractor if part == "b" else model
        with torch.no_grad():
            source = job.Source(store, "video", fitted[-1][2].source.inputs)
            found = job.predict(model, source, splits.holdout, 20)
        labels = store.labels.take(splits.holdout)
        assert report["holdout"] == metrics.evaluate(found.classes, found.logits, labels, 30)
        assert report["gap_holdout"] == report["holdout"]["gap20"] != report["holdout"]["map"]
        assert report["training_videos"] == len(splits.training)
        assert report["parameters"] == sum(p.numel() for p in model.parameters())
        assert (
            report["values"]
            == num_values(kept)
            == sum(
                tensor.numel()
                for name, tensor in kept.state_dict().items()
                if "tracked" not in name
            )
        )
        assert report["megabytes"] == pytest.approx(report["values"] * 4 / 1e6)
        assert report["history"] == [{"seconds": 1000.0, "loss": float(len(fitted))}]
        assert (report["part"], report["config"]["scale"]) == (part, SCALE)
        assert report["seconds"] == 1000, "those of a killed process count"


def test_videos_without_labels_neither_count_nor_judge(store, splits, tmp_path, fitted):
    """The first 30 training videos, as if they were of UNLABELLED."""
    unknown = splits.training[:30]
    store.labelled = ~np.isin(np.arange(len(store)), unknown)
    origin = Origin("distill", None, "", {})
    lessons = job.Lessons(store, splits.training, None, splits.holdout, store.ids, [], origin)
    settings = toy_config(extractors=QUICK | {"epochs": 1, "patience": 1, "inner": 0.4})
    of_part = job.StudentJob(settings, lessons, tmp_path, "x", "made", settings.inputs)
    model, _ = of_part.train("a")
    [(_, _, examples, *_)] = fitted
    assert not set(examples.watched) & set(unknown)
    assert set(unknown) < set(examples.rows)
    assert not set(examples.rows) & set(examples.watched)
    known = splits.training[30:]
    share = (np.bincount(store.labels.take(known).indices, minlength=30) + 0.5) / (len(known) + 1)
    torch.testing.assert_close(model.head.bias.sigmoid().detach(), torch.from_numpy(share).float())
    empty = replace(lessons, holdout=splits.holdout[:0])
    replace(of_part, lessons=empty).finish(model, [{"seconds": 1.0}], 0.0)
    assert read_json(tmp_path / "report.json")["gap_holdout"] is None


def test_thresholds_of_many_videos_are_chosen_by_some_from_all_of_them(
    store, splits, tmp_path, monkeypatch
):
    soft_labels_of(store, splits, tmp_path / "soft.safetensors")
    monkeypatch.setattr(trained, "JUDGED", 100)
    monkeypatch.setattr(trained, "choose_thresholds", lambda *arguments: arguments)
    run = trained.Trained(tmp_path, toy_config(), store, splits, tmp_path / "soft.safetensors")
    soft, labels, classes, _ = run.thresholds()
    rows = splits.training[:: -(-len(splits.training) // 100)]
    assert len(rows) <= 100 < len(splits.training)
    assert soft.ids.tolist() == store.ids[rows].tolist()
    assert labels.indices.tolist() == store.labels.take(rows).indices.tolist()
    assert classes == 30


def test_the_graph_that_follows_counts_in_the_budget(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(bytes(600_000))
    assert write._check_budget(tmp_path, 1.0, tmp_path) == 0.6
    with pytest.raises(InputError, match=r"takes 1.2 MB, over the budget of 1.0 MB"):
        write._check_budget(tmp_path, 1.0, tmp_path, twice=True)
