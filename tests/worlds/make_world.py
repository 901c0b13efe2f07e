"""A copy of the project with the real Makefile and planner, and a Python that only writes files.

Every verb that make calls notes its call and writes the outputs that jobs.json names, with a
receipt; the planner, the live view and status are the real ones.
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from yt8m.base.files import read_json
from yt8m.records import synthetic

ROOT = Path(__file__).parents[2]
FAKE = """
import json, os, pathlib, runpy, sys, time
module, arguments = sys.argv[2], sys.argv[3:]
sys.path.insert(0, os.getcwd())
if module in ("jobs.plan", "jobs.status", "jobs.live", "jobs.retrain"):
    from jobs import plans
    plans.ROOT = pathlib.Path.cwd()  # a fork may have another copy's
    sys.argv[:3] = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    sys.exit()
with open("calls.txt", "a") as calls:
    calls.write(" ".join([module, *arguments]) + "\\n")
from yt8m.base.receipts import Recorder
recorder = Recorder.of_command(module, arguments)
if recorder is None:
    print(module)
    sys.exit()
with recorder.recording():
    if os.environ.get("FAIL") == module:
        sys.exit("error: " + module + ": it was to fail")
    if os.environ.get("LASTING") == module:
        time.sleep(2)
    if os.environ.get("SLOW") == module:
        print("[slow] begins", flush=True)
        time.sleep(60)
    texts = {}
    if recorder.job["records"]:
        from yt8m.records.content import content_of
        described = [pathlib.Path(a) for a in arguments if a.endswith(".toml")]
        found = content_of(pathlib.Path(arguments[0]), {}, *described)
        texts = {"about.json": {"content": found}, "manifest.json": {"videos": 8}}
    for output in map(pathlib.Path, recorder.job["outputs"]):
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(json.dumps(texts.get(output.name, "made")) + "\\n")
"""
PRINTED = ("jobs.fit.check", "report.table", "report.segments", "report.stage", "distill.predict")
PACKAGES = ("yt8m", "folds", "first_level", "stacking", "distill", "jobs", "report")
RUN = Path("artifacts/tiny")


def copy_project(tree, *without: str):
    """All that make needs but what is called like `without`."""
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__", *without)
        shutil.copytree(ROOT / package, tree / package, ignore=ignore)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tree)
    return tree


def make_tree(tree, forked=None):
    """A copy of the project with a plan `tiny` of two models, records, and that Python.

    forked: the server in whose forks it runs (`forked_python`), if any.
    """
    copy_project(tree, "paper", "audioset", "best")
    plan = tree / "first_level" / "configs" / "tiny"
    plan.mkdir()
    for name in ("one", "two"):
        (plan / f"{name}.toml").write_text("# why\narch = 'linear'\n[training]\nlr = 0.01\n")
    for stage in ("stacking", "distill"):
        (tree / stage / "configs" / "tiny.toml").write_text("# all defaults\n")
    (tree / "records").mkdir()
    add_shard(tree / "records" / "a.tfrecord")
    if forked:
        forked.write(tree / "python", "-c", FAKE)
    else:
        (tree / "python").write_text(f"#!{sys.executable}{FAKE}")
        (tree / "python").chmod(0o755)
    return tree


def add_shard(path: Path, seed: int = 0) -> None:
    """Writes a small shard of video-level records; its seed decides what it holds."""
    made = path.parent / "made"
    synthetic.main(made, videos=8, classes=5, rgb=4, audio=2, shards=1, seed=seed)
    [shard] = (made / "video").iterdir()
    shard.replace(path)
    if not (path.parent / "dataset.toml").exists():
        for name in ("dataset.toml", "vocabulary.csv"):
            (made / name).replace(path.parent / name)
    shutil.rmtree(made)


def environment() -> dict[str, str]:
    """That of a person's shell: not of a make that runs these tests."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "YT8M"))}


def run_make(tree, *arguments, **more) -> subprocess.CompletedProcess:
    """Calls make for the plan `tiny` with the fake Python."""
    command = ["make", "PYTHON=./python", "PLAN=tiny", *arguments]
    return subprocess.run(
        command, cwd=tree, capture_output=True, text=True, env=environment() | more, check=False
    )


def make(tree, *arguments, goal="all", fails=False, data="records", **more):
    """The calls that make made, sorted; its records are `data`, or what it remembers."""
    (tree / "calls.txt").unlink(missing_ok=True)
    given = [f"DATA={data}"] if data else []
    done = run_make(tree, goal, *given, *arguments, **more)
    assert (done.returncode != 0) == fails, done.stderr + done.stdout
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


WITHOUT_EACH = """
import json, sys
from jobs.planner import plan
from jobs.settings import Settings
settings, found = Settings.read(), {}
assert not plan(settings).state.reasons
paths = sorted(path for path in settings.run.rglob("*") if path.is_file())
for path in paths[:: int(sys.argv[1])]:
    kept = path.rename(path.with_name("kept"))
    found[str(path)] = list(plan(settings).state.reasons)
    kept.rename(path)
print(json.dumps(found))
"""


def planned_without_each(tree, artifacts: str, step: int = 1) -> tuple[dict, dict]:
    """(the jobs that are planned when a file of the run is gone, by its path, for every `step`-th
    file; all jobs by their names)."""
    command = [sys.executable, "-c", WITHOUT_EACH, str(step)]
    settings = {"YT8M_PLAN": "tiny", "YT8M_ARTIFACTS": artifacts}
    done = subprocess.run(
        command, cwd=tree, env=environment() | settings, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    jobs = read_json(tree / artifacts / "tiny/jobs.json")["jobs"]
    return json.loads(done.stdout), {job["name"]: job for job in jobs}
