"""Windows of videos, what raters said of them, and how a model learns it."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from kinds import named

from first_level.config import ModelConfig, PlannedModel, SegmentSettings, build
from first_level.segments.ratings import Ratings, Taught, latest, rating_of
from first_level.segments.windows import Windows, check_segments, every_window, rated_windows
from yt8m.base.cli import InputError
from yt8m.data.store import Dims, Segments
from yt8m.inputs.batch import Batch, Targets
from yt8m.training import losses


def test_only_what_was_asked_counts():
    logits = torch.randn(3, 5, requires_grad=True)
    targets = Targets(
        torch.arange(3), torch.tensor([4, 0, 0]), torch.tensor([1.0, 0.0, 1.0]), (3, 5)
    )
    loss = losses.rated_bce(logits, targets)
    scores = logits.detach().sigmoid()
    expected = -(scores[0, 4].log() + (1 - scores[1, 0]).log() + scores[2, 0].log()) / 3
    torch.testing.assert_close(loss.detach(), expected)
    loss.backward()
    assert logits.grad.nonzero().tolist() == [[0, 4], [1, 0], [2, 0]]


def test_a_model_is_held_to_what_its_parent_thought():
    torch.manual_seed(0)
    config = ModelConfig(arch="dbof", model={"projection": 8, "hidden": [8]})
    parent = build(config, Dims({"rgb": 6, "audio": 3}, 5, 7), "test")
    model = Taught(copy.deepcopy(parent), 5, weight=0.5).train()
    batch = Batch(named(torch.randn(4, 7, 6), torch.randn(4, 7, 3)), torch.ones(4, 7) > 0)
    told = parent.eval()(batch).sigmoid().detach()
    logits = model(batch)
    expected = torch.nn.BCEWithLogitsLoss(reduction="sum")(logits, told) / 4
    torch.testing.assert_close(model.penalty, 0.5 * expected)
    model.penalty.backward()
    learns = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert learns == {f"model.{name}" for name, _ in parent.named_parameters()}
    same = zip(model.parent.state_dict().values(), parent.state_dict().values(), strict=True)
    assert all(torch.equal(now, before) for now, before in same), "its statistics too"
    config = ModelConfig(arch="resnet", model={"width": 8, "verticals": True})
    dims = Dims({"rgb": 6, "audio": 3}, 5, 0, verticals=2)
    two_more = Taught(build(config, dims, "test"), 5, 1.0).train()
    assert two_more(Batch(named(torch.randn(4, 6), torch.randn(4, 3)))).shape == (4, 5)


class FewVideos:
    """Stands for a store: videos of 12, 3 and 360 frames whose features say where they are."""

    ids = np.array([b"aaaa", b"bbbb", b"cccc"])
    num_frames = np.array([12, 3, 360], np.int32)

    def __init__(self, rated=()):
        columns = np.array(rated, np.int64).reshape(-1, 5).T
        kinds = (np.int64, np.int32, np.int32, np.uint16, np.float32)
        pairs = zip(columns, kinds, strict=True)
        self.rated = Segments(*(column.astype(kind) for column, kind in pairs))

    def segments(self, rows):
        return self.rated.take(np.isin(self.rated.rows, rows))

    def spans(self, rows, start, count, names=None):
        spans = zip(rows, start, count, strict=True)
        frames = [(r, t) for r, s, n in spans for t in range(s, s + n)]
        assert all(t < self.num_frames[r] for r, t in frames), "outside the video"
        return {"row": np.array(frames)[:, :1], "second": np.array(frames)[:, 1:]}


def _seconds(windows, number):
    """The seconds of the video that a window shows."""
    features, count = windows.frames(np.array([number]))
    seconds = features["second"]
    assert (features["row"][:, 0] == windows.rows[number]).all()
    assert count.tolist() == [len(seconds)]
    return seconds[:, 0].tolist()


def test_every_window_of_a_video_is_there_the_last_as_short_as_it_comes():
    windows = every_window(FewVideos(), np.array([2, 0, 1]), 5)
    assert len(windows) == 72 + 3 + 1
    assert windows.ids[70:].tolist() == [b"cccc:350", b"cccc:355", b"aaaa:0", b"aaaa:5", b"aaaa:10",
                                         b"bbbb:0"]  # fmt: skip
    assert [_seconds(windows, n) for n in range(72, 76)] == [
        [0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [10, 11], [0, 1, 2],
    ]  # fmt: skip


def test_context_goes_as_far_as_the_video():
    windows = every_window(FewVideos(), np.array([0, 1]), 5, context=3)
    assert windows.ids.tolist() == [b"aaaa:0", b"aaaa:5", b"aaaa:10", b"bbbb:0"]
    assert [_seconds(windows, n) for n in range(4)] == [
        list(range(8)), list(range(2, 12)), list(range(7, 12)), [0, 1, 2],
    ]  # fmt: skip
    assert windows.num_frames.tolist() == [8, 10, 5, 3]


def test_rated_segments_are_windows_wherever_they_begin():
    store = FewVideos([(0, 5, 10, 1, 1), (0, 7, 12, 1, 0), (1, 20, 25, 2, 1), (0, 7, 12, 3, 1)])
    windows = every_window(store, np.array([1, 0]), 5)
    assert windows.ids.tolist() == [b"bbbb:0", b"bbbb:20", b"aaaa:0", b"aaaa:5", b"aaaa:7",
                                    b"aaaa:10"]  # fmt: skip
    assert _seconds(windows, 1) == [0, 1, 2], "after the end: the last frames"
    assert _seconds(windows, 4) == [7, 8, 9, 10, 11]
    trained = rated_windows(store.rated, store, context=0)
    assert [_seconds(trained, n) for n in (1, 3)] == [[7, 8, 9, 10, 11]] * 2
    targets = Ratings(store.rated, 5)(np.array([3, 1]))
    assert targets.rows.tolist() == [0, 1]
    assert targets.classes.tolist() == [3, 1]
    assert targets.values.tolist() == [1.0, 0.0]
    assert targets.shape == (2, 5)


def test_a_rating_is_found_by_video_second_and_class_and_the_later_one_counts():
    store = FewVideos([(2, 5, 10, 1, 1), (0, 5, 10, 1, 0), (0, 5, 10, 2, 1), (0, 5, 10, 1, 1)])
    found = latest(store.rated)
    assert sorted(zip(found.rows, found.label, found.score, strict=True)) == [
        (0, 1, 1), (0, 2, 1), (2, 1, 1),
    ]  # fmt: skip
    windows = Windows(store, np.array([0, 0, 2]), np.array([5, 0, 5]), np.array([10, 5, 10]))
    classes = np.array([[2, 1, 4], [1, 2, 4], [2, 4, 1]], np.uint16)
    assert rating_of(windows, found, classes).tolist() == [[1, 1, -1], [-1] * 3, [-1, -1, 1]]
    none = FewVideos().rated
    assert (rating_of(windows, none, classes) == -1).all()


@pytest.mark.parametrize("name", ["a b", "a,b", 'a"b', "a\nb", "a\rb", "a\tb"])
def test_ids_that_cannot_stand_in_a_list_are_refused(name):
    model = PlannedModel(arch="lstm", segments=SegmentSettings())
    found = SimpleNamespace(folder="s", ids=np.array([b"ok", name.encode()]))
    found.segments = lambda rows: rows
    with pytest.raises(InputError, match="^s: id .* cannot stand in a list of segments; no space"):
        check_segments(model, "frame", found, "c.json")
    found.ids = found.ids[:1]
    check_segments(model, "frame", found, "c.json")
