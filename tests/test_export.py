"""Export, prediction files and their scoring: what users script against."""

import csv
import gzip
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from rounded_inputs import rounded_inputs
from safetensors.torch import load_file
from scipy.special import expit

from distill import evaluate, export, predict, score
from distill.build import build_network, member_of
from distill.config import DistillConfig
from distill.exported import Exported
from yt8m import metrics
from yt8m.cli import InputError
from yt8m.config import read_snapshot, write_snapshot
from yt8m.files import read_json, write_json
from yt8m.framing import messages, write_records
from yt8m.predictions import Predictions
from yt8m.records import describe, find_shards, stream, video_level
from yt8m.splits import Splits
from yt8m.store import Store
from yt8m.training import save_weights


@pytest.fixture(scope="module")
def made(data_set, tmp_path_factory):
    """A folder with config.json, two students with random weights, and the export of one."""
    root = tmp_path_factory.mktemp("export")
    config = DistillConfig.model_validate({"scale": 1 / 64, "resnet": {"model": {"width": 16}}})
    write_snapshot(root / "config.json", config)
    torch.manual_seed(0)
    for kind in ("student", "resnet"):
        network = random_network(kind, config, Store(data_set / "store").dims)
        save_weights(network.members[0], root / kind / "weights.safetensors")
    run_export(root, data_set, root / "out")
    return root


def random_network(kind, config, dims):
    """Random weights that spread the scores, as training does."""
    network = build_network([member_of(kind, config)], config.inputs, dims)
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2.0)
        elif value.ndim == 2:
            value.normal_(0, 1.4 * value.shape[1] ** -0.5)
    return network


def run_export(root, data_set, out, **flags) -> None:
    export.main(root, root / "config.json", data_set / "store", out, **flags)


@pytest.fixture
def videos(data_set):
    """(ids, rgb, audio) of the video-level records, in the shards' order."""
    shards = find_shards(data_set / "records")
    names, _ = describe(data_set / "records", shards)
    found = list(stream(shards["video"], names))
    rgb, audio = (np.stack(part) for part in zip(*map(video_level, found), strict=True))
    return [video.id.decode() for video in found], rgb, audio


def float_network(root, kinds=("student",)):
    manifest = Exported(root / "out").manifest
    config = DistillConfig.model_validate_json((root / "config.json").read_text())
    members = [member_of(kind, config) for kind in kinds]
    network = build_network(members, manifest.inputs, manifest.dims)
    for kind, member in zip(kinds, network.members, strict=True):
        member.load_state_dict(load_file(root / kind / "weights.safetensors"))
    return network


def test_the_folder(made, data_set):
    folder, data = made / "out", Store(data_set / "store")
    names = {"model.json", "model.onnx", "model.safetensors", "README.md"}
    assert {p.name for p in folder.iterdir()} == names
    readme = (folder / "README.md").read_text()
    assert "inputs `rgb` (N, 24) and `audio` (N, 8)" in readme
    assert "$" not in readme
    weights = load_file(folder / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.float16}
    manifest = json.loads((folder / "model.json").read_text())
    assert manifest["class_names"] == list(data.class_names)
    assert (manifest["rgb"], manifest["audio"], manifest["classes"]) == (24, 8, 30)
    assert sum(value.numel() for value in weights.values()) == manifest["values"]
    assert (folder / "model.onnx").stat().st_size < 2 * manifest["values"] + 100_000


def test_export_equals_the_student(made, videos):
    _, rgb, audio = videos
    found = expit(Exported(made / "out").logits(rgb, audio))
    with torch.no_grad():
        truth = float_network(made)(torch.from_numpy(rgb), torch.from_numpy(audio)).sigmoid()
    assert np.abs(found - truth.numpy()).max() < 5e-3


@pytest.mark.parametrize("size", [1, 7])
def test_onnx_equals_torch(made, videos, size):
    rgb, audio = videos[1][:size], videos[2][:size]
    found = Exported(made / "out", "onnx").logits(rgb, audio)
    np.testing.assert_allclose(found, Exported(made / "out").logits(rgb, audio), atol=1e-4)


