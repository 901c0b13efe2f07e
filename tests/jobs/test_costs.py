"""What a plan takes, against a few lines of arithmetic."""

import pytest

from first_level.config import PlannedModel
from jobs import status
from jobs.cost import stages
from jobs.cost.stages import Counted, Speed
from jobs.plans import Plan
from stacking.config import Stacking
from yt8m.training.settings import Training

SPEED = {
    "decode_video_videos_per_s": 100.0, "decode_frame_videos_per_s": 10.0,
    "row_values_per_s": 1000.0, "boosting_cells_per_s": 2000.0, "training_gflop_per_s": 4.0,
}  # fmt: skip


def test_hours_of_a_training():
    network, speed = Counted(gflop=3.0, level="video", values=700), Speed(gflop=9.0, updates=50.0)
    hours = speed.training(Training(epochs=2, batch_size=10), network, 50)
    assert hours == pytest.approx((3 * 3.0 * 100 / 9 + 700 * 10 / 50) / 3600)
    stream = Training(epochs=2, batch_size=10, steps_per_epoch=7)
    assert stages.trained_videos(stream, 50) == 140
    assert network.gigabytes() == pytest.approx(1 + 700 * 16e-9)


def test_hours_of_rows_boosters_and_networks():
    stack = Stacking.model_validate(
        {
            "learner": "both",
            "candidates": 8,
            "booster": {"max_rounds": 20, "feature_fraction": 0.5, "most_rows": 5000},
            "network": {"width": 6, "layers": 3, "training": {"epochs": 4}},
        }
    )
    rows, boosting, network = stages.stacking(stack, 3, 5, 1000, 2, SPEED)
    columns = 3 + stages.OTHER_COLUMNS
    assert rows.hours == pytest.approx(8000 * columns / 1000 / 2 / 3600)
    assert rows.disk == pytest.approx(8000 * (4 * (columns - 8) + 4 * 8 * 5 + 3) / 1e9)
    assert boosting.hours == pytest.approx(5 * 5000 * columns * 0.5 * 20 / 2000 / 2 / 3600)
    weights = columns * 6 + 2 * 36 + 6
    assert network.hours == pytest.approx(5 * 6 * weights * 6400 * 4 / 1e9 / 4 / 2 / 3600)
    found = stages.decoding(1000, True, 2, SPEED)
    assert found.hours == pytest.approx((10 + 100) / 2 / 3600)
    assert found.disk == pytest.approx(1000 * 1152 * (2 + 230) / 1e9)


def test_hours_of_the_first_level_are_of_five_folds():
    training = Training(epochs=2, batch_size=100)
    plan = Plan.read("demo")
    plan = Plan(
        "p", {"a": PlannedModel(arch="linear", training=training)}, plan.stack, plan.distill
    )
    model, device = stages.model_cost(plan.models["a"], "a"), Speed(5.0, 1e6)
    [first] = [c for c in stages.costs_of(plan, 1000, device, 1, SPEED) if c.stage == "first_level"]
    expected = 5 * device.training(training, model, 800) + model.gflop * 1000 / 5 / 3600
    assert first.hours == pytest.approx(expected)


def test_what_is_left_is_shared_by_the_jobs_at_once():
    assert status.sum_of([60.0, None, 120.0], 2) == "1:30 and 1 unknown"
    assert [status.sum_of([90.0], 1), status.sum_of([], 3)] == ["1:30", "-"]
    assert status.sum_of([None], 4) == "unknown"
