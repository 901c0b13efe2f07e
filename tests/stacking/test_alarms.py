"""Figures that a leak would explain are named; those of finished runs are not."""

import numpy as np
import pytest

from stacking.alarms import alarms_of, error_of, heads_beyond, suspects, suspects_of, warnings_of
from yt8m.base.files import write_json
from yt8m.base.paths import Artifacts

# GAP@20 on each fold minus on the holdout, of a finished run of plan `best`: 2,899 videos held out.
APART = {
    "gated_mlp_2048": (0.0103, 0.0048, 0.0107, 0.0117, 0.0071),
    "linear": (0.0088, 0.0073, 0.0099, 0.0107, 0.0054),
    "mlp_1024_audio": (-0.0002, -0.0058, -0.0027, 0.0065, -0.0001),
    "mlp_2048_raw": (0.0082, 0.0029, 0.0082, 0.0116, 0.0033),
    "moe_2": (0.009, 0.0008, 0.0083, 0.008, 0.0015),
    "neighbours": (0.0027, 0.001, 0.0034, 0.0061, -0.0042),
    "resnet_w1024_mix4": (0.0065, 0.003, 0.0129, 0.0169, 0.004),
}
VIDEOS = 2899


def _figures(apart):
    holdout = {name: [0.69] * 5 for name in apart}
    return {name: list(0.69 + np.array(gaps)) for name, gaps in apart.items()}, holdout


def test_a_finished_run_raises_no_alarm():
    assert suspects(*_figures(APART), VIDEOS) == []


@pytest.mark.parametrize("leak", [0.06, -0.06])
def test_a_model_that_saw_its_fold_or_the_holdout_is_named(leak):
    gaps = list(APART["moe_2"])
    gaps[3] += leak
    [line] = suspects(*_figures(APART | {"moe_2": gaps}), VIDEOS)
    assert line.startswith(f"moe_2 fold3: its GAP@20 on the fold is {gaps[3]:+.4f} from")
    assert "its peers' +0.01" in line


def test_one_of_two_models_and_all_of_its_folds():
    leaking = [gap + 0.08 for gap in APART["linear"]]
    found = suspects(*_figures({"linear": leaking, "moe_2": APART["moe_2"]}), VIDEOS)
    assert [line.split(":")[0] for line in found] == [f"linear fold{k}" for k in range(5)]


def test_of_few_videos_more_is_usual():
    gaps = [gap + 0.06 for gap in APART["moe_2"]]
    figures = _figures(APART | {"moe_2": gaps})
    assert len(suspects(*figures, VIDEOS)) == 5
    assert suspects(*figures, 400) == []
    assert error_of(400) == pytest.approx(0.0125)


def test_without_a_holdout_or_peers_nothing_is_said():
    fold, holdout = _figures(APART)
    assert suspects(fold, {name: [None] * 5 for name in fold}, VIDEOS) == []
    assert suspects({"linear": fold["linear"]}, {"linear": [0.1] * 5}, VIDEOS) == []
    assert suspects(fold, holdout, 0) == []


def test_heads_and_students_may_not_gain_more_from_folds_than_models_on_labels():
    """As bench.experiments.leak has measured them (docs/distill.md), and the stack's."""
    hard = {"labels": 0.0109, "linear": 0.0084}
    heads = {"stack": 0.0054, "half": 0.0571, "soft": 0.0962, "none": None}
    found = heads_beyond(heads, hard, VIDEOS)
    assert [line.split(":")[0] for line in found] == ["half", "soft"]
    assert "+0.0571" in found[0]
    assert "+0.0109 at most" in found[0]


def _system(oof, holdout):
    return {
        "gap_oof": oof,
        "gap_holdout_single": holdout,
        "gap_folds": [oof] * 5,
        "gap_versions": [holdout] * 5,
    }


def test_a_report_of_a_stack_is_read_with_its_second_round(tmp_path):
    files = Artifacts(tmp_path, tmp_path / "store")
    members = {
        "linear": _system(0.7, 0.69),
        "moe": _system(0.7, 0.69),
        "taught": _system(0.7, 0.69),
    }
    figures = {"stack": _system(0.73, 0.72), "members": members, "best_member": "linear"}
    write_json(files.model("taught") / "config.json", {"teachers": {"models": ["linear"]}})
    assert alarms_of(figures, files, VIDEOS) == []
    figures["stack"] = _system(0.8, 0.72)
    assert [line[:6] for line in alarms_of(figures, files, VIDEOS)] == ["stack:"]
    figures["stack"], members["taught"] = _system(0.73, 0.72), _system(0.715, 0.685)
    assert [line[:7] for line in alarms_of(figures, files, VIDEOS)] == ["taught:"]
    (files.model("taught") / "config.json").unlink()  # then it sets the measure itself
    assert alarms_of(figures, files, VIDEOS) == []


def test_reports_of_jobs_give_the_same_and_are_named_below_the_table():
    reports = {}
    for name in ("one", "two", "three"):
        figures = {"out_of_fold": {"videos": 3000}, "holdout": {"videos": VIDEOS}}
        figures |= {"gap_fold": 0.7 + 0.1 * (name == "two"), "gap_holdout": 0.69}
        reports[name] = [figures] * 5
    found = suspects_of(reports)
    assert [line.split()[0] for line in found] == ["two"] * 5
    assert warnings_of(found[:1]) == ["", f"warning: {found[0]}"]
    assert suspects_of({}) == []