def test_both_students_are_averaged(made, data_set, videos, tmp_path):
    run_export(made, data_set, tmp_path / "both", name="both", onnx=False, dtype="float32")
    rgb, audio = (torch.from_numpy(part[:9]) for part in videos[1:])
    with torch.no_grad():
        logits = [float_network(made, (kind,))(rgb, audio) for kind in ("student", "resnet")]
    found = Exported(tmp_path / "both").logits(rgb.numpy(), audio.numpy())
    torch.testing.assert_close(torch.from_numpy(found), (logits[0] + logits[1]) / 2)


def test_a_plan_may_say_how_weights_are_stored(made, data_set, tmp_path):
    settings = read_snapshot(made / "config.json", DistillConfig)
    write_snapshot(tmp_path / "config.json", settings.model_copy(update={"dtype": "int8"}))
    for given, kept in (("", "int8"), ("float16", "float16")):
        out, store = tmp_path / kept, data_set / "store"
        export.main(made, tmp_path / "config.json", store, out, dtype=given, onnx=False)
        assert Exported(out).manifest.dtype == kept


def test_eight_bits(made, data_set, videos, tmp_path):
    run_export(made, data_set, tmp_path / "small", dtype="int8")
    stored = load_file(tmp_path / "small" / "model.safetensors")
    trained = float_network(made).state_dict()
    matrices = [name for name, value in trained.items() if value.ndim == 2]
    assert matrices
    for name in matrices:
        step = trained[name].abs().amax(1) / 127
        off = (stored[name].float() * stored[name + ".step"][:, None] - trained[name]).abs()
        assert stored[name].dtype == torch.int8
        assert (off <= step[:, None] * 0.5001).all(), "rounded to the nearest unit of its row"
    rgb, audio = videos[1][:50], videos[2][:50]
    by_torch = Exported(tmp_path / "small", "torch")
    found = by_torch.logits(rgb, audio)
    whole = Exported(made / "out").logits(rgb, audio)
    assert np.abs(expit(found) - expit(whole)).max() < 0.05
    by_graph = Exported(tmp_path / "small", "onnx").logits(rgb, audio)
    assert np.abs(expit(by_graph) - expit(whole)).max() < 0.05
    with rounded_inputs(by_torch.network):
        np.testing.assert_allclose(by_graph, by_torch.logits(rgb, audio), atol=1e-4)
    for file in ("model.safetensors", "model.onnx"):
        sizes = [(folder / file).stat().st_size for folder in (tmp_path / "small", made / "out")]
        assert sizes[0] < 0.75 * sizes[1], (file, sizes, "small matrices have many steps")


def test_moved_export_loads(made, videos, tmp_path):
    shutil.copytree(made / "out", tmp_path / "elsewhere")
    classes, scores = Exported(tmp_path / "elsewhere").top(videos[1][:3], videos[2][:3])
    assert classes.shape == scores.shape == (3, 20)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_over_budget_leaves_nothing(made, data_set, tmp_path):
    with pytest.raises(
        InputError, match=r"x: the export takes 0\.\d MB, over the budget of 0\.1 MB; raise"
    ):
        run_export(made, data_set, tmp_path / "x", budget_mb=0.1)
    assert not list(tmp_path.iterdir())


def test_a_failed_parity_check_leaves_the_old_export(made, data_set, monkeypatch):
    before = (made / "out" / "model.safetensors").stat().st_mtime_ns
    monkeypatch.setitem(export.TOLERANCE, "float16", 0.0)
    with pytest.raises(AssertionError, match="model.safetensors: scores within"):
        run_export(made, data_set, made / "out", onnx=False)
    assert (made / "out" / "model.safetensors").stat().st_mtime_ns == before
    assert not (made / "out.tmp").exists()


def test_export_errors(made, data_set, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="mine: is there and is no export"):
        run_export(made, data_set, tmp_path / "mine")
    with pytest.raises(InputError, match="--name best: not a student; allowed: student, resnet"):
        run_export(made, data_set, tmp_path / "x", name="best")
    with pytest.raises(InputError, match="--dtype int4: not supported; allowed: float16"):
        run_export(made, data_set, tmp_path / "x", dtype="int4")
    with pytest.raises(InputError, match="not an export"):
        Exported(tmp_path)


