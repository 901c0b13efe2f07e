"""Prediction files and their scoring: what users script against."""

import csv
import gzip
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from export_world import write_video_records
from kinds import named

from distill import evaluate, predict
from distill.export import evaluate as score
from distill.export.run import Exported
from first_level.bundle.sums import state_sums
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, write_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.records.description import find_shards
from yt8m.training import metrics


def rows_of(path) -> dict[str, list[str]]:
    lines = path.read_text().splitlines()
    assert lines[0] == "VideoId,LabelConfidencePairs"
    return {line.split(",")[0]: line.split(",")[1].split() for line in lines[1:]}


def predicted(students, out, *records, **flags) -> dict[str, list[str]]:
    predict.main(students / "out", list(records), out, **flags)
    return rows_of(out)


def test_predictions_of_video_records(students, data_set, videos, tmp_path, capsys):
    found = predicted(students, tmp_path / "p.csv", data_set / "records", batch=37)
    ids, rgb, audio = videos
    assert list(found) == ids
    assert "400 videos, " in capsys.readouterr().out
    classes, scores = Exported(students / "out").top(named(rgb, audio))
    for row, pairs in enumerate(found.values()):
        assert [int(word) for word in pairs[::2]] == classes[row].tolist()
        np.testing.assert_allclose([float(w) for w in pairs[1::2]], scores[row], atol=1e-5)


def test_class_names_on_request(students, data_set, tmp_path):
    manifest = read_json(students / "out" / "model.json")
    odd = ['a, "b"', *manifest["class_names"][1:]]
    shutil.copytree(students / "out", tmp_path / "out")
    write_json(tmp_path / "out" / "model.json", manifest | {"class_names": odd})
    state_sums(tmp_path / "out")
    records, out = data_set / "records" / "video", tmp_path / "named.csv"
    predict.main(tmp_path / "out", [records], out, names=True)
    predict.main(tmp_path / "out", [records], out, names=True)  # an older result is replaced
    with open(out, newline="") as file:
        rows = list(csv.DictReader(file))
    plain = predicted(students, tmp_path / "plain.csv", records)
    assert len(rows) == 20 * len(plain)
    for row in rows[:60] + rows[-60:]:
        at = plain[row["VideoId"]].index(row["Class"], 0)
        assert row["Name"] == odd[int(row["Class"])]
        assert float(row["Confidence"]) == pytest.approx(
            float(plain[row["VideoId"]][at + 1]), rel=1e-3
        )


def test_frame_gzip_and_unlabelled_records(students, data_set, videos, tmp_path):
    whole = predicted(students, tmp_path / "p.csv", data_set / "records")
    frames = predicted(students, tmp_path / "f.csv", data_set / "records" / "frame")
    assert frames.keys() == whole.keys()
    shards = find_shards(data_set / "records")["video"]
    with gzip.open(tmp_path / "one.tfrecord.gz", "wb") as file:
        file.write(shards[0].read_bytes())
    ids, rgb, audio = videos
    write_video_records(tmp_path / "two.tfrecord", [f"new{i}" for i in range(5)], rgb, audio)
    found = predicted(
        students, tmp_path / "g.csv", tmp_path / "one.tfrecord.gz", tmp_path / "two.tfrecord"
    )
    expected = {i: whole[ids[int(i[3:])] if i.startswith("new") else i] for i in found}
    for video, pairs in found.items():  # other batches: the same but for rounding
        assert pairs[::2] == expected[video][::2]
        same = [float(word) for word in expected[video][1::2]]
        np.testing.assert_allclose([float(word) for word in pairs[1::2]], same, atol=1e-6)


def test_scores_near_one_stay_apart():
    scores = torch.tensor([[18.0, 17.0, 16.5]]).double().sigmoid().numpy()
    (line,) = predict.lines(["v"], np.array([[1, 2, 3]]), scores)
    words = [float(word) for word in line.strip().split(",")[1].split()[1::2]]
    assert words[0] > words[1] > words[2]


def test_records_of_another_data_set(students, videos, tmp_path):
    path = tmp_path / "x.tfrecord"
    write_video_records(path, videos[0][:2], videos[1][:2, :16], videos[2][:2])
    text = r"x.tfrecord: record 0: rgb has 16 values; the export takes 24"
    with pytest.raises(InputError, match=text):
        predict.main(students / "out", [path], tmp_path / "x.csv")
    assert not list(tmp_path.glob("x.csv*"))


