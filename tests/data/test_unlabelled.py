"""Videos of UNLABELLED: beside those of DATA, without their labels, and only for the students."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from distill_world import toy_config
from record_bytes import decoded
from safetensors.numpy import load_file

from distill import train as distill
from distill.job import rows_of
from first_level import predict as first_level
from first_level import train as job
from first_level.config import ModelConfig
from folds import assign, decode, unlabelled
from stacking import predict, rows, soft_labels, train
from stacking import unlabelled as stack
from stacking.config import Stacking
from yt8m.base.cli import InputError
from yt8m.base.config import write_snapshot
from yt8m.base.files import read_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, UNLABELLED, Splits
from yt8m.data.store import Store
from yt8m.data.unlabelled import open_both
from yt8m.records import synthetic
from yt8m.records.framing import read_records, write_records
from yt8m.records.messages import protobuf

OPTIONS = {"videos": 240, "classes": 12, "rgb": 6, "audio": 3, "max_frames": 6, "shards": 4}
QUICK = {"epochs": 2, "batch_size": 32, "lr": 0.01, "precision": "float32"}
BOOSTER = {"max_rounds": 5, "num_leaves": 4, "min_data_in_leaf": 20}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of one model, up to the student: the last of four shards is UNLABELLED."""
    run = tmp_path_factory.mktemp("unlabelled")
    synthetic.main(run / "data", **OPTIONS, frames=True)
    for kind in ("video", "frame"):
        (run / "more" / kind).mkdir(parents=True)
        last = sorted((run / "data" / kind).glob("*.tfrecord"))[-1]
        shutil.move(last, run / "more" / kind)
    decode.main(run / "data", run / "store", jobs=1)
    assign.main(run / "store", run / "folds.safetensors", holdout=0.2)
    config = ModelConfig(arch="linear", training=QUICK)
    write_snapshot(run / "first_level" / "linear" / "config.json", config)
    write_snapshot(run / "stacking.json", Stacking(candidates=8, booster=BOOSTER))
    write_snapshot(run / "distill.json", toy_config(targets={"hard_weight": 1.0}))
    (run / "models.txt").write_text("linear\n")
    for k in range(NUM_FOLDS):
        job.main(*of_model(run, k), fold=k)
        out = run / "stacking" / f"fold{k}" / "rows"
        inputs = (run / "stacking.json", run / "models.txt", run)
        rows.main(*inputs, run / "store", run / "folds.safetensors", out, fold=k)
    for k in range(NUM_FOLDS):
        fold = run / "stacking" / f"fold{k}"
        train.main(run / "stacking.json", run / "stacking", fold / "model.txt", fold=k)
        files = (fold / "rows", fold, fold / "predictions.safetensors")
        predict.main(run / "stacking.json", *files, fold=k)
    to = run / "stacking" / "soft_labels.safetensors"
    soft_labels.main(run / "stacking", run / "store", run / "folds.safetensors", to)
    label(run, run / "more")
    return run


def of_model(run: Path, k: int) -> tuple[Path, ...]:
    model = run / "first_level" / "linear"
    return model / "config.json", run / "store", run / "folds.safetensors", model / f"fold{k}"


def label(run: Path, more: Path) -> None:
    """From the records `more` to a student that has learnt from them."""
    store, folds = run / "store", run / "folds.safetensors"
    unlabelled.main(more, store, jobs=1)
    for k in range(NUM_FOLDS):
        first_level.main(*of_model(run, k), fold=k)
        fold, config = run / "stacking" / f"fold{k}", run / "stacking.json"
        inputs = (config, fold / "rows", fold, run, store, folds)
        stack.main(*inputs, fold / "unlabelled.safetensors", fold=k)
    to = run / "stacking" / "unlabelled.safetensors"
    soft_labels.main(run / "stacking", store, folds, to, unlabelled=True)
    student(run, run / "student", to)


def student(run: Path, out: Path, more: Path | None) -> None:
    inputs = (run / "distill.json", run / "store", run / "folds.safetensors")
    soft = run / "stacking" / "soft_labels.safetensors"
    distill.main(*inputs, soft, out, part="resnet", unlabelled=more)


def opened(run: Path) -> tuple[Store, Splits]:
    data = Store(run / "store")
    return open_both(data, Splits.read(run / "folds.safetensors", data.ids))


def test_rows_of_data_come_first_and_the_others_have_features_but_no_labels(run, tmp_path):
    data, (both, splits) = Store(run / "store"), opened(run)
    assert len(data) == 180
    assert splits.unlabelled.tolist() == list(range(180, 240))
    assert not both.labels.take(splits.unlabelled).counts().any()
    assert not both.labelled[splits.unlabelled].any()
    shutil.copytree(run / "more", tmp_path / "more")
    for name in ("dataset.toml", "vocabulary.csv"):
        shutil.copy(run / "data" / name, tmp_path / "more")
    alone, chosen = decoded(tmp_path / "more", tmp_path / "alone"), np.array([3, 230, 181, 17])
    assert alone.labels.counts().any(), "its records have labels"
    assert (both.ids[splits.unlabelled] == alone.ids).all()
    first, second = features_of(data, chosen[[0, 3]]), features_of(alone, chosen[1:3] - 180)
    for name, part in features_of(both, chosen).items():
        whole = np.concatenate([first[name], second[name]])
        assert sorted(part.ravel().tolist()) == sorted(whole.ravel().tolist())


