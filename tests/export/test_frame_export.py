"""Exports that take frames: refitted frame-level models beside a video-level one, re-ranked."""

import inspect
import shutil
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from architectures import FRAME_CASES, TOY
from distill_world import check_without_torch, make_run
from export_world import check_graph_alone, run_export, write_video_records
from kinds import FOUR, as_tensors, random_features
from rounded_inputs import rounded_inputs

from distill import predict, refittable
from distill.config import check_refittable
from distill.export import batches as given
from distill.export import evaluate as score
from distill.export.graph import session_of
from distill.export.onnx_graph import write_onnx
from distill.export.run import Exported
from first_level.bundle.manifest import Member, read_manifest
from first_level.bundle.network import build_network
from first_level.bundle.rounding import spread
from first_level.bundle.sums import state_sums
from first_level.config import ModelConfig, architecture
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.data.store import Dims
from yt8m.inputs.batch import Source
from yt8m.inputs.settings import Inputs
from yt8m.training import metrics
from yt8m.training.loop import logits_of

MODELS = {
    "attends": ("attention_net", {"width": 8, "layers": 1, "hidden": 16}, {}),
    "hears": ("lstm", {"width": 4, "layers": 1, "hidden": [8]}, {"features": ["audio"]}),
    "mean": ("linear", {}, {}),
}
GRAPHLESS = ("frame_convolutions", "lstm_moe")


@pytest.fixture(scope="module")
def run(data_set, tmp_path_factory):
    """A run folder: two frame-level models and a video-level one, refitted, and their export."""
    run = tmp_path_factory.mktemp("frames")
    make_run(run, data_set, MODELS, epochs=3)
    run_export(run / "distill", data_set, run / "export")
    return run


def batch_of(store, rows, dims) -> given.VideoBatch:
    (batch,) = given.of_store(store, rows, dims)
    return batch


def top(exported, batch, k=20):
    return exported.top(batch.features, k, batch.lengths)


def test_the_folder_says_that_it_takes_frames(run, store):
    manifest, readme = read_json(run / "export/model.json"), (run / "export/README.md").read_text()
    assert manifest["frames"] == store.dims.max_frames
    assert "`lengths` (N,)" in readme
    assert "$" not in readme
    levels = [
        read_json(run / f"distill/refit/{name}/copy0/report.json")["level"] for name in MODELS
    ]
    assert levels == ["frame", "frame", "video"]