def test_a_damaged_shard_leaves_the_old_file(students, data_set, tmp_path):
    out, shard = tmp_path / "p.csv", find_shards(data_set / "records")["video"][0]
    predicted(students, out, shard)
    before = out.read_text()
    data = bytearray(shard.read_bytes())
    (tmp_path / "cut.tfrecord").write_bytes(data[:-9])
    data[len(data) // 2] ^= 1
    (tmp_path / "flipped.tfrecord").write_bytes(data)
    for name in ("cut", "flipped"):
        with pytest.raises(InputError, match=rf"{name}\.tfrecord"):
            predict.main(students / "out", [shard, tmp_path / f"{name}.tfrecord"], out)
        assert out.read_text() == before
    assert not list(tmp_path.glob("*.tmp"))


def test_nothing_but_an_older_result_is_replaced(students, data_set, tmp_path):
    shard = tmp_path / "s.tfrecord"
    shutil.copy(find_shards(data_set / "records")["video"][0], shard)
    with pytest.raises(InputError, match="s.tfrecord: already exists and is not an older result"):
        predict.main(students / "out", [shard], shard)
    with pytest.raises(InputError, match="is a folder; name the file to write"):
        predict.main(students / "out", [shard], tmp_path)


@pytest.fixture
def scored(students, data_set, tmp_path):
    predicted(students, tmp_path / "p.csv", data_set / "records")
    return tmp_path / "p.csv"


def last_json(capsys) -> dict:
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_evaluate_equals_metrics(students, data_set, scored, videos, capsys):
    evaluate.main(scored, [data_set / "records"])
    found = last_json(capsys)
    assert list(found) == ["gap20", "map", "classes", "hit1", "hit5", "perr", "videos"]
    data, (ids, rgb, audio) = Store(data_set / "store"), videos
    place = {bytes(video).decode(): row for row, video in enumerate(data.ids)}
    labels = data.labels.take(np.array([place[video] for video in ids]))
    assert found == pytest.approx(
        metrics.evaluate(*Exported(students / "out").top(named(rgb, audio)), labels, 30), abs=1e-6
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
        ("{0},1 0.5 1 0.4", "line 5: a class appears twice"),
        ("{0}," + "1 0.5 " * 21, "line 5: 21 pairs; at most 20"),
        ("{1},1 0.5", "line 5: id .* appears twice"),
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
    with pytest.raises(InputError, match="no record has labels; give labelled records"):
        evaluate.main(tmp_path / "p.csv", [tmp_path / "r.tfrecord"])
    write_video_records(tmp_path / "q.tfrecord", ids[:1], rgb, audio, [[1]])
    with pytest.raises(InputError, match=r"q.tfrecord: id .* appears twice"):
        evaluate.main(tmp_path / "p.csv", [tmp_path / "q.tfrecord"] * 2)


def test_evaluate_runs_without_torch():
    code = "import sys, distill.evaluate; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_score_of_the_holdout(students, data_set, store, splits, tmp_path):
    score.main(
        students / "out", data_set / "store", data_set / "folds.safetensors", tmp_path / "e.json"
    )
    rows = splits.holdout
    best = Exported(students / "out").top(store.video(rows))
    assert read_json(tmp_path / "e.json") == metrics.evaluate(*best, store.labels.take(rows), 30)
    kept = Predictions.read(tmp_path / "e_predictions.safetensors").align(store.ids[rows])
    assert (kept.classes == best[0]).all()
    none = Splits(np.maximum(splits.fold, 0))
    none.write(tmp_path / "folds.safetensors", store.ids)
    score.main(
        students / "out", data_set / "store", tmp_path / "folds.safetensors", tmp_path / "e.json"
    )
    assert set(read_json(tmp_path / "e.json").values()) == {None}
    assert len(Predictions.read(tmp_path / "e_predictions.safetensors").ids) == 0


def test_score_of_another_format(students, data_set, tmp_path):
    shutil.copytree(students / "out", tmp_path / "out")
    manifest = read_json(tmp_path / "out" / "model.json")
    write_json(tmp_path / "out" / "model.json", manifest | {"format": 99})
    state_sums(tmp_path / "out")
    with pytest.raises(InputError, match="not an export of format 4"):
        score.main(
            tmp_path / "out",
            data_set / "store",
            data_set / "folds.safetensors",
            tmp_path / "e.json",
        )
