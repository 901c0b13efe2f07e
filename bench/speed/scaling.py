"""Time and memory of every stage as the number of videos grows.

    python -m bench.speed.scaling OUT [--sizes "10000 30000 100000"]

Generated video-level records (64 + 16 dimensions, 100 classes) through every stage with a fixed
small model, one process at a time and on one thread. OUT/scaling.json holds seconds and peak memory
of each stage and size, with the exponent of the growth from the second-largest size to the largest;
OUT/scaling.svg is the picture. Sizes that are there are kept, so that larger ones can be added.
"""

import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.speed.chart import lines_chart
from bench.speed.measure import Result
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, working_in, write_json, writing

SIZES = "3000 10000 30000"
FOLDS = range(5)
MODEL = 'arch = "mlp"\n[model]\nwidths = [64]\n[training]\nepochs = 2\nbatch_size = 256\n'
STACK = "candidates = 20\n[booster]\nmax_rounds = 30\nnum_leaves = 15\nmost_rows = 1000000\n"
MEMORY_MB = 32  # what bounds memory is small here: 100,000 videos reach both it and most_rows
STUDENT = "[resnet.model]\nwidth = 64\n[resnet.training]\nepochs = 2\n"
EXPONENT = 1.05  # of the growth in time that is allowed
MEMORY = 1.10  # growth in memory that is allowed, where a setting bounds it


def main(out: Path, *, sizes: str = SIZES) -> None:
    """Measures --sizes (numbers of videos) and writes scaling.json and scaling.svg into OUT."""
    wanted = sorted({int(size) for size in sizes.split()})
    if not wanted or wanted[0] < 200:
        raise InputError(f"--sizes {sizes!r}: numbers of videos, 200 or more")
    with working_in(out):
        path = out / "scaling.json"
        runs = read_json(path) if path.is_file() else {}
        for size in wanted:
            with tempfile.TemporaryDirectory(prefix="scaling-", dir=out) as folder:
                runs[str(size)] = stages(size, Path(folder))
            write_json(path, runs)
        with writing(out / "scaling.svg") as temporary:
            temporary.write_text(picture(runs))
    for figure in growth(runs):
        log(f"{figure.name}: {figure.value:.3g} {figure.unit} ({figure.note})")


def stages(size: int, run: Path) -> dict[str, dict[str, float]]:
    """CPU and wall seconds, and peak memory of the largest process in MB, of every stage; and the
    disk. CPU seconds are what is shown: other work on the machine disturbs them little."""
    for name, text in (("plan/mlp", MODEL), ("stack", STACK), ("student", STUDENT)):
        path = run / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = {}
    for name, verbs in commands(size, run).items():
        runs = [measured([str(part) for part in verb]) for verb in verbs]
        wall, cpu, memory = zip(*runs, strict=True)
        found[name] = {
            "seconds": round(sum(cpu), 2),
            "wall": round(sum(wall), 2),
            "mb": round(max(memory), 1),
        }
        log(f"[scaling] {size:,} videos, {name}: {sum(cpu):.1f} s, {max(memory):,.0f} MB")
    sizes = {name: size_of(run / name) for name in ("records", "store", "first_level", "stacking")}
    found["disk"] = {f"{name}_mb": round(mb, 2) for name, mb in sizes.items()}
    shutil.rmtree(run / "records")
    return found


def commands(size: int, run: Path) -> dict[str, list[list]]:
    """The verbs of each stage, as make calls them."""
    store, folds, first, stack = (
        run / n for n in ("store", "folds.safetensors", "first_level", "stacking")
    )
    soft, config, student = (
        stack / "soft_labels.safetensors",
        stack / "config.json",
        run / "student.json",
    )
    sizes = ["--classes", 100, "--rgb", 64, "--audio", 16]
    own = [stack / f"fold{k}" for k in FOLDS]
    model = first / "mlp"
    return {
        "records": [["yt8m.records.synthetic", run / "records", "--videos", size, *sizes]],
        "decode": [["folds.decode", run / "records", store, "--jobs", 1]],
        "assign": [["folds.assign", store, folds]],
        "first_level": [
            ["first_level.config", run / "plan", first],
            *(
                ["first_level.train", model / "config.json", store, folds, model / f"fold{k}"]
                + ["--fold", k]
                for k in FOLDS
            ),
        ],
        "rows": [
            ["stacking.config", run / "stack.toml", config],
            *(
                ["stacking.rows", config, first / "models.txt", run, store, folds, own[k] / "rows"]
                + ["--fold", k]
                for k in FOLDS
            ),
        ],
        "boosting": [
            ["stacking.train", config, stack, own[k] / "model.txt", "--fold", k] for k in FOLDS
        ],
        "soft_labels": [
            *(
                ["stacking.predict", config, own[k] / "rows", own[k] / "model.txt"]
                + [own[k] / "predictions.safetensors", "--fold", k]
                for k in FOLDS
            ),
            ["stacking.soft_labels", stack, store, folds, soft],
        ],
        "scores": [
            ["stacking.report", config, first / "models.txt", run, store, folds]
            + [stack / "report.json"],
        ],
        "distill": [
            ["distill.config", run / "student.toml", student],
            ["distill.train", student, store, folds, soft, run / "resnet", "--part", "resnet"],
        ],
    }


def measured(command: list[str]) -> tuple[float, float, float]:
    """(seconds, CPU seconds, peak memory in MB) of `python -m command`; InputError if it fails."""
    started = time.perf_counter()
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


def picture(runs: dict) -> str:
    """Seconds of each stage over videos, both logarithmic, as SVG."""
    sizes = sorted(map(int, runs))
    names = [name for name in runs[str(sizes[0])] if name not in ("disk", "records")]
    lines = {n: [(size, runs[str(size)][n]["seconds"]) for size in sizes] for n in names}
    return lines_chart(lines, "videos", "CPU seconds")


def size_of(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    cli.run(main)
