"""What a job hands to training and to prediction, and that its report says what was found."""

import numpy as np
import pytest
import torch
from snapshots import write_snapshots

from first_level import job
from first_level.job import open_job, train_fold
from yt8m.base.files import read_json
from yt8m.data.splits import seed_of, uniform
from yt8m.inputs.derived import source_of
from yt8m.training.loop import predict

TOML = """arch = 'mlp'
keep = 25
[model]
widths = [8]
dropout = 0.5
[training]
epochs = 2
batch_size = 32
seed = 4
precision = 'float32'
"""
INNER = "patience = 1\ninner = 0.3\n"


def _open(data_set, folder, more="", fold=1):
    (folder / "plan").mkdir(exist_ok=True)
    (folder / "plan" / "tiny.toml").write_text(TOML + more)
    write_snapshots(folder / "plan", folder)
    config = folder / "tiny" / "config.json"
    return config, data_set / "store", data_set / "folds.safetensors", folder / f"fold{fold}", fold


@pytest.fixture
def fitted(monkeypatch):
    """What was handed to `fit`, which then trains nothing: (model, examples, settings, ...)."""
    calls = []

    def fit(model, *others):
        calls.append((model, *others))
        return [{"seconds": 1.0}]

    monkeypatch.setattr(job, "fit", fit)
    return calls


@pytest.mark.parametrize("inner", [0.0, 0.3])
def test_what_a_job_trains_on(data_set, store, splits, tmp_path, fitted, inner):
    where = _open(data_set, tmp_path, INNER if inner else "")
    train_fold(*where)
    [(model, examples, settings, folder, name, made_from)] = fitted
    outside = np.flatnonzero((splits.fold >= 0) & (splits.fold != 1))
    if inner:
        kept = uniform(store.ids[outside], "inner split") < inner
        rows, watched = outside[~kept], outside[kept]
        assert 0.2 < kept.mean() < 0.4
    else:
        rows, watched = outside, np.flatnonzero(splits.fold == 1)
    assert examples.rows.tolist() == rows.tolist()
    assert examples.watched.tolist() == watched.tolist()
    assert (folder, name) == (where[3], "tiny fold1")
    assert settings.seed == seed_of(4, "tiny fold1", "fit")
    counts = np.bincount(store.labels.take(rows).indices, minlength=30)
    share = (counts + 0.5) / (len(rows) + 1)
    odds = torch.from_numpy(np.log(share / (1 - share))).float()
    torch.testing.assert_close(model.classifier.bias.detach(), odds)


def test_jobs_start_from_weights_of_their_own(data_set, tmp_path, fitted):
    for fold in (1, 2, 1):
        where = _open(data_set, tmp_path, fold=fold)
        train_fold(*where)
        (where[3] / "weights.safetensors").unlink()
    starts = [call[0].hidden[0].weight for call in fitted]
    assert torch.equal(starts[0], starts[2])
    assert not torch.equal(starts[0], starts[1])
    sources = [call[-1] for call in fitted]
    assert sources[0] == sources[2] != sources[1], "weights of another fold are not taken"


def test_the_report_says_what_was_predicted_of_which_videos(data_set, store, splits, tmp_path):
    where = _open(data_set, tmp_path, "[training.noise]\ntest_passes = 3\n")
    train_fold(*where)
    report, opened = read_json(where[3] / "report.json"), open_job(*where)
    assert report["gap_fold"] != report["gap_holdout"]
    assert (report["model"], report["arch"], report["level"]) == ("tiny", "mlp", "video")
    assert report["fold"] == 1
    assert report["out_of_fold"]["videos"] == len(splits.rows(1))
    assert report["holdout"]["videos"] == len(splits.holdout)
    model = job.build(opened.settings, store.dims, "test")
    job.load_weights(model, where[3] / "weights.safetensors")
    source = source_of(store, "video", opened.settings.inputs, splits)
    rows, seed = (
        np.concatenate([splits.rows(1), splits.holdout]),
        seed_of(4, "tiny fold1", "passes"),
    )
    found = predict(model, source, rows, 25, passes=3, seed=seed, precision="float32")
    kept = job.Predictions.read(where[3] / "predictions.safetensors")
    assert kept.ids.tolist() == found.ids.tolist()
    assert kept.classes.tolist() == found.classes.tolist()
    assert kept.logits.tolist() == found.logits.tolist()
    parameters = 32 * 8 + 8 + 2 * 8 + 8 * 30 + 30
    assert report["parameters"] == parameters
    assert report["megabytes"] == pytest.approx((4 * (parameters + 2 * 8) + 8) / 1e6)
    trained = read_json(where[3] / "training.json")
    assert report["epochs"] == trained["epochs"]
    assert report["seconds"] == trained["seconds"] > 0
