"""A copy of the project with the real Makefile, and a Python that only writes files.

Configurations are resolved by the real verbs; every other verb notes its call and makes its output.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FAKE = """#!{python}
import os, pathlib, sys, time
module, arguments = sys.argv[2], sys.argv[3:]
if module.endswith(".config") or module in ("jobs.status", "jobs.live"):
    os.execv("{python}", ["{python}", *sys.argv[1:]])
with open("calls.txt", "a") as calls:
    calls.write(" ".join([module, *arguments]) + "\\n")
plain = [a for a in arguments if not a.startswith("--")]
outputs = {{
    "folds.decode": lambda: plain[1] + "/manifest.json",
    "folds.assign": lambda: plain[1],
    "folds.unlabelled": lambda: plain[1] + "/unlabelled/manifest.json",
    "first_level.train": lambda: plain[3] + "/predictions.safetensors",
    "first_level.predict": lambda: plain[3] + "/unlabelled.safetensors",
    "first_level.segments.train": lambda: plain[4] + "/predictions.safetensors",
    "first_level.segments.submission": lambda: plain[-1],
    "stacking.rows": lambda: plain[5] + "/rows.json",
    "stacking.train": lambda: plain[2],
    "stacking.predict": lambda: plain[3],
    "stacking.unlabelled": lambda: plain[6],
    "stacking.soft_labels": lambda: plain[3],
    "stacking.report": lambda: plain[5],
    "distill.train": lambda: plain[4] + "/weights.safetensors",
    "distill.refit": lambda: plain[5] + "/weights.safetensors",
    "distill.export.pack": lambda: plain[5] + "/reranker.json",
    "distill.export.write": lambda: plain[3] + "/model.json",
    "distill.export.evaluate": lambda: plain[3],
    "report.summary": lambda: plain[1],
    "report.page": lambda: plain[2],
    "report.table": lambda: "printed",
    "report.segments": lambda: "printed",
    "report.stage": lambda: plain[2],
}}
if os.environ.get("FAIL") == module:
    sys.exit("error: " + module + ": it was to fail")
if os.environ.get("LASTING") == module:
    time.sleep(2)
if os.environ.get("SLOW") == module:
    print("[slow] begins", flush=True)
    time.sleep(60)
out = pathlib.Path(outputs[module]())
out.parent.mkdir(parents=True, exist_ok=True)
out.write_text("made\\n")
if module == "distill.export.pack":
    out.with_name("reranker.onnx").write_text("made")
    out.with_name("reranker.safetensors").write_text("made")
if module == "distill.export.evaluate":
    out.with_name("evaluation_predictions.safetensors").write_text("made")
"""
PRINTED = ("report.table", "report.segments", "report.stage")
PACKAGES = ("yt8m", "first_level", "stacking", "distill", "jobs", "report")
RUN = Path("artifacts/tiny")


def make_tree(tree):
    """A copy of the project with a plan `tiny` of two models."""
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, tree / package, ignore=ignore)
    shutil.copy(ROOT / "Makefile", tree)
    plan = tree / "first_level" / "configs" / "tiny"
    plan.mkdir()
    for name in ("one", "two"):
        (plan / f"{name}.toml").write_text("# why\narch = 'linear'\n[training]\nlr = 0.01\n")
    for stage in ("stacking", "distill"):
        (tree / stage / "configs" / "tiny.toml").write_text("# all defaults\n")
    (tree / "records").mkdir()
    (tree / "records" / "a.tfrecord").write_text("x")
    (tree / "python").write_text(FAKE.format(python=sys.executable))
    (tree / "python").chmod(0o755)
    return tree


def make(tree, *arguments, goal="all", fails=False, **environment):
    """Calls that make made, as {(module, what it made)}."""
    (tree / "calls.txt").unlink(missing_ok=True)
    command = ["make", goal, "PYTHON=./python", "PLAN=tiny", "DATA=records", *arguments]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, env=clean | environment, check=False
    )
    assert (done.returncode != 0) == fails, done.stderr
    if not (tree / "calls.txt").exists():
        return []
    lines = (tree / "calls.txt").read_text().splitlines()
    return sorted(line for line in lines if line.split()[0] not in PRINTED)


def modules(calls):
    return [call.split()[0] for call in calls]


STACK_ON = ["stacking.train"] * 5 + ["stacking.predict"] * 5
STACK_ON += ["stacking.report", "stacking.soft_labels"]
SCORE_ON = ["distill.export.evaluate", "report.page", "report.summary"]
DISTILL_ON = ["distill.train"] * 8 + ["distill.export.write", *SCORE_ON]