def features_of(videos, rows) -> dict[str, np.ndarray]:
    frames, lengths = videos.frames(rows)
    named = {f"{kind}_frames": values for kind, values in frames.items()}
    return videos.video(rows) | named | {"lengths": lengths}


def test_what_is_trained_on_data_is_not_stale(run):
    def untimed():
        paths = (run / "first_level").rglob("fold1/*")
        return {path: path.read_bytes() for path in paths if path.name != "report.json"}

    before = untimed()
    assert len(before) > 3
    (run / "first_level/linear/fold1/predictions.safetensors").unlink()
    job.main(*of_model(run, 1), fold=1)
    assert untimed() == before


def test_soft_labels_are_of_the_unlabelled_videos_alone(run):
    both, splits = opened(run)
    soft = Predictions.read(run / "stacking" / "unlabelled.safetensors")
    assert (soft.ids == both.ids[splits.unlabelled]).all()
    assert soft.classes.shape == (60, 8)
    assert read_json(run / "student" / "report.json")["training_videos"] == 60 + len(
        splits.training
    )
    assert not list(run.rglob("*.tmp"))


def test_no_label_of_an_unlabelled_video_is_read(run, tmp_path):
    planted = tmp_path / "run"
    shutil.copytree(run, planted)
    for path in sorted((run / "more").rglob("*.tfrecord")):
        shard = planted / path.relative_to(run)
        write_records(shard, (other_labels(payload) for payload in read_records(path)))
        os.utime(shard, ns=(0, path.stat().st_mtime_ns))
    label(planted, planted / "more")
    for name in ("first_level/linear/fold2", "stacking/fold2", "stacking"):
        file = Path(name) / "unlabelled.safetensors"
        assert (planted / file).read_bytes() == (run / file).read_bytes()
    before, after = (load_file(at / "student" / "weights.safetensors") for at in (run, planted))
    assert all((before[name] == after[name]).all() for name in before)
    student(
        run, tmp_path / "without", None
    )  # these would differ if the videos were not learnt from
    without = load_file(tmp_path / "without" / "weights.safetensors")
    assert any((before[name] != without[name]).any() for name in before)


def other_labels(payload) -> bytes:
    """The record with labels that no data set has."""
    message = protobuf.SequenceExample.FromString(bytes(payload))
    values = message.context.feature["labels"].int64_list.value
    del values[:]
    values.extend([7, 60_000])
    return message.SerializeToString()


def test_the_last_layers_of_split_videos_see_none_of_them(run):
    _, splits = opened(run)
    config = toy_config(extractor_videos="split")
    first, last = (splits.fold[rows_of(part, config, splits)] for part in ("a", "last"))
    assert set(first) == {0, 1, 2, UNLABELLED}
    assert set(last) == {3, 4}


def test_a_video_of_data_keeps_its_place(run, tmp_path, capsys):
    shutil.copytree(run / "store", tmp_path / "store")
    for kind in ("video", "frame"):
        shutil.copytree(run / "more" / kind, tmp_path / "more" / kind)
        first = sorted((run / "data" / kind).glob("*.tfrecord"))[0]
        shutil.copy(first, tmp_path / "more" / kind)
    unlabelled.main(tmp_path / "more", tmp_path / "store", jobs=1)
    assert "60 video records are of videos of DATA and are left out" in capsys.readouterr().out
    found, before = (Store(at / "store" / "unlabelled") for at in (tmp_path, run))
    assert (found.ids == before.ids).all()
    with pytest.raises(
        InputError, match="UNLABELLED: all 180 video records are of videos that DATA"
    ):
        unlabelled.main(run / "data", tmp_path / "store", jobs=1)


def test_errors(run, tmp_path):
    store = run / "store"
    with pytest.raises(InputError, match="absent: no such file or folder"):
        unlabelled.main(tmp_path / "absent", store)
    with pytest.raises(
        InputError, match="has no frame-level records, but DATA has video and frame"
    ):
        unlabelled.main(run / "more" / "video", store)
    synthetic.main(tmp_path / "wide", **OPTIONS | {"rgb": 7, "videos": 9}, frames=True)
    match = r"wide: has rgb 7, audio 3 wide, DATA has rgb 6, audio 3; give UNLABELLED"
    with pytest.raises(InputError, match=match):
        unlabelled.main(tmp_path / "wide", store)
    shutil.copytree(store, tmp_path / "store")
    shutil.copytree(run / "more", tmp_path / "more")
    for shard in (tmp_path / "more").rglob("*.tfrecord"):
        shutil.copy(shard, shard.with_name("again.tfrecord"))
    with pytest.raises(InputError, match=r"again.tfrecord: id .* appears twice"):
        unlabelled.main(tmp_path / "more", tmp_path / "store", jobs=1)
    shutil.rmtree(tmp_path / "store" / "unlabelled")
    with pytest.raises(InputError, match=r"unlabelled: no complete store here; run `make folds`"):
        open_both(Store(tmp_path / "store"), Splits(np.zeros(180, np.int8)))
    config, _, folds, out = of_model(run, 3)
    with pytest.raises(InputError, match=r"fold3: has no weights of these settings and folds"):
        first_level.main(config, store, folds, out, fold=2)
