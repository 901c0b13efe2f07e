"""Every stage of a small run, each verb in a process of its own: seconds, memory and disk."""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.speed.measure import Result
from distill.config import DistillConfig
from jobs.plans import model_snapshots, read_models
from stacking.config import Stacking
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_toml, write_if_changed, write_snapshot
from yt8m.base.paths import BOOSTER, CONFIG, PREDICTIONS, REPORT, ROWS, Artifacts

SIZES = "3000 10000 30000"
FOLDS = range(5)
MODEL = 'arch = "mlp"\n[model]\nwidths = [64]\n[training]\nepochs = 2\nbatch_size = 256\n'
STACK = "candidates = 20\n[booster]\nmax_rounds = 30\nnum_leaves = 15\nmost_rows = 1000000\n"
MEMORY_MB = 32  # small, so that 100,000 videos reach this bound and most_rows
STUDENT = "[resnet.model]\nwidth = 64\n[resnet.training]\nepochs = 2\n"
EXPONENT = 1.05  # of the growth in time that is allowed
MEMORY = 1.10  # growth in memory that is allowed, where a setting bounds it


def stages(size: int, run: Path) -> dict[str, dict[str, float]]:
    """CPU and wall seconds and peak memory (MB, of the largest process) of every stage; the disk.

    The table shows CPU seconds: other work on the machine disturbs them little.
    """
    write_settings(run)
    found = {}
    for name, verbs in commands(size, run).items():
        found[name] = run_all(verbs, f"[scaling] {size:,} videos, {name}")
    sizes = {name: size_of(run / name) for name in ("records", "store", "first_level", "stacking")}
    found["disk"] = {f"{name}_mb": round(mb, 2) for name, mb in sizes.items()}
    shutil.rmtree(Artifacts.of_run(run).records)
    return found


def write_settings(run: Path) -> None:
    """Writes the TOMLs of a plan and their snapshots."""
    for name, text in (("plan/mlp", MODEL), ("stack", STACK), ("student", STUDENT)):
        path = run / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    files = Artifacts.of_run(run)
    for path, text in model_snapshots(read_models(run / "plan"), files.first_level).items():
        write_if_changed(path, text)
    write_snapshot(files.stacking / CONFIG, read_toml(run / "stack.toml", Stacking))
    write_snapshot(run / "student.json", read_toml(run / "student.toml", DistillConfig))


def commands(size: int, run: Path) -> dict[str, list[list]]:
    """The verbs of each stage, as make calls them."""
    files = Artifacts.of_run(run)
    data, config = [files.store, files.folds], files.model("mlp") / CONFIG
    inputs = [run / "student.json", *data, files.soft_labels]
    return {
        **folds_commands(files, size, classes=100, rgb=64, audio=16),
        "first_level": [
            ["first_level.train", config, *data, files.model_fold("mlp", k), "--fold", k]
            for k in FOLDS
        ],
        **stacking_commands(files),
        "distill": [["distill.train", *inputs, run / "resnet", "--part", "resnet"]],
    }


def folds_commands(
    files: Artifacts, videos: int, classes: int, rgb: int, audio: int
) -> dict[str, list[list]]:
    """Generated records, their store and folds."""
    sizes = ["--videos", videos, "--classes", classes, "--rgb", rgb, "--audio", audio]
    return {
        "records": [["yt8m.records.synthetic", files.records, *sizes]],
        "decode": [["folds.decode", files.records, files.store, "--jobs", 1]],
        "assign": [["folds.assign", files.store, files.folds]],
    }


def stacking_commands(files: Artifacts) -> dict[str, list[list]]:
    """Rows, boosters, soft labels and scores of the five folds."""
    stack, config = files.stacking, files.stacking / CONFIG
    inputs = [config, files.models, files.run, files.store, files.folds]
    own = {k: files.stack_fold(k) for k in FOLDS}
    predicting = [
        ["stacking.predict", config, folder / ROWS, folder, folder / PREDICTIONS] + ["--fold", k]
        for k, folder in own.items()
    ]
    soft_labels = ["stacking.soft_labels", stack, files.store, files.folds, files.soft_labels]
    return {
        "rows": [["stacking.rows", *inputs, own[k] / ROWS, "--fold", k] for k in FOLDS],
        "boosting": [
            ["stacking.train", config, stack, own[k] / BOOSTER, "--fold", k] for k in FOLDS
        ],
        "soft_labels": [*predicting, soft_labels],
        "scores": [["stacking.report", *inputs, stack / REPORT]],
    }


def run_all(verbs: list[list], title: str) -> dict[str, float]:
    """CPU and wall seconds of all verbs, and peak memory (MB) of the largest; logs both."""
    wall, cpu, memory = zip(*map(run_verb, verbs), strict=True)
    log(f"{title}: {sum(cpu):,.1f} s, {max(memory):,.0f} MB")
    seconds = {"seconds": round(sum(cpu), 2), "wall": round(sum(wall), 2)}
    return seconds | {"mb": round(max(memory), 1)}


def run_verb(verb: list) -> tuple[float, float, float]:
    """(seconds, CPU seconds, peak memory in MB) of `python -m verb`; InputError if it fails."""
    started, command = time.perf_counter(), [str(part) for part in verb]
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | {"OMP_NUM_THREADS": "1", "YT8M_MEMORY_MB": str(MEMORY_MB)},
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            last = output.read().splitlines()[-1:]
            raise InputError(f"{' '.join(command)}: failed: {' '.join(last)}")
    kib = usage.ru_maxrss if sys.platform != "darwin" else usage.ru_maxrss / 1024
    cpu = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - started, cpu, kib * 1024 / 1e6


def growth(runs: dict) -> list[Result]:
    """The exponent of time and the factor of memory of each stage, between the largest sizes."""
    sizes = sorted(map(int, runs))
    if len(sizes) < 2:
        return []
    small, large = sizes[-2:]
    note, found = f"{small:,} to {large:,} videos", []
    for stage in (name for name in runs[str(large)] if name not in ("disk", "records")):
        before, after = runs[str(small)][stage], runs[str(large)][stage]
        power = math.log(after["seconds"] / before["seconds"]) / math.log(large / small)
        found.append(Result(f"{stage}: time grows as n^", power, "", EXPONENT, True, note))
        factor = after["mb"] / before["mb"]
        text = f"{note}; {after['mb']:,.0f} MB"
        found.append(Result(f"{stage}: memory grows", factor, "x", MEMORY, True, text))
    return found


def size_of(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
