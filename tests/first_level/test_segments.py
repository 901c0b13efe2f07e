"""The segment task: fine-tuning that beats its parent end to end, and the challenge's file."""

import numpy as np
import pytest
import torch
from slow_metrics import slow_map_at_k
from snapshots import WRITTEN, write_snapshots

from first_level import train
from first_level.segments import submission
from first_level.segments import train as segments
from first_level.segments.windows import every_window
from folds import assign, decode
from report import segments as report
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.data.predictions import Predictions
from yt8m.data.splits import HOLDOUT, UNUSED, Splits
from yt8m.data.store import Store
from yt8m.inputs.settings import Inputs
from yt8m.records import synthetic

CLASSES = 12
MODEL = (
    "# test\narch = 'attention_net'\n[model]\nwidth = 16\nlayers = 1\nhidden = 32\n"
    "[training]\nepochs = 6\nbatch_size = 64\nlr = 0.005\n"
)


# ---- end to end ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Frame-level records with video labels, every fifth video with rated segments; a parent
    trained on the labels (fold 0) and its fine-tuned self in `segments`."""
    root = tmp_path_factory.mktemp("segments")
    sizes = {"videos": 1000, "classes": CLASSES, "rgb": 24, "audio": 8, "max_frames": 40}
    synthetic.main(root / "records", **sizes, frames=True, segments=True, shards=2, seed=5)
    decode.main(root / "records", root / "store", jobs=1)
    assign.main(root / "store", root / "folds.safetensors", holdout=0.4)
    (root / "plan").mkdir()
    _configure(root, "epochs = 10\nbatch_size = 64\n")
    train.main(
        root / "out/net/config.json", root / "store", root / "folds.safetensors", root / "parent"
    )
    _fine_tune(root)
    return root


def _configure(root, table: str) -> None:
    (root / "plan" / "net.toml").write_text(f"{MODEL}[segments]\n{table}")
    write_snapshots(root / "plan", root / "out")


def _fine_tune(root, fold=0, name="segments/fold0", **others):
    config = root / "out/net/segments/config.json"
    places = {
        "store": root / "store",
        "folds": root / "folds.safetensors",
        "parent": root / "parent",
    }
    segments.main(config, **places | others, out=root / "out/net" / name, fold=fold)
    return read_json(root / "out/net" / name / "report.json")


def _opened(run) -> tuple[Store, Splits]:
    store = Store(run / "store")
    return store, Splits.read(run / "folds.safetensors", store.ids)


def _ratings(store, splits) -> tuple[dict, np.ndarray]:
    """(score of each ("id:start", class) of the holdout, how many are confirmed of each class)."""
    rated = store.segments(splits.holdout)
    places = zip(rated.rows, rated.start, rated.label, strict=True)
    keys = [((store.ids[row] + b":%d" % start).decode(), label) for row, start, label in places]
    confirmed = rated.label[rated.score > 0]
    return dict(zip(keys, rated.score, strict=True)), np.bincount(confirmed, minlength=CLASSES)


def test_the_fine_tuned_model_beats_its_parent_on_the_holdout(run):
    report = read_json(run / "out/net/segments/fold0/report.json")
    assert report["holdout_ratings"] > 200
    assert report["map_parent_windows"] > report["map_parent_video"] + 0.01
    assert report["map_fine_tuned"] > report["map_parent_windows"]
    assert report["map_fine_tuned"] > report["map_parent_video"] + 0.04
    assert 0 < report["map_fine_tuned_fold"] <= 1


def test_the_figure_is_that_of_the_predictions_that_are_written(run):
    store, splits = _opened(run)
    told, positives = _ratings(store, splits)
    found = Predictions.read(run / "out/net/segments/fold0/predictions.safetensors")
    holdout = set(store.ids[splits.holdout].tolist())
    pairs = [
        (int(label), float(logit), int(told.get((name.decode(), label), -1)))
        for name, classes, logits in zip(found.ids, found.classes, found.logits, strict=True)
        if name.split(b":")[0] in holdout
        for label, logit in zip(classes, logits, strict=True)
    ]
    report = read_json(run / "out/net/segments/fold0/report.json")
    expected = (report["map_fine_tuned"], report["classes"])
    assert slow_map_at_k(pairs, positives, 100_000) == pytest.approx(expected)


def test_every_window_of_the_rated_videos_of_fold_and_holdout_is_predicted(run):
    store, splits = _opened(run)
    found = Predictions.read(run / "out/net/segments/fold0/predictions.safetensors")
    rows = np.concatenate([splits.rows(0), splits.holdout])
    rows = np.intersect1d(rows, store.segments(rows).rows)
    expected = {
        store.ids[row] + b":%d" % start
        for row in rows
        for start in range(0, store.num_frames[row], 5)
    }
    assert len(found.ids) == len(expected)
    assert set(found.ids.tolist()) == expected
    _configure(run, "epochs = 0\nvideos = 'all'\nkeep = 3\n")
    assert _fine_tune(run, name="all")["windows"] == sum(
        -(-int(store.num_frames[row]) // 5) for row in [*splits.rows(0), *splits.holdout]
    )
    assert Predictions.read(run / "out/net/all/predictions.safetensors").classes.shape[1] == 3


def test_videos_in_no_fold_are_predicted_if_asked_for_and_never_scored(run, tmp_path):
    store, splits = _opened(run)
    Splits(np.where(splits.fold == HOLDOUT, UNUSED, splits.fold)).write(
        tmp_path / "folds.safetensors", store.ids
    )
    found = {}
    for videos in ("rated", "all"):
        _configure(run, f"epochs = 0\nvideos = '{videos}'\n")
        figures = _fine_tune(run, name="unused", folds=tmp_path / "folds.safetensors")
        assert (figures["map_fine_tuned"], figures["classes"]) == (None, 0)
        assert 0 < figures["map_fine_tuned_fold"] <= 1
        predictions = Predictions.read(run / "out/net/unused/predictions.safetensors")
        found[videos] = {name.split(b":")[0] for name in predictions.ids}
    own, unused = (set(store.ids[rows].tolist()) for rows in (splits.rows(0), splits.holdout))
    assert found["rated"] < own
    assert found["all"] == own | unused


def test_without_epochs_it_is_the_parent(run):
    _configure(run, "epochs = 0\n")
    report = _fine_tune(run, name="parent")
    assert report["map_fine_tuned"] == report["map_parent_windows"]
    assert {path.name for path in (run / "out/net/parent").iterdir()} == WRITTEN


def test_no_rating_of_the_fold_or_the_holdout_reaches_the_weights(run, monkeypatch):
    _configure(run, "epochs = 1\n")
    _fine_tune(run, name="clean")
    store, splits = _opened(run)
    plain = Store.segments

    def poisoned(hidden):
        def read(self, rows):
            found = plain(self, rows)
            wrong = np.isin(found.rows, hidden)
            found.score[wrong] = 1 - found.score[wrong]
            return found

        monkeypatch.setattr(Store, "segments", read)

    poisoned(np.concatenate([splits.rows(0), splits.holdout]))
    _fine_tune(run, name="poisoned")
    poisoned(splits.rows(1))
    _fine_tune(run, name="seen")
    clean, hidden, seen = (
        (run / "out/net" / name / "weights.safetensors").read_bytes()
        for name in ("clean", "poisoned", "seen")
    )
    assert hidden == clean
    assert seen != clean, "or this test could not fail"


def test_weights_are_kept_until_something_else_goes_in(run):
    _configure(run, "epochs = 1\n")
    _fine_tune(run, name="kept")
    weights = run / "out/net/kept/weights.safetensors"
    before, predictions = weights.stat().st_mtime_ns, run / "out/net/kept/predictions.safetensors"
    content = predictions.read_bytes()
    predictions.unlink()
    _fine_tune(run, name="kept")
    assert weights.stat().st_mtime_ns == before
    assert predictions.read_bytes() == content
    _configure(run, "epochs = 1\nseed = 1\n")
    _fine_tune(run, name="kept")
    assert weights.stat().st_mtime_ns != before


def test_the_table_names_the_model(run, capsys):
    report.main([run / "out/net/segments"])
    printed = capsys.readouterr().out
    assert "| net " in printed
    with pytest.raises(InputError, match="nothing: no fold.*json; run `make segments`"):
        report.main([run / "nothing"])


def test_the_file_gives_the_same_figure(run, tmp_path):
    """As the challenge scored it: read the lists, drop what nobody rated, average."""
    submission.main([run / "out/net/segments/fold0/predictions.safetensors"], tmp_path / "out.csv")
    told, positives = _ratings(*_opened(run))
    pairs = []
    for line in (tmp_path / "out.csv").read_text().splitlines()[1:]:
        label, listed = line.split(",")
        for place, name in enumerate(listed.split()):
            pairs.append((int(label), -place, int(told.get((name, int(label)), -1))))
    expected = read_json(run / "out/net/segments/fold0/report.json")["map_fine_tuned"]
    # Equal logits are ordered by id in the file, by row in the report.
    assert slow_map_at_k(pairs, positives, 100_000)[0] == pytest.approx(expected, abs=0.01)


# ---- errors --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("[segments]\nlr = 0\n", "segments.lr = 0: Input should be greater than 0"),
        ("[segments]\nrate = 1\n", "unknown key 'segments.rate'; allowed: batch_size, context, ep"),
        ("[segments]\nvideos = 'none'\n", "segments.videos = 'none': Input should be 'rated' or "),
    ],
)
def test_a_wrong_table_is_named(tmp_path, table, text):
    (tmp_path / "net.toml").write_text(MODEL + table)
    with pytest.raises(InputError, match=text):
        write_snapshots(tmp_path, tmp_path / "out")


def test_a_video_level_model_has_no_segments(tmp_path, run):
    (tmp_path / "net.toml").write_text("# test\narch = 'linear'\n[segments]\n")
    with pytest.raises(InputError, match="net.toml: .segments. is for frame-level models and li"):
        write_snapshots(tmp_path, tmp_path / "out")
    config = tmp_path / "config.json"
    arguments = config, run / "store", run / "folds.safetensors", run, tmp_path
    config.write_text('{"arch": "linear", "segments": {}}')
    with pytest.raises(InputError, match="linear is video-level; only frame-level models fit"):
        segments.main(*arguments)
    config.write_text('{"arch": "lstm", "model": {"width": 4}}')
    with pytest.raises(InputError, match="config.json: has no .segments.; add the table to the mo"):
        segments.main(*arguments)
    config.write_text('{"arch": "lstm", "segments": {}, "inputs": {"dynamics": "centred"}}')
    with pytest.raises(InputError, match="inputs.dynamics = 'centred' is of whole videos; leave"):
        segments.main(*arguments)


def test_what_is_missing_is_named(run, data_set, tmp_path):
    _configure(run, "epochs = 1\n")
    others = {"store": data_set / "store", "folds": data_set / "folds.safetensors"}
    with pytest.raises(InputError, match="store: has no rated segments; give DATA segment-rated"):
        _fine_tune(run, name="wrong", **others)
    with pytest.raises(InputError, match="weights.safetensors: no such file; run `make first_lev"):
        _fine_tune(run, name="wrong", parent=run / "nowhere")
    store, splits = _opened(run)
    everywhere = np.where(np.isin(np.arange(len(store)), splits.others(0)), 0, splits.fold)
    Splits(everywhere).write(tmp_path / "folds.safetensors", store.ids)
    with pytest.raises(InputError, match="store: 0 rated segments outside fold 0 and the holdout"):
        _fine_tune(run, name="wrong", folds=tmp_path / "folds.safetensors")


def test_skipped_and_sampled_frames_do_not_empty_a_window(run):
    store = Store(run / "store")
    windows = every_window(store, np.arange(20), 5)
    inputs = Inputs(skip_frames=20, sampling="random", max_frames=2)
    config = segments.PlannedModel(arch="lstm", inputs=inputs)
    job = segments.SegmentJob(config, store, None, run, 0, "test", "")
    batch = job.source(windows).load(np.arange(len(windows)), torch.device("cpu"))
    assert batch.mask.sum(1).tolist() == np.minimum(windows.num_frames, 2).tolist()
