"""The benchmarks at toy size, what they write, and what is refused."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from verbs_here import run_here

from bench import calibrate, gpu, many_rows, profile
from bench.speed import run, scaling, stages
from bench.speed.measure import Result, in_turns, ratio
from bench.speed.parts import gap
from first_level.config import read
from jobs.cost import plan as plan_cost
from jobs.cost import stages as cost_stages
from yt8m.base.cli import InputError
from yt8m.records.labels import Labels
from yt8m.training import metrics


@pytest.mark.parametrize("part", [name for name in run.part_names() if name != "scaling"])
def test_every_part_gives_figures(part):
    figures = run.figures_of(part, toy=True)
    assert figures
    assert all(np.isfinite(figure["value"]) for figure in figures)
    json.dumps(figures)


def test_the_heaps_and_ours_agree_where_no_scores_are_equal():
    rng = np.random.default_rng(0)
    scores = rng.permutation(np.arange(0x2000, 0x2000 + 6000, dtype=np.uint16)).view(np.float16)
    scores, classes = (
        scores.reshape(240, 25),
        rng.permuted(np.tile(np.arange(30), (240, 1)), axis=1),
    )
    labels = Labels.from_lists([row[rng.integers(0, 28, 3)] for row in classes])
    pairs = zip(scores.tolist(), classes[:, :25].tolist(), strict=True)
    lists = [list(zip(*pair, strict=True)) for pair in pairs]
    truth = [set(part) for part in np.split(labels.indices, labels.indptr[1:-1])]
    assert gap.with_heaps(lists, truth) == pytest.approx(
        metrics.gap(classes[:, :25], scores, labels)
    )


def test_turns_alternate_and_the_least_time_counts():
    calls = []
    timings = in_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 0, 3)
    assert calls == ["a", "b"] * 4
    assert timings["a"][0] > 0
    found = ratio("r", {"a": (1.0, 2.0), "b": (3.0, 4.0)}, "a", "b", goal=4)
    assert (found.value, found.reached, found.note) == (3, False, "by CPU time 2.00 x")
    assert Result("lost", 0.1, goal=0.2, most=True).reached
    assert Result("plain", 1.0).reached is None


def test_results_of_other_parts_are_kept(tmp_path, monkeypatch):
    figure = {"name": "f", "value": 2.0, "unit": "x", "goal": 1.0, "most": False, "note": ""}
    monkeypatch.setattr(run, "measure", lambda *_: {"figures": [figure | {"reached": True}]})
    run.main(tmp_path, parts="gap")
    run.main(tmp_path, parts="rows decode")
    kept = json.loads((tmp_path / "speed.json").read_text())
    assert set(kept) == {"gap", "rows", "decode"}
    assert kept["gap"]["date"]
    assert kept["gap"]["machine"]
    assert (tmp_path / "speed.md").read_text().count(">= 1 x | yes") == 3
    with pytest.raises(InputError, match="no part 'rowz'; parts: boosting, decode"):
        run.main(tmp_path, parts="rowz")


def test_growth_and_its_picture():
    runs = {
        str(n): {"decode": {"seconds": n / 100, "mb": 50.0 + n / 1000}, "disk": {}}
        for n in (1000, 10_000)
    }
    time, memory = stages.growth(runs)
    assert time.value == pytest.approx(1.0)
    assert time.reached
    assert memory.value == pytest.approx(60 / 51)
    assert not memory.reached
    assert stages.growth({"10": {}}) == []
    for size in runs.values():
        size["a<b"] = size["decode"]
    picture = ElementTree.fromstring(scaling.picture(runs))
    assert "a<b" in [part.text for part in picture.iter() if part.text]
    with pytest.raises(InputError, match="numbers of videos, 200 or more"):
        scaling.main(None, sizes="10")


def test_the_stages_that_scaling_measures_run(tmp_path):
    commands = stages.commands(300, tmp_path)
    found = {verb[0] for verbs in commands.values() for verb in verbs}
    assert {"folds.decode", "first_level.train", "stacking.rows", "distill.train"} <= found
    seconds, cpu, mb = stages.run_verb(["yt8m.records.synthetic", tmp_path / "r", "--videos", 300])
    assert min(seconds, cpu) > 0
    assert mb > 10
    with pytest.raises(InputError, match="folds.assign .*: failed: error: .*no complete store"):
        stages.run_verb(["folds.assign", tmp_path / "none", tmp_path / "f.safetensors"])


def test_one_gpu_on_the_cpu(tmp_path):
    gpu.main(tmp_path / "gpu.json", device="cpu", toy=True)
    found = json.loads((tmp_path / "gpu.json").read_text())
    names = [figure["name"] for figure in found["figures"]]
    for network in ("resnet 4/4", "lstm", "nextvlad", "extractor e", "student"):
        assert f"{network}: training" in names
        assert f"{network}: prediction" in names
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU is available"):
            gpu.main(tmp_path / "gpu.json")


def test_a_device_that_computes_something_else_is_refused(monkeypatch):
    monkeypatch.setattr(gpu, "from_cpu", lambda *_: 0.1)
    with pytest.raises(InputError, match="resnet 4/4: scores differ by 1.0e-01 from the CPU's"):
        gpu.of_workload(gpu.WORKLOADS[0], torch.device("cpu"), True, 1.0)


def test_cost_of_a_plan(capsys):
    plan_cost.main("demo", videos=1000)
    text = capsys.readouterr().out
    assert "12 models x 5 folds, 4 of them" in text
    assert "| student " in text
    assert "100 jobs: 3 of folds, 60 of first_level, 22 of stacking, 8 of distill" in text
    assert "calibration: " in text
    assert "NOT MEASURED" not in text
    plan_cost.main("demo", videos=1000, device="h200")
    assert "ESTIMATE, NOT MEASURED" in capsys.readouterr().out
    plan_cost.main("best", videos=1000)
    text = capsys.readouterr().out
    assert "7 models, 0 of them as their fold models" in text
    assert "re-ranker: network" in text
    assert text.count("boosting") == 1
    with pytest.raises(InputError, match="nothing: no models .*plans: .*demo"):
        plan_cost.main("nothing")
    with pytest.raises(InputError, match="--device: cpu or h200"):
        plan_cost.main("demo", device="tpu")


def test_operations_of_a_linear_model_are_two_a_weight(tmp_path):
    (tmp_path / "linear.toml").write_text('arch = "linear"\n')
    found = cost_stages.model_cost(read(tmp_path / "linear.toml"), "linear.toml")
    assert found.level == "video"
    assert found.gflop == pytest.approx(2 * 1152 * 3862 / 1e9)
    assert found.values == 1153 * 3862


def test_calibration_has_what_the_costs_need(tmp_path):
    calibrate.main(out=tmp_path / "c.json", toy=True)
    found = json.loads((tmp_path / "c.json").read_text())
    assert set(found) == set(json.loads(cost_stages.CALIBRATION.read_text()))


STACKS = """
process 1:"make all";process 7:"python -m first_level.train";<module> (first_level/train.py:9);\
_find_and_load (<frozen importlib._bootstrap>:1176);<module> (torch/__init__.py:4) 10
process 7:"";main (first_level/train.py:30);fit (yt8m/loop.py:80);forward (libtorch_cpu.so);\
0x7f12 (libc.so.6) 25
process 7:"";main (first_level/train.py:30);loop (yt8m/loop.py:81);_PyEval (libpython3.11.so) 5
process 8:"";main (folds/decode.py:3);read (yt8m/records/framing.py:2);crc (_crc32c.abi3.so) 4
process 8:"";main (folds/decode.py:3);read (yt8m/records/framing.py:5) 2
process 8:"";main (yt8m/records/synthetic.py:3);dumps (json/encoder.py:5) 1
process 9:"";0x7f12 (libc.so.6) 50
""".strip().splitlines()


def test_a_sample_counts_for_the_innermost_that_it_belongs_to():
    found = profile.shares(STACKS, rate=10)
    assert list(found) == ["folds", "first_level"]
    first = {part: seconds for part, seconds in found["first_level"].items() if seconds}
    assert first == {"imports": 1.0, "torch": 2.5, "our Python": 0.5}
    assert {p: s for p, s in found["folds"].items() if s} == {"records": 0.6, "other Python": 0.1}
    cells = profile.rows(found)[-1].split("|")
    assert [cell.strip() for cell in cells[1:3]] == ["first_level", "4"]
    assert [cell.strip() for cell in cells[-3:-1]] == ["37.5%", "16.7%"]


def test_a_profile_needs_its_tool(monkeypatch, tmp_path):
    monkeypatch.setattr(profile.shutil, "which", lambda _: None)
    monkeypatch.setattr(profile.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError, match="py-spy is not installed; run pip install py-spy"):
        profile.main(tmp_path / "out")


def test_rows_of_many_models(tmp_path, monkeypatch):
    monkeypatch.setattr(many_rows, "NUM_MODELS", 3)
    run_verb = lambda verb: (1.0, run_here(*map(str, verb)) or 1.0, 9.0)  # noqa: E731
    monkeypatch.setattr(stages, "run_verb", run_verb)
    many_rows.main(tmp_path, rows="8000 16000", rounds=2)
    text = (tmp_path / "many_rows.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in text[2:]] == [
        *["8,000"] * 2,
        *["16,000"] * 2,
        *["100,000,000 by the slope"] * 2,
    ]
    assert many_rows.extrapolate([10**6, 10**7], 2.0, 11.0) == pytest.approx(101)
    with pytest.raises(InputError, match="numbers, 8,000 or more"):
        many_rows.main(tmp_path, rows="10")
