"""The re-ranked student: refitted models, its last layer, its export with and without torch."""

import shutil

import numpy as np
import pytest
import torch
from distill_world import STACKING, check_without_torch, learn_rows, make_run, refit_one
from export_world import check_graph_alone, run_export
from kinds import as_float, as_tensors
from safetensors.torch import load_file
from snapshots import write_distill_snapshots
from torch import nn

from distill.config import DistillConfig, check_refittable
from distill.export import reranking
from distill.export.run import Exported
from distill.export.thresholds import choose_thresholds
from first_level.bundle.network import build_network
from first_level.config import ModelConfig, build
from stacking import features, label_features, rows
from stacking.candidates import pool
from stacking.config import Stacking
from stacking.learners.network import NetworkOfRows
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json, write_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.inputs.batch import prepare
from yt8m.inputs.settings import Inputs
from yt8m.records.labels import Labels
from yt8m.training.weights import load_weights

MODELS = {
    "wide": ("mlp", {"widths": [24]}, {}),
    "heard": ("linear", {}, {"features": ["audio"]}),
    "near": ("neighbours", {"neighbours": 9}, {}),
}


@pytest.fixture(scope="module")
def run(data_set, tmp_path_factory):
    """A run folder: three models of five folds, two refitted copies of each, re-ranker, export."""
    run = tmp_path_factory.mktemp("refit")
    make_run(run, data_set, MODELS, epochs=4, copies=2)
    run_export(run / "distill", data_set, run / "export", dtype="float32")
    return run


def test_refitted_models_learn_from_all_folds_and_copies_differ(run, splits):
    for name in MODELS:
        reports = [
            read_json(run / "distill/refit" / name / f"copy{copy}" / "report.json")
            for copy in (0, 1)
        ]
        for report in reports:
            assert report["training_videos"] == len(splits.training)
            assert report["history"][-1]["loss"] < report["history"][0]["loss"]
        assert reports[0]["gap_holdout"] != reports[1]["gap_holdout"]


def test_refitting_again_gives_the_same_bytes(run, data_set, tmp_path):
    refit_one(run, data_set, "wide", tmp_path / "again")
    first, again = (
        folder / "weights.safetensors"
        for folder in (run / "distill/refit/wide/copy0", tmp_path / "again")
    )
    assert first.read_bytes() == again.read_bytes()


def test_the_export_ranks_as_its_parts_do(run, store, splits):
    """By the members' float32 weights, and the code of stacking for the rest."""
    manifest = Exported(run / "export").manifest
    network = build_network(manifest.members, manifest.inputs, manifest.dims)
    copies = [0, 1] * len(MODELS)
    for member, described, copy in zip(network.members, manifest.members, copies, strict=True):
        folder = run / "distill/refit" / described.name / f"copy{copy}"
        member.load_state_dict(load_file(folder / "weights.safetensors"))
    video = as_float(store.video(splits.holdout))
    with torch.inference_mode():
        each = network.of_models(as_tensors(video))
    lists = []
    for logits in each:
        order = np.argsort(-logits.numpy(), axis=1, kind="stable")
        lists.append((order.astype(np.uint16), np.take_along_axis(logits.numpy(), order, 1)))
    classes, _ = pool(lists, "probability", store.dims.classes, 12)
    own = features.features(lists, classes, store.dims.classes, features.norms(video))
    known = label_features.statistics(store.labels, splits.training, store.dims.classes, 2.0)
    probability = own[:, :, len(MODELS) + features.AGREEMENT.index("probability_mean")]
    of_labels = label_features.label_features(known, classes, probability, 10)
    table = np.concatenate([own, of_labels], axis=2)
    path, settings = run / "distill/reranker/network/weights.safetensors", Stacking(**STACKING)
    learner = NetworkOfRows.read(path, settings, manifest.reranker.columns)
    raw = learner.score(table.reshape(-1, table.shape[2])).reshape(classes.shape)
    order = np.argsort(-raw, axis=1, kind="stable")
    found, scores = Exported(run / "export").top(video, 12)
    np.testing.assert_array_equal(found, np.take_along_axis(classes, order, 1))
    expected = 1 / (1 + np.exp(-np.take_along_axis(raw, order, 1)))
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_the_graphs_rank_as_torch_does(run, store):
    video = as_float(store.video(np.arange(300)))
    found = [Exported(run / "export", runtime).top(video) for runtime in ("torch", "onnx")]
    assert (found[0][0] == found[1][0]).mean() > 0.99
    np.testing.assert_allclose(found[0][1], found[1][1], atol=1e-3)


def test_the_graph_needs_nothing_else(run, store):
    check_graph_alone(run / "export", as_float(store.video(np.arange(60))))


def test_the_export_states_thresholds_and_what_each_form_has(run, data_set, store, splits):
    soft = Predictions.read(data_set / "soft.safetensors").align(store.ids[splits.training])
    labels = store.labels.take(splits.training)
    overall, each = choose_thresholds(soft, labels, store.dims.classes)
    manifest = Exported(run / "export").manifest
    assert manifest.threshold == pytest.approx(overall.at[0], abs=1e-4)
    np.testing.assert_allclose(manifest.thresholds, each.at, atol=1e-4)
    np.testing.assert_allclose(manifest.expected.precisions, each.precision, atol=1e-4)
    assert manifest.expected.recall == pytest.approx(overall.recall[0], abs=1e-4)
    lines = read_json(run / "export/compression.json")
    assert [line["step"] for line in lines] == ["float32", "graph (float32)"]
    for line in lines:
        assert line["videos"] == len(splits.holdout)
        assert abs(line["difference"]) < 0.002
    assert (run / "export/README.md").read_text().count("| graph (float32) |") == 1