def rows_of(path) -> dict[str, list[str]]:
    lines = path.read_text().splitlines()
    assert lines[0] == "VideoId,LabelConfidencePairs"
    return {line.split(",")[0]: line.split(",")[1].split() for line in lines[1:]}


def predicted(made, out, *records, **flags) -> dict[str, list[str]]:
    predict.main(made / "out", list(records), out, **flags)
    return rows_of(out)


def test_predictions_of_video_records(made, data_set, videos, tmp_path, capsys):
    found = predicted(made, tmp_path / "p.csv", data_set / "records", batch=37)
    ids, rgb, audio = videos
    assert list(found) == ids
    assert "400 videos, " in capsys.readouterr().out
    classes, scores = Exported(made / "out").top(rgb, audio)
    for row, pairs in enumerate(found.values()):
        assert [int(word) for word in pairs[::2]] == classes[row].tolist()
        np.testing.assert_allclose([float(w) for w in pairs[1::2]], scores[row], atol=1e-5)


def test_class_names_on_request(made, data_set, tmp_path):
    manifest = read_json(made / "out" / "model.json")
    odd = ['a, "b"', *manifest["class_names"][1:]]
    shutil.copytree(made / "out", tmp_path / "out")
    write_json(tmp_path / "out" / "model.json", manifest | {"class_names": odd})
    records, out = data_set / "records" / "video", tmp_path / "named.csv"
    predict.main(tmp_path / "out", [records], out, names=True)
    predict.main(tmp_path / "out", [records], out, names=True)  # an older result is replaced
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    plain = predicted(made, tmp_path / "plain.csv", records)
    assert len(rows) == 20 * len(plain)
    for row in rows[:60] + rows[-60:]:
        at = plain[row["VideoId"]].index(row["Class"], 0)
        assert row["Name"] == odd[int(row["Class"])]
        assert float(row["Confidence"]) == pytest.approx(
            float(plain[row["VideoId"]][at + 1]), rel=1e-3
        )


def test_frame_gzip_and_unlabelled_records(made, data_set, videos, tmp_path):
    whole = predicted(made, tmp_path / "p.csv", data_set / "records")
    frames = predicted(made, tmp_path / "f.csv", data_set / "records" / "frame")
    assert frames.keys() == whole.keys()
    shards = find_shards(data_set / "records")["video"]
    with gzip.open(tmp_path / "one.tfrecord.gz", "wb") as file:
        file.write(shards[0].read_bytes())
    ids, rgb, audio = videos
    write_video_records(tmp_path / "two.tfrecord", [f"new{i}" for i in range(5)], rgb, audio)
    found = predicted(
        made, tmp_path / "g.csv", tmp_path / "one.tfrecord.gz", tmp_path / "two.tfrecord"
    )
    expected = {i: whole[ids[int(i[3:])] if i.startswith("new") else i] for i in found}
    for video, pairs in found.items():  # other batches: the same but for rounding
        assert pairs[::2] == expected[video][::2]
        same = [float(word) for word in expected[video][1::2]]
        np.testing.assert_allclose([float(word) for word in pairs[1::2]], same, atol=1e-6)


def write_video_records(path, ids, rgb, audio, labels=None) -> None:
    payloads = []
    for row, video in enumerate(ids):
        example = messages.Example()
        feature = example.features.feature
        feature["id"].bytes_list.value.append(video.encode())
        feature["mean_rgb"].float_list.value.extend(rgb[row].tolist())
        feature["mean_audio"].float_list.value.extend(audio[row].tolist())
        if labels is not None:
            feature["labels"].int64_list.value.extend(labels[row])
        payloads.append(example.SerializeToString())
    write_records(path, payloads)


def test_scores_near_one_stay_apart():
    scores = torch.tensor([[18.0, 17.0, 16.5]]).double().sigmoid().numpy()
    (line,) = predict.lines(["v"], np.array([[1, 2, 3]]), scores)
    words = [float(word) for word in line.strip().split(",")[1].split()[1::2]]
    assert words[0] > words[1] > words[2]


