"""Each figure that a page, a table or summary.json shows is the one that its name promises.

All numbers of these runs differ, so that an exchange of any two is seen.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from report import overview, page, segments, summary
from yt8m.base.files import write_json
from yt8m.base.paths import Artifacts

NAMES = ("gap20", "map", "hit1", "perr")
PLACES = {"oof": "out_of_fold", "single": "holdout_single", "five": "holdout"}


def _figures(first: float) -> dict:
    return {name: round(first + i / 100, 4) for i, name in enumerate(NAMES)}


def _system(first: float) -> dict:
    found = {key: _figures(first + i / 10) for i, key in enumerate(PLACES.values())}
    gaps = {"oof": "out_of_fold", "holdout_single": "holdout_single", "holdout": "holdout"}
    found |= {f"gap_{key}": found[place]["gap20"] for key, place in gaps.items()}
    return found | {"bce_oof": first + 5, "gap_folds": [first, first + 0.1, first + 0.3]}


STACK = {
    "mean": _system(0.01),
    "weighted_mean": _system(0.02),
    "stack": _system(0.03),
    "members": {"a": _system(0.05) | {"gain": 0.7}, "b": _system(0.04) | {"gain": 0.0}},
    "seconds_rows": 300.0, "seconds_train": 40.0, "videos": 111, "holdout_videos": 22,
    "rows": 888, "candidates": 8, "recall": 0.91, "rounds": [3, 9], "learner": "both",
}  # fmt: skip
PARTS = [*(f"extractor_{letter}" for letter in "abcdef"), "student", "resnet"]


@pytest.fixture
def files(tmp_path, data_set):
    """The JSON files of a run, each figure another."""
    files = Artifacts(tmp_path, data_set / "store")
    write_json(files.stacking / "report.json", STACK)
    for place, name in enumerate("ab"):
        for k in range(5):
            about = {"level": "video", "megabytes": 7.0 + place, "seconds": 10.0**place + k}
            write_json(files.model_fold(name, k) / "report.json", about)
    for place, part in enumerate(PARTS):
        cost = {"megabytes": 50.0 + place, "seconds": 1000.0 * 2**place}
        about = cost | {"holdout": _figures(0.5 + place / 100), "parameters": 10**6 * (place + 1)}
        write_json(files.distill / part / "report.json", about)
    write_json(files.distill / "config.json", {"refit": {"models": [], "copies": 1}})
    manifest = {"members": [{}], "values": 5 * 10**6, "dtype": "int8", "frames": 0}
    write_json(files.export / "model.json", manifest)
    (files.export / "model.safetensors").write_bytes(bytes(3_000_000))
    for k in range(5):
        files.stack_fold(k).mkdir(parents=True)
        (files.stack_fold(k) / "model.txt").write_bytes(bytes(200_000))
    write_json(files.evaluation, _figures(0.9) | {"hit5": 0.99})
    return files


def test_the_summary_has_each_figure_in_its_place(files):
    summary.main(files.run, files.summary)
    found = summary.read_json(files.summary)
    assert (found["videos"], found["holdout_videos"]) == (111, 22)
    lines = {line["system"]: line for line in found["systems"]}
    names = ["b", "a", "mean of models", "weighted mean", "stack", "student: six extractors"]
    assert list(lines) == [*names, "student: ResNetLike", "export"]
    own = {"mean of models": STACK["mean"], "weighted mean": STACK["weighted_mean"]}
    for system, figures in (own | {"stack": STACK["stack"]} | STACK["members"]).items():
        for place, key in PLACES.items():
            assert lines[system][place] == figures[key], (system, place)
            assert lines[system][f"gap_{place}"] == figures[key]["gap20"]
    cost = {name: (line["megabytes"], line["seconds"]) for name, line in lines.items()}
    assert cost["a"] == (7, 15)
    assert cost["b"] == (8, 60)
    assert cost["stack"] == (1, 340)
    assert cost["student: six extractors"] == (56, 1000 * (2**7 - 1))
    assert cost["student: ResNetLike"] == (57, 128_000)
    assert cost["export"] == (3, None)
    assert lines["student: six extractors"]["single"] == _figures(0.56)
    assert lines["student: ResNetLike"]["single"] == _figures(0.57)
    assert lines["export"]["single"] == _figures(0.9)
    for name in names[5:] + ["export"]:
        assert set(lines[name]["oof"].values()) == set(lines[name]["five"].values()) == {None}


@pytest.fixture
def run(files, store, splits):
    """What the page reads of that run."""
    summary.main(files.run, files.summary)
    reports = {
        name: [summary.read_json(files.model_fold(name, k) / "report.json") for k in range(5)]
        for name in "ab"
    }
    students = {p: summary.read_json(files.distill / p / "report.json") for p in PARTS}
    return SimpleNamespace(
        files=files, store=store, splits=splits, models=["a", "b"], reports=reports, stack=STACK,
        students=students, reranker_seconds=0.0, has_holdout=True,
        evaluation=_figures(0.9), summary=summary.read_json(files.summary),
    )  # fmt: skip


def test_the_stages_say_what_they_took(run, splits):
    stages = {stage["name"]: stage for stage in overview.flow(run)}
    seconds = {name: stage["seconds"] for name, stage in stages.items()}
    assert seconds["first_level"] == 75
    assert seconds["stacking"] == 340
    assert seconds["distill"] == 1000 * (2**8 - 1)
    assert {name: stage["number"] for name, stage in stages.items()} == {
        "folds": 400, "first_level": 2, "stacking": 888, "distill": 8, "export": 3.0,
    }  # fmt: skip
    text = {name: " | ".join(stage["details"]) for name, stage in stages.items()}
    assert (
        f"{len(splits.training)} for training in 5 folds, {len(splits.holdout)} in"
        in (text["folds"])
    )
    assert "holdout, 0 unlabelled" in text["folds"]
    assert "2 video-level, 0 frame-level | 10 jobs" in text["first_level"]
    assert "8 candidates a video, with 91.0 % of labels | 5 boosters of 3 to 9" in text["stacking"]
    assert "36.0 M parameters" in text["distill"]
    assert "1 network, 5.00 M values as int8 | GAP@20 0.9000" in text["export"]


def test_the_systems_have_their_own_losses_errors_and_kinds(run):
    lines = {line["system"]: line for line in overview.systems(run)}
    own = STACK["members"] | {"stack": STACK["stack"], "mean of models": STACK["mean"]}
    for name, figures in own.items():
        assert lines[name]["bce"] == figures["bce_oof"]
        expected = np.std(figures["gap_folds"], ddof=1) / 3**0.5
        assert lines[name]["error"] == pytest.approx(expected)
    assert [lines[name]["member"] for name in ("a", "b", "stack")] == ["yes", "unused", None]
    kinds = [lines[name]["kind"] for name in ("a", "weighted mean", "export")]
    assert kinds == ["model", "ensemble", "student"]


def test_the_headline_and_its_numbers(run, splits, monkeypatch):
    lines = overview.systems(run)
    held = len(splits.holdout)
    assert page._headline(run, lines) == (
        f"One model of 3.0\u00a0MB reaches GAP@20\u00a00.9000 on {held} videos that no stage saw"
    )
    numbers = {name: (value, note) for name, value, note in page._numbers(run, lines)}
    assert numbers["export"] == ("0.9000", "GAP@20, holdout; 3.0 MB")
    assert numbers["stack"] == ("0.2300", "2 x 5 models")
    assert numbers["best single model"] == ("0.1500", "a, chosen out of fold")
    assert numbers["trained on"] == (f"{len(splits.training)}", "videos")
    assert numbers["jobs took"][0] == overview.duration(75 + 340 + 255_000)
    monkeypatch.setattr(run, "has_holdout", False)
    assert "an ensemble of GAP@20\u00a00.0300 out of fold" in page._headline(run, lines)
    numbers = {name: (value, note) for name, value, note in page._numbers(run, lines)}
    assert numbers["stack"] == ("0.0300", "GAP@20 out of fold; 2 x 5 models")
    assert numbers["best single model"] == ("0.0500", "a, chosen out of fold")
    steps = [step["gap"] for step in overview.ladder(lines)]
    assert steps[:5] == pytest.approx([0.15, 0.25, 0.21, 0.22, 0.23])


def test_the_table_of_segments_has_each_figure_in_its_column(tmp_path, capsys):
    keys = ("map_parent_video", "map_parent_windows", "map_fine_tuned", "map_fine_tuned_fold")
    for k in (0, 1):
        about = {key: 0.1 * (i + 1) + 0.02 * k for i, key in enumerate(keys)}
        about |= {"holdout_ratings": 5, "classes": 3}
        write_json(tmp_path / "one" / "segments" / f"fold{k}" / "report.json", about)
    segments.main([tmp_path / "one" / "segments"])
    *_, head, _, row = capsys.readouterr().out.splitlines()
    titles = ["model", "video's score", "parent", "fine-tuned", "fine-tuned, out of fold"]
    assert [cell.strip() for cell in head.split("|")[1:-1]] == titles
    assert row.split("|")[1:-1][1:] == [f" {x:<{len(t)}} " for x, t in zip(
        ["0.1100", "0.2100", "0.3100", "0.4100"], titles[1:], strict=True)]  # fmt: skip