def test_no_label_of_the_holdout_reaches_the_re_ranker(run, data_set, tmp_path, monkeypatch):
    """Planted: other labels on the holdout leave it as it is, other labels elsewhere do not."""
    store, folds = data_set / "store", data_set / "folds.safetensors"
    ids, labels = Store(store).ids, Store(store).labels
    splits = Splits.read(folds, ids)
    for chosen, same in ((splits.holdout, True), (splits.training, False)):
        lists = [labels.take(np.array([i])).indices for i in range(len(ids))]
        for i in chosen:
            lists[i] = np.array([3])

        def changed(path, lists=lists):
            data = Store(path)
            data.__dict__["labels"] = Labels.from_lists(lists)
            return data

        monkeypatch.setattr(rows, "Store", changed)
        shutil.copytree(run, tmp_path / str(same))
        own = tmp_path / str(same) / "distill/reranker"
        shutil.rmtree(own)
        learn_rows(run, store, own)
        found = []
        for folder, data in ((run, Store(store)), (tmp_path / str(same), changed(store))):
            network = nn.Module()
            reranking.add_reranker(network, folder, data, splits.training)
            found.append(network.reranker.state_dict())
        equal = {name: torch.equal(value, found[1][name]) for name, value in found[0].items()}
        for name in ("counts", "pair_at", "head.layers.0.weight"):
            assert equal[name] == same, name


def test_predicts_without_torch_and_lightgbm(run, data_set, tmp_path):
    check_without_torch(run / "export", data_set / "records" / "video", tmp_path)


def test_a_graph_is_needed_without_torch(run, data_set, tmp_path):
    shutil.copytree(run / "export", tmp_path / "export")
    (tmp_path / "export" / "model.onnx").unlink()
    with pytest.raises(InputError, match="no model.onnx, and torch is not installed; export"):
        Exported(tmp_path / "export", "onnx")


def test_lists_are_as_long_as_those_that_the_last_layer_learnt_from(run):
    assert Exported(run / "export").manifest.reranker.kept == [30] * 3  # all classes there are


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"inputs": {"normalise": "whiten"}}, "cannot be refitted: normalise: an export supports"),
        ({"start": {"weights": "x"}}, r"has a table \[start\], so it cannot be refitted"),
        ({"teachers": {"models": ["a"]}}, r"has a table \[teachers\], so it cannot be refitted"),
    ],
)
def test_models_that_no_export_could_run_are_refused(tmp_path, change, text):
    values = {"arch": "linear"} | change
    with pytest.raises(InputError, match=text):
        check_refittable(ModelConfig.model_validate(values), tmp_path / "config.json")


def test_fold_models_can_be_handed_over_instead(run, data_set, tmp_path):
    toml, store = tmp_path / "distill.toml", Store(data_set / "store")
    toml.write_text("[refit]\nmodels = ['heard', 'near', 'wide']\ncopies = 2\nfolds = ['wide']\n")
    shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run/distill/refit/wide")
    distill = tmp_path / "run/distill"
    write_distill_snapshots(toml, distill)
    run_export(distill, data_set, tmp_path / "out", onnx=False)
    video = store.video(np.arange(9))
    found = Exported(tmp_path / "out", "torch").network.of_models(as_tensors(video))[2].detach()
    batch = prepare(Inputs(), as_tensors(video))
    wide = read_snapshot(run / "first_level/wide/config.json", ModelConfig)
    expected = []
    for fold in range(NUM_FOLDS):
        model = build(wide, store.dims, "wide").eval()
        load_weights(model, run / f"first_level/wide/fold{fold}/weights.safetensors")
        expected.append(model(batch).detach())
    np.testing.assert_allclose(found, torch.stack(expected).mean(0), atol=0.02)
    with pytest.raises(ValueError, match="'c' is not among `models`"):
        DistillConfig.model_validate({"refit": {"models": ["a"], "folds": ["c"]}})


def test_export_errors(run, data_set, tmp_path):
    with pytest.raises(InputError, match="re-ranked students have no mean; allowed: student, resn"):
        run_export(run / "distill", data_set, tmp_path / "x", name="both")
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run/distill/refit/wide/copy1/weights.safetensors").unlink()
    with pytest.raises(InputError, match="wide/copy1/weights.safetensors: no such file; run `mak"):
        run_export(tmp_path / "run/distill", data_set, tmp_path / "x")
    with pytest.raises(ValueError, match="a model appears twice; set copies = 2"):
        DistillConfig.model_validate({"refit": {"models": ["a", "a"]}})
    settings = DistillConfig.model_validate({"refit": {"models": ["c", "a", "b"]}})
    assert settings.refit.models == ("a", "b", "c"), "the order of make's jobs changes no export"


def test_other_columns_than_those_learnt_from_are_refused(run, data_set, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run/distill/reranker/fold0/rows/rows.json"
    about = read_json(path)
    write_json(path, about | {"features": about["features"][::-1]})
    data = Store(data_set / "store")
    with pytest.raises(InputError, match="was trained on other columns than"):
        reranking.add_reranker(nn.Module(), tmp_path / "run", data, np.arange(9))