def test_the_members_see_what_they_were_trained_on(run, store, splits):
    """Frames as the pipeline reads them; the mean as the records' own video level has it."""
    exported, rows = Exported(run / "export", "torch"), splits.holdout
    batch = batch_of(store, rows, exported.manifest.dims)
    found = exported.network.of_models(as_tensors(batch.features), torch.from_numpy(batch.lengths))
    for member, described, logits in zip(
        exported.network.members, exported.manifest.members, found, strict=True
    ):
        level = "video" if described.name == "mean" else "frame"
        source = Source(store, level, described.refit.inputs)
        ((_, expected),) = logits_of(member, source, rows, precision="float32")
        # Means that records give are of features before they became bytes.
        atol = 0.1 if level == "video" else 1e-5
        np.testing.assert_allclose(logits.detach(), expected.numpy(), atol=atol)


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_neither_padding_nor_batch_mates_change_a_score(run, store, runtime):
    exported, rows = Exported(run / "export", runtime), np.arange(60)
    most = exported.manifest.dims
    lengths = store.num_frames[rows]
    together = top(exported, batch_of(store, rows, most))
    for place in (lengths.argmin(), lengths.argmax(), 7):
        alone = top(exported, batch_of(store, rows[[place]], most))
        np.testing.assert_array_equal(alone[0][0], together[0][place])
        np.testing.assert_allclose(alone[1][0], together[1][place], rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_the_graph_gives_what_torch_gives(run, data_set, store, tmp_path, dtype):
    folder = run / "export"
    if dtype == "int8":
        run_export(run / "distill", data_set, folder := tmp_path / "x", dtype=dtype)
    batch = batch_of(store, np.arange(100), store.dims)
    by_torch, by_graph = (Exported(folder, runtime) for runtime in ("torch", "onnx"))
    rounded = rounded_inputs(by_torch.network) if dtype == "int8" else nullcontext()
    with rounded:
        expected = by_torch.logits(batch.features, batch.lengths)
    found = by_graph.logits(batch.features, batch.lengths)
    np.testing.assert_allclose(found, expected, atol=1e-4 / len(MODELS))
    check_graph_alone(folder, batch.features, batch.lengths)


def test_constants_of_recurrent_layers_keep_eight_bits_from_their_weights(run):
    layer = Exported(run / "export", "torch").network.members[1].layers[0].nets[0]
    assert spread(layer.weight_ih_l0)
    assert not spread(layer.weight_hh_l0)


def test_predictions_of_frame_level_records(run, data_set, store, tmp_path):
    exported = Exported(run / "export")
    predict.main(run / "export", [data_set / "records"], tmp_path / "both.csv")
    predict.main(run / "export", [data_set / "records/frame"], tmp_path / "frame.csv", batch=7)
    both, frame = (
        dict(line.split(",") for line in (tmp_path / f"{name}.csv").read_text().splitlines()[1:])
        for name in ("both", "frame")
    )
    assert both.keys() == frame.keys() == {bytes(video).decode() for video in store.ids}
    classes, _ = top(exported, batch_of(store, np.arange(60), exported.manifest.dims))
    for row, video in enumerate(store.ids[:60]):
        expected = classes[row, :20].tolist()
        for found in (both, frame):
            assert [int(word) for word in found[bytes(video).decode()].split()[::2]] == expected


def test_predicts_without_torch_and_lightgbm(run, data_set, tmp_path):
    check_without_torch(run / "export", data_set / "records" / "frame", tmp_path)


def test_video_level_records_are_refused(run, data_set, tmp_path):
    text = r"video: has only video-level records, but the export takes frames \(.*export\); give"
    with pytest.raises(InputError, match=text):
        predict.main(run / "export", [data_set / "records/video"], tmp_path / "x.csv")
    (tmp_path / "frame").mkdir()
    write_video_records(tmp_path / "frame/a.tfrecord", ["v"], np.ones((1, 24)), np.ones((1, 8)))
    with pytest.raises(InputError, match="a.tfrecord: record 0: has no frames, but the export"):
        predict.main(run / "export", [tmp_path], tmp_path / "x.csv")
    assert not list(tmp_path.glob("x.csv*"))


def test_the_score_does_not_depend_on_how_frames_are_cut(
    run, data_set, store, splits, tmp_path, monkeypatch
):
    exported, rows = Exported(run / "export", "torch"), splits.holdout
    best = top(exported, batch_of(store, rows, exported.manifest.dims))
    expected = metrics.evaluate(*best, store.labels.take(rows), 30)
    monkeypatch.setattr(given, "MOST", 100)
    monkeypatch.setattr(given, "VIDEOS", 9)
    batches = list(given.of_store(store, rows, exported.manifest.dims))
    sizes = [batch.features["rgb"].shape for batch in batches]
    assert all(videos * frames <= 100 for videos, frames, _ in sizes)
    assert sum(videos for videos, _, _ in sizes) == len(rows)
    score.main(
        run / "export", data_set / "store", data_set / "folds.safetensors", tmp_path / "e.json"
    )
    assert read_json(tmp_path / "e.json") == pytest.approx(expected)


def test_arrays_that_do_not_fit_are_named(run, store):
    exported = Exported(run / "export")
    batch = batch_of(store, np.arange(3), exported.manifest.dims)
    with pytest.raises(InputError, match=r"takes rgb of shape \(N, T, 24\), not \(3, 24\)"):
        exported.top({name: values[:, 0] for name, values in batch.features.items()})
    with pytest.raises(InputError, match="takes the features rgb 24, audio 8, not rgb"):
        exported.top({"rgb": batch.features["rgb"]})
    for lengths in ([0, 1, 1], [1, 1], [1, 1, 99]):
        with pytest.raises(
            InputError, match="takes 1 to 30 frames of a video and a length of each"
        ):
            exported.top(batch.features, lengths=np.array(lengths))
    longer = {name: np.repeat(values, 31, 1) for name, values in batch.features.items()}
    with pytest.raises(InputError, match="takes 1 to 30 frames of a video"):
        exported.top(longer)
    whole = exported.top(batch.features)  # no lengths: all frames are real
    same = exported.top(batch.features, lengths=np.full(3, batch.features["rgb"].shape[1]))
    np.testing.assert_array_equal(whole[0], same[0])


def graph_cases() -> list[tuple[str, dict]]:
    """All but those that another one extends: its graph has theirs in it."""
    cases = [(arch, arguments) for arch, arguments in FRAME_CASES if arch not in GRAPHLESS]
    return [
        (arch, some)
        for arch, some in cases
        if not any(arch == a and some.items() < more.items() for a, more in cases)
    ]


def member_of(arch: str, arguments: dict) -> Member:
    takes = inspect.signature(architecture(arch, "test")).parameters
    sizes = {name: size for name, size in TOY.items() if name in takes}
    return Member(
        kind="refit", name=str(arguments), refit=ModelConfig(arch=arch, model=sizes | arguments)
    )


@pytest.mark.parametrize(
    ("dims", "some"),
    [
        (Dims({"rgb": 6, "audio": 3}, 9, 12), slice(None)),
        (Dims({"audio": 3}, 9, 1), slice(None, None, 8)),
        (Dims(FOUR, 9, 12, frameless=("title",)), slice(5, None, 7)),
    ],
    ids=["both", "audio", "four"],
)
def test_architectures_have_graphs_for_any_number_of_videos_and_frames(dims, some, tmp_path):
    """All in one graph. A new one is tested without writing a test; GRAPHLESS names the others."""
    torch.manual_seed(0)
    cases = graph_cases()[some] + [("linear", {})]
    members = [member_of(arch, arguments) for arch, arguments in cases]
    members = [m.model_copy(update={"name": str(i)}) for i, m in enumerate(members)]
    network = build_network(members, Inputs(), dims)
    write_onnx(network, dims, tmp_path / "x.onnx", "float32")
    session = session_of(tmp_path / "x.onnx", 1)
    for videos, frames in ((1, 1), (1, 7), (4, 12), (3, 5), (5, 1)):
        frames = min(frames, dims.max_frames)
        lengths = torch.randint(1, frames + 1, (videos,))
        batch = random_features(dims, videos, frames)
        batch |= {name: batch[name][:, 0] for name in dims.frameless}
        with torch.inference_mode():
            expected = network(batch, lengths).numpy()
        batch |= {"lengths": lengths}
        feed = {node.name: batch[node.name].numpy() for node in session.get_inputs()}
        (found,) = session.run(["logits"], feed)
        # The mean of all: as strict for each of them as it would be alone.
        within = {"atol": 1e-5 / len(cases), "rtol": 1e-4 / len(cases)}
        np.testing.assert_allclose(found, expected, **within, err_msg=str(cases))


@pytest.mark.parametrize("arch", GRAPHLESS)
def test_architectures_without_a_graph_are_refused_before_they_are_trained(arch, capfd):
    model = next(member_of(a, b).refit for a, b in FRAME_CASES if a == arch)
    text = rf"c.json: {arch} cannot be exported as a graph \(.*\); take it out of \[refit\] models"
    with pytest.raises(InputError, match=text):
        refittable.check_graph(model, Dims({"rgb": 6, "audio": 3}, 9, 12), "c.json")
    assert capfd.readouterr() == ("", "")


def test_frames_that_an_export_is_not_given_are_refused(tmp_path):
    for inputs in ({"skip_frames": 2}, {"sampling": "random"}, {"max_frames": 5}):
        config = ModelConfig.model_validate({"arch": "lstm", "inputs": inputs})
        text = f"cannot be refitted: {next(iter(inputs))}: an export takes features as records have"
        with pytest.raises(InputError, match=text):
            check_refittable(config, tmp_path / "config.json")


def test_an_older_export_takes_no_frames(run, tmp_path):
    shutil.copytree(run / "export", tmp_path / "x")
    text = (tmp_path / "x/model.json").read_text()
    assert '"frames": 30' in text
    (tmp_path / "x/model.json").write_text(text.replace('"frames": 30,', ""))
    state_sums(tmp_path / "x")
    assert read_manifest(tmp_path / "x").frames == 0
