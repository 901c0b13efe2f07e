"""log.jsonl while jobs go on, and what TensorBoard is given of it."""

import json
import os
from collections import Counter

import pytest
from tensorboardX.proto.event_pb2 import Event

from first_level.config import ModelConfig, build
from report import tensorboard
from yt8m.base import run_log as epochs
from yt8m.base.cli import InputError
from yt8m.base.run_log import read_log, write_log
from yt8m.inputs.batch import HardTargets, Source
from yt8m.inputs.settings import Inputs
from yt8m.records.framing import read_records
from yt8m.training import checkpoint
from yt8m.training.loop import Examples, fit
from yt8m.training.settings import Training

SETTINGS = Training(epochs=5, batch_size=64, lr=2e-2, precision="float32")


def _fit(store, splits, folder, settings=SETTINGS):
    model = build(ModelConfig(arch="linear"), store.dims, "test")
    source = Source(store, "video", Inputs())
    targets = HardTargets(store.labels, store.dims.classes)
    examples = Examples(source, splits.others(0), targets, splits.rows(0))
    return fit(model, examples, settings, folder, "a job")


def test_each_epoch_is_a_line_with_its_figures(store, splits, tmp_path):
    history = _fit(store, splits, tmp_path)
    lines = read_log(tmp_path / "log.jsonl")
    assert lines == [{"job": "a job", "epochs": 5} | line for line in history]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5]
    for line in lines:
        assert {"loss", "gap", "lr", "examples_per_s", "seconds", "peak_memory_mb"} <= set(line)
        assert line["peak_memory_mb"] > 50
    assert lines[-1]["left"] == 0


def test_a_killed_job_that_goes_on_has_no_epoch_twice(store, splits, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "CHECKPOINT_SECONDS", 0.0)
    log, seen = tmp_path / "log.jsonl", []
    save = checkpoint.TrainingRun._save

    def save_until_the_second(self):
        if self.epoch <= 2:
            save(self)
        elif self.epoch == 4:  # two epochs later than the checkpoint
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint.TrainingRun, "_save", save_until_the_second)
    with pytest.raises(KeyboardInterrupt):
        _fit(store, splits, tmp_path)
    before = read_log(log)
    assert [line["epoch"] for line in before] == [1, 2, 3]

    def look(self):
        seen.append([line["epoch"] for line in read_log(log)])

    monkeypatch.setattr(checkpoint.TrainingRun, "_save", look)
    history = _fit(store, splits, tmp_path)
    assert seen == [[1, 2], [1, 2, 3]], "what the checkpoint does not have is gone"
    after = read_log(log)
    assert [line["epoch"] for line in after] == [1, 2, 3, 4, 5]
    assert after[:2] == before[:2]
    assert [line["loss"] for line in after] == [line["loss"] for line in history]


def test_a_run_that_starts_again_forgets_the_old_epochs(store, splits, tmp_path):
    write_log(tmp_path, "old", 9, [{"epoch": 7}])
    _fit(store, splits, tmp_path, SETTINGS.model_copy(update={"epochs": 1}))
    assert [line["epoch"] for line in read_log(tmp_path / "log.jsonl")] == [1]


def test_a_damaged_log_is_named(tmp_path):
    assert read_log(tmp_path / "log.jsonl") == []
    (tmp_path / "log.jsonl").write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(InputError, match=r"log.jsonl: not JSON \(.*\); delete it"):
        read_log(tmp_path / "log.jsonl")
    for foreign in ('"made"\n', '{"epoch": 1, "epochs": 4}\n'):
        (tmp_path / "log.jsonl").write_text(foreign)
        with pytest.raises(InputError, match=r"log.jsonl: not a log of epochs; delete it"):
            read_log(tmp_path / "log.jsonl")


SPEED = {"examples_per_s": 9.0}
LINES = [
    SPEED | {"epoch": 1, "loss": 5.5, "lr": 0.1, "gap": 0.25, "seconds": 2.0, "left": 3.0},
    SPEED | {"epoch": 2, "loss": 4.5, "lr": 0.05, "gap": 0.5, "seconds": 3.0, "left": 0.0},
]


def _events(folder):
    """(tag, step, value, time) of the event files in a folder, CRCs checked."""
    found = []
    for path in folder.glob("events.out.tfevents.*"):
        for payload in read_records(path):
            event = Event.FromString(bytes(payload))
            found += [
                (value.tag, event.step, value.simple_value, event.wall_time)
                for value in event.summary.value
            ]
    return found


def test_event_files_hold_every_figure_of_every_epoch(tmp_path, capsys):
    run, out = tmp_path / "run", tmp_path / "out"
    for folder in ("first_level/linear/fold3", "distill/student"):
        write_log(run / folder, folder, 2, LINES)
        os.utime(run / folder / "log.jsonl", (1000, 1000))
    tensorboard.main(run, out)
    assert "2 jobs; look at them with: tensorboard --logdir" in capsys.readouterr().out
    found = _events(out / "first_level/linear/fold3")
    assert Counter(tag for tag, *_ in found) == dict.fromkeys(
        LINES[0].keys() - {"epoch", "left"}, 2
    )
    assert [event[1:] for event in found if event[0] == "gap"] == [(1, 0.25, 997), (2, 0.5, 1000)]
    tensorboard.main(run, out)
    assert len(_events(out / "distill/student")) == 10, "once more, in place of the first"


def test_what_is_wrong_with_the_folders_is_said(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="no log.jsonl below it; run `make first_level`"):
        tensorboard.main(tmp_path, tmp_path / "out")
    write_log(tmp_path / "run", "a", 2, LINES)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    with pytest.raises(InputError, match="mine: holds other files; choose a new folder"):
        tensorboard.main(tmp_path / "run", tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").exists()


@pytest.mark.parametrize("missing", ["tensorboard", "tensorboardX"])
def test_what_is_not_installed_is_one_line(tmp_path, monkeypatch, capsys, missing):
    real = tensorboard.importlib.util.find_spec
    monkeypatch.setattr(
        tensorboard.importlib.util, "find_spec", lambda name: name != missing and real(name)
    )
    write_log(tmp_path / "run", "a", 2, LINES)
    if missing == "tensorboard":
        tensorboard.main(tmp_path / "run", tmp_path / "out")
        printed = capsys.readouterr().out
        assert printed.endswith("(to install it: python -m pip install tensorboard)\n")
        assert len(printed.splitlines()) == 1
    else:
        with pytest.raises(InputError, match="`python -m pip install tensorboardX tensorboard`"):
            tensorboard.main(tmp_path / "run", tmp_path / "out")


def test_the_file_is_json_lines(tmp_path):
    write_log(tmp_path, "a", 2, LINES)
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]


def test_a_job_that_went_on_has_the_seconds_of_its_epochs():
    history = [{"seconds": 4.0}, {"seconds": 3.0}]
    assert epochs.seconds_of(history, 9.0) == 9
    assert epochs.seconds_of(history, 3.5) == 7
