"""Where the time of a whole run goes: each stage's share in numpy, torch, LightGBM and the rest.

    python -m bench.profile OUT [--plan demo] [--rate 50]

Runs `make all` from the start below OUT/run, each job under the sampling profiler py-spy (pip
install py-spy). Native frames are included, so a sample of C++ counts for its library. Idle
processes are not sampled. OUT/profile.json and OUT/profile.md have seconds and shares of each
stage.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

from bench.speed.measure import circumstances
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import working_in, write_json
from yt8m.base.tables import publish, table

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("first_level", "stacking", "distill")
STAGES = {  # of verbs whose stage is not their package
    "yt8m.records.synthetic": "folds",
    "distill.export.write": "export",
    "distill.export.evaluate": "export",
}
OURS = ("folds", "first_level", "stacking", "distill", "jobs", "report", "yt8m")
# Whose a shared library or a Python file is, by its path.
LIBRARIES = (
    ("torch", re.compile(r"torch|libc10|gomp|mkl|dnnl|safetensors")),
    ("numpy", re.compile(r"numpy|openblas|scipy")),
    ("LightGBM", re.compile(r"lightgbm")),
    ("records", re.compile(r"crc32c|_message|yt8m/records/|yt8m/data/store\.py")),
    ("ONNX", re.compile(r"onnx")),
)
# Neutral: the interpreter and the C library work for their caller.
NEUTRAL = re.compile(
    r"^(libpython|libc\.|libm\.|libpthread|libstdc|ld-linux|libgcc|linux-vdso|python3)"
)
FRAME = re.compile(r"^(?P<what>.*) \((?P<where>[^()]+?)(:\d+)?\)$")
PARTS = ["numpy", "torch", "LightGBM", "records", "ONNX", "imports", "our Python", "other Python"]
FAST = {"numpy", "torch", "LightGBM", "records"}
TRIES = 4  # py-spy 0.4 may crash as it looks into a process; make then resumes


def main(out: Path, *, plan: str = "demo", rate: int = 50) -> None:
    """Profiles a run of PLAN on the generated records into the folder OUT, at --rate Hz."""
    spy = shutil.which("py-spy") or Path(sys.executable).with_name("py-spy")
    if not Path(spy).is_file():
        raise InputError("py-spy is not installed; run pip install py-spy")
    with working_in(out):
        shutil.rmtree(out / "run", ignore_errors=True)
        stacks = out / "run" / "stacks"
        stacks.mkdir(parents=True)
        spied = f"{spy} record --native --subprocesses --rate {rate} --format raw"
        command = ["make", "all", f"PLAN={plan}", f"PYTHON={sys.executable}"]
        command += [f"ARTIFACTS={stacks.parent.resolve()}"]
        command += [f"RUN={spied} --output {stacks.resolve()}/$$.txt --"]
        done = None
        for _ in range(TRIES):
            done = done or not subprocess.run(command, cwd=ROOT).returncode
        if not done:
            raise InputError(f"{' '.join(command)} failed; try it without RUN=")
        lines = [line for path in stacks.iterdir() for line in path.read_text().splitlines()]
        found = shares(lines, rate)
        shutil.rmtree(stacks.parent)
        write_json(out / "profile.json", {"plan": plan, **circumstances(), "stages": found})
        publish(rows(found), out / "profile.md")


def shares(stacks: Iterable[str], rate: int) -> dict[str, dict[str, float]]:
    """Lines "process 7:...;process 9:...;frame;frame 12" -> seconds of each part in each stage."""
    of_process: dict[str, Counter] = defaultdict(Counter)
    stages: dict[str, Counter] = defaultdict(Counter)
    for line in stacks:
        text, _, count = line.rpartition(" ")
        frames = text.split(";")
        number = max(i for i, frame in enumerate(frames) if frame.startswith("process "))
        process, frames = frames[number].partition(":")[0], frames[number + 1 :]
        of_process[process][part_of(frames)] += int(count)
        stages[process][stage_of(frames)] += int(count)
    found: dict[str, Counter] = defaultdict(Counter)
    for process, parts in of_process.items():
        named = Counter({stage: n for stage, n in stages[process].items() if stage})
        if named:  # else make's own parent, or a process that ended at once
            found[named.most_common(1)[0][0]].update(parts)
    order = [stage for stage in ("folds", *FOLDERS, "export", "report") if stage in found]
    return {stage: {part: found[stage][part] / rate for part in PARTS} for stage in order}


def stage_of(frames: list[str]) -> str:
    """The stage whose verb runs, by the outermost frame that is a file of ours; "": unknown."""
    for match in filter(None, map(FRAME.match, frames)):
        package, _, file = match["where"].partition("/")
        if package in OURS and file.endswith(".py"):
            return STAGES.get(f"{package}.{file[:-3]}".replace("/", "."), package)
    return ""


def part_of(frames: list[str]) -> str:
    """Whose time a sample is: that of the innermost frame that is not neutral."""
    if any("<frozen importlib" in frame or "<frozen zipimport" in frame for frame in frames):
        return "imports"
    for match in filter(None, map(FRAME.match, reversed(frames))):
        where = match["where"]
        if NEUTRAL.match(where):
            continue
        for name, pattern in LIBRARIES:
            if pattern.search(where):
                return name
        return "our Python" if where.partition("/")[0] in OURS else "other Python"
    return "other Python"


def rows(found: dict[str, dict[str, float]]) -> list[str]:
    """The table: seconds of each stage, and shares."""
    lines = []
    for stage, parts in found.items():
        total = sum(parts.values()) or 1.0
        rest = 1 - sum(parts[name] for name in FAST) / total
        running = total - parts["imports"] or 1.0
        slow = (parts["our Python"] + parts["other Python"] + parts["ONNX"]) / running
        cells = [f"{parts[name] / total:.1%}" for name in PARTS]
        lines.append([stage, f"{total:,.0f}", *cells, f"{rest:.1%}", f"{slow:.1%}"])
    titles = ["stage", "seconds", *PARTS, "outside the first four", "the same without imports"]
    return table(titles, lines)


if __name__ == "__main__":
    cli.run(main)
