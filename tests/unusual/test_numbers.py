"""Numbers that are not finite, too large for a type, or too few: one line, or the right answer."""

from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

from distill.export.onnx_graph import SMALL, _shrink
from first_level.bundle.rounding import rounded_state
from first_level.config import ModelConfig, build
from stacking.learners.learned import Learned
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.data.predictions import Predictions
from yt8m.data.splits import draw_share, uniform
from yt8m.inputs.batch import HardTargets, Source, batch_rows
from yt8m.inputs.settings import Inputs
from yt8m.records.labels import Labels
from yt8m.records.vocabulary import read_vocabulary
from yt8m.training.loop import Examples, fit, predict
from yt8m.training.settings import Training

QUICK = {"epochs": 1, "batch_size": 512, "precision": "float32", "warmup": 0.0}


def linear(store):
    return build(ModelConfig(arch="linear"), store.dims, "test")


def train(store, folder, watched=None, **settings):
    """The history of a linear model; one step an epoch."""
    targets = HardTargets(store.labels, store.dims.classes)
    examples = Examples(Source(store, "video", Inputs()), np.arange(100), targets, watched)
    return fit(linear(store), examples, Training(**QUICK | settings), folder, "test")


def test_weights_that_the_last_step_broke_are_refused(store, tmp_path):
    text = r"\[test\] weights .* are not finite after epoch 1; lr is 1e\+300; lower lr or clip"
    with pytest.raises(InputError, match=text):
        train(store, tmp_path, lr=1e300)
    with pytest.raises(InputError, match=r"\[test\] (loss is|epoch \d: predictions are not num)"):
        train(store, tmp_path, lr=1e30, epochs=3, watched=np.arange(200, 220))


def test_predictions_that_are_no_numbers_are_refused(store):
    model = linear(store)
    with torch.no_grad():
        for value in model.parameters():
            value.fill_(float("nan"))
    with pytest.raises(InputError, match=r"^\[mine\]: predictions are not numbers; lower lr or"):
        predict(model, Source(store, "video", Inputs()), np.arange(5), 20, where="[mine]")


def test_watched_videos_without_labels_have_no_gap(store, tmp_path):
    watched = np.arange(100, 120)
    assert "gap" in train(store, tmp_path, watched)[0]
    store.labels = Labels.from_lists([[0]] * 100 + [[]] * (len(store) - 100))
    assert "gap" not in train(store, tmp_path, watched)[0]


def test_a_share_has_one_video_at_least():
    ids = np.array([b"a", b"b", b"c", b"d"])
    draws = uniform(ids, "salt")
    assert draw_share(ids, "salt", 1e-9).tolist() == (draws == draws.min()).tolist()
    many = np.array([b"v%d" % number for number in range(1000)])
    np.testing.assert_array_equal(draw_share(many, "x", 0.3), uniform(many, "x") < 0.3)
    assert not len(draw_share(ids[:0], "salt", 0.5))


def test_no_batch_has_one_video_alone():
    for videos in range(2, 40):
        for size in range(2, 9):
            sizes = [len(batch) for batch in batch_rows(np.arange(videos), size)]
            assert sum(sizes) == videos
            assert min(sizes) > 1
            assert max(sizes) <= max(size, 3)


def test_what_float16_cannot_hold_stays_float32():
    net = torch.nn.Linear(SMALL, 2)
    with torch.no_grad():
        net.weight[0, 0] = 1e6
    state = rounded_state(net, "float16")
    assert state["weight"].dtype == torch.float32
    assert state["bias"].dtype == torch.float16
    weights = {"large": net.weight, "usual": torch.ones(1, SMALL)}
    graph = onnx.GraphProto()
    for name, value in weights.items():
        graph.initializer.append(numpy_helper.from_array(value.detach().numpy(), name))
    _shrink(graph, "float16")
    kinds = {weight.name: weight.data_type for weight in graph.initializer}
    assert kinds == {"large": TensorProto.FLOAT, "usual_float16": TensorProto.FLOAT16}


@pytest.mark.parametrize(("score", "kept"), [(1e30, 65504.0), (-np.inf, -65504.0), (0.5, 0.5)])
def test_logits_of_the_stack_are_finite(tmp_path, score, kept):
    rows = SimpleNamespace(ids=np.array([b"v"]), classes=np.zeros((1, 2), np.uint16))
    rows.matrix = lambda videos, variant: np.zeros((2, 4))

    class Stub:
        def score(self, matrix):
            return np.full(len(matrix), score)

    found = Learned([Stub()]).predict([(rows, 0)], 8, tmp_path)
    assert found.logits.tolist() == [[kept, kept]]
    score = np.nan
    with pytest.raises(InputError, match="scores are not numbers; lower booster.learning_rate"):
        Learned([Stub()]).predict([(rows, 0)], 8, tmp_path)


GOOD = {"ids": np.array([b"a"]), "classes": np.array([[3, 1]]), "logits": np.array([[1.0, 0.5]])}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ids": np.array([1])}, "ids are int64"),
        ({"ids": np.array([b"a", b"b"])}, r"ids are .* \(2,\), classes \(1, 2\)"),
        ({"classes": np.array([[3, -1]])}, "classes must be whole numbers from 0 to 65535"),
        ({"classes": np.array([[3, 65536]])}, "classes must be whole numbers"),
        ({"classes": np.array([[3.0, 1.0]])}, "classes must be whole numbers"),
        ({"logits": np.array([[1.0]])}, r"logits must be numbers of shape \(1, 2\)"),
        ({"logits": np.array([[1.0, np.nan]])}, "logits must be numbers"),
    ],
)
def test_predictions_by_numpy_are_checked(tmp_path, change, text):
    np.savez(tmp_path / "a.npz", **GOOD | change)
    with pytest.raises(InputError, match=f"a.npz: cannot be read .*{text}"):
        Predictions.read(tmp_path / "a.npz")


def test_predictions_by_numpy_may_have_ids_as_text(tmp_path):
    np.savez(tmp_path / "a.npz", **GOOD | {"ids": np.array(["ü"])})
    found = Predictions.read(tmp_path / "a.npz")
    assert found.ids.tolist() == ["ü".encode()]
    assert found.classes.dtype == np.uint16


def test_a_vocabulary_may_have_a_bom_and_an_empty_last_line(tmp_path):
    text = "\ufeffIndex,Name\r\n0,cat\r\n1,dog\r\n\r\n,\r\n"
    (tmp_path / "v.csv").write_text(text, encoding="utf-8", newline="")
    assert read_vocabulary(tmp_path / "v.csv").names == ["cat", "dog"]


def test_a_terminal_obeys_no_name(capsys):
    def main():
        cli.log("\x1b[31mred\x07\x9b")
        raise InputError("id \x1b]0;title is wrong")

    with pytest.raises(SystemExit):
        cli.run(main, [])
    out, err = capsys.readouterr()
    assert out == "\\x1b[31mred\\x07\\x9b\n"
    assert err == "error: id \\x1b]0;title is wrong\n"