def test_records_of_another_data_set(made, videos, tmp_path):
    path = tmp_path / "x.tfrecord"
    write_video_records(path, videos[0][:2], videos[1][:2, :16], videos[2][:2])
    text = r"x.tfrecord: record 0: rgb has 16 values; the export takes 24"
    with pytest.raises(InputError, match=text):
        predict.main(made / "out", [path], tmp_path / "x.csv")
    assert not list(tmp_path.glob("x.csv*"))


def test_a_damaged_shard_leaves_the_old_file(made, data_set, tmp_path):
    out, shard = tmp_path / "p.csv", find_shards(data_set / "records")["video"][0]
    predicted(made, out, shard)
    before = out.read_text()
    data = bytearray(shard.read_bytes())
    (tmp_path / "cut.tfrecord").write_bytes(data[:-9])
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.tfrecord").write_bytes(data)
    for name in ("cut", "flipped"):
        with pytest.raises(InputError, match=rf"{name}\.tfrecord"):
            predict.main(made / "out", [shard, tmp_path / f"{name}.tfrecord"], out)
        assert out.read_text() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_nothing_but_an_older_result_is_replaced(made, data_set, tmp_path):
    shard = tmp_path / "s.tfrecord"
    shutil.copy(find_shards(data_set / "records")["video"][0], shard)
    with pytest.raises(InputError, match="s.tfrecord: is there and is no older result"):
        predict.main(made / "out", [shard], shard)
    with pytest.raises(InputError, match="is a folder; the last argument"):
        predict.main(made / "out", [shard], tmp_path)


@pytest.fixture
def scored(made, data_set, tmp_path):
    predicted(made, tmp_path / "p.csv", data_set / "records")
    return tmp_path / "p.csv"


def last_json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_evaluate_equals_metrics(made, data_set, scored, videos, capsys):
    evaluate.main(scored, [data_set / "records"])
    found = last_json(capsys)
    assert list(found) == ["gap20", "map", "classes", "hit1", "hit5", "perr", "videos"]
    data, (ids, rgb, audio) = Store(data_set / "store"), videos
    place = {bytes(video).decode(): row for row, video in enumerate(data.ids)}
    labels = data.labels.take(np.array([place[video] for video in ids]))
    assert found == pytest.approx(
        metrics.evaluate(*Exported(made / "out").top(rgb, audio), labels, 30), abs=1e-6
    )


