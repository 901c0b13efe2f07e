"""What `make demo` must have shown; .ci/run calls it after the demo, on artifacts/demo.

python -m pytest tests/demo_results.py
"""

import json
from pathlib import Path

RUN = Path(__file__).parents[1] / "artifacts" / "demo"


def _systems():
    return {
        line["system"]: line for line in json.loads((RUN / "summary.json").read_text())["systems"]
    }


def test_the_student_beats_every_first_level_model_on_the_holdout():
    systems = _systems()
    models = [s for name, s in systems.items() if s["gap_oof"] and s["level"] != "ensemble"]
    assert len(models) >= 12
    assert {"video", "frame"} == {model["level"] for model in models}
    best = max(model["gap_single"] for model in models)
    assert systems["student: six extractors"]["gap_single"] > best
    assert systems["export"]["gap_single"] > best


def test_the_stack_beats_every_member_out_of_fold():
    systems = _systems()
    stack = systems["stack"]["gap_oof"]
    assert stack > max(
        s["gap_oof"] for s in systems.values() if s["level"] in ("video", "frame") and s["gap_oof"]
    )


def test_the_soft_labels_are_cleaner_than_the_labels_they_were_made_from():
    found = json.loads((RUN / "denoising.json").read_text())
    assert 0.7 < found["noisy_precision"] < 0.85
    assert found["soft_precision"] > found["noisy_precision"]


def test_the_export_is_complete():
    names = {path.name for path in (RUN / "export").iterdir()}
    assert {"model.safetensors", "model.json", "model.onnx"} <= names


def test_the_report_holds_every_system_in_a_small_file():
    page = (RUN / "report.html").read_text(encoding="utf-8")
    assert all(f'<th scope="row">{system}</th>' in page for system in _systems())
    assert len(page) < 1_000_000