def test_evaluate_joins_by_id_and_takes_short_lines(tmp_path, videos, capsys):
    ids, rgb, audio = videos
    write_video_records(tmp_path / "r.tfrecord", ids[:3], rgb, audio, [[1], [2, 3], []])
    text = "VideoId,LabelConfidencePairs\n{2},5 0.1\n{1},3 0.9 7 0.4 2 0.3\n{0},1 0.8 2 0.2\n"
    (tmp_path / "p.csv").write_text(text.format(*ids))
    evaluate.main(tmp_path / "p.csv", [tmp_path / "r.tfrecord"])
    found = last_json(capsys)
    assert found["gap20"] == pytest.approx((1 + 1 + 3 / 4) / 3)  # 3, 1, (7), 2, (2), (5)
    assert (found["videos"], found["classes"], found["hit1"]) == (3, 3, 1.0)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("{0}", "line 5: not `VideoId,class confidence"),
        ("{0},1 0.5 2", "line 5: not `VideoId,class confidence"),
        ("{0},1 half", "line 5: not `class confidence` pairs"),
        ("{0},1 nan", "line 5: a confidence is not between 0 and 1"),
        ("{0},-1 0.5", "line 5: a class is out of range"),
        ("{0},1 0.5 1 0.4", "line 5: a class is there twice"),
        ("{0}," + "1 0.5 " * 21, "line 5: 21 pairs; at most 20"),
        ("{1},1 0.5", "line 5: id .* is there twice"),
        ("zzzz,1 0.5", "line 5: id zzzz is in none of the records"),
        (None, r"1 of 4 videos of the records are absent \(first: "),
    ],
)
def test_evaluate_errors(tmp_path, videos, line, text):
    ids, rgb, audio = videos
    write_video_records(tmp_path / "r.tfrecord", ids[:4], rgb, audio, [[1]] * 4)
    lines = ["VideoId,LabelConfidencePairs", *(f"{video},1 0.5" for video in ids[1:4])]
    lines += [line.format(*ids)] if line else []
    (tmp_path / "p.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(InputError, match=rf"p\.csv: {text}"):
        evaluate.main(tmp_path / "p.csv", [tmp_path / "r.tfrecord"])


def test_evaluate_needs_a_header_and_labels(tmp_path, videos):
    ids, rgb, audio = videos
    write_video_records(tmp_path / "r.tfrecord", ids[:2], rgb, audio)
    (tmp_path / "p.csv").write_text("id,labels\n")
    with pytest.raises(InputError, match="line 1 is 'id,labels'; it must be 'VideoId,"):
        evaluate.main(tmp_path / "p.csv", [tmp_path / "r.tfrecord"])
    (tmp_path / "p.csv").write_text(f"VideoId,LabelConfidencePairs\n{ids[0]},1 0.5\n")
    with pytest.raises(InputError, match="no record has labels, so nothing can be scored"):
        evaluate.main(tmp_path / "p.csv", [tmp_path / "r.tfrecord"])
    write_video_records(tmp_path / "q.tfrecord", ids[:1], rgb, audio, [[1]])
    with pytest.raises(InputError, match=r"q.tfrecord: id .* is there twice"):
        evaluate.main(tmp_path / "p.csv", [tmp_path / "q.tfrecord"] * 2)


def test_evaluate_runs_without_torch():
    code = "import sys, distill.evaluate; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_score_of_the_holdout(made, data_set, store, splits, tmp_path):
    score.main(made / "out", data_set / "store", data_set / "folds.npz", tmp_path / "e.json")
    rows = splits.holdout
    best = Exported(made / "out").top(*store.video(rows))
    assert read_json(tmp_path / "e.json") == metrics.evaluate(*best, store.labels.take(rows), 30)
    kept = Predictions.read(tmp_path / "e_predictions.npz").align(store.ids[rows])
    assert kept.classes.shape == (len(rows), 30)
    assert (kept.classes[:, :20] == best[0]).all()
    none = Splits(np.maximum(splits.fold, 0))
    none.write(tmp_path / "folds.npz", store.ids)
    score.main(made / "out", data_set / "store", tmp_path / "folds.npz", tmp_path / "e.json")
    assert set(read_json(tmp_path / "e.json").values()) == {None}
    assert len(Predictions.read(tmp_path / "e_predictions.npz").ids) == 0


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_damaged_or_foreign_networks(made, tmp_path, runtime):
    name = {"torch": "model.safetensors", "onnx": "model.onnx"}[runtime]
    cut = {"torch": "does not fit model.json", "onnx": "cannot be loaded"}[runtime]
    other = {"torch": cut, "onnx": "gives 30 classes and model.json says 31"}[runtime]
    shutil.copytree(made / "out", tmp_path / "out")
    path = tmp_path / "out" / name
    path.write_bytes(path.read_bytes()[:-99])
    with pytest.raises(InputError, match=f"{name}: {cut}"):
        Exported(tmp_path / "out", runtime)
    shutil.copytree(made / "out", tmp_path / "wider")
    manifest = read_json(tmp_path / "wider" / "model.json")
    write_json(tmp_path / "wider" / "model.json", manifest | {"classes": 31})
    with pytest.raises(InputError, match=f"{name}: {other}"):
        Exported(tmp_path / "wider", runtime)


def test_score_of_another_format(made, data_set, tmp_path):
    shutil.copytree(made / "out", tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "model.json")
    write_json(tmp_path / "out" / "model.json", manifest | {"format": 99})
    with pytest.raises(InputError, match="not an export of format 2"):
        score.main(
            tmp_path / "out", data_set / "store", data_set / "folds.npz", tmp_path / "e.json"
        )
