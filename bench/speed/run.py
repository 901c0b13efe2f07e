"""Measures the parts and keeps their figures: `make bench`, `make bench PARTS="decode rows"`.

    python -m bench.speed.run OUT [--parts "decode rows"] [--toy]

Each part runs in a process of its own. OUT/speed.json holds every part's figures with commit, date
and machine; parts that are not measured keep their old figures. OUT/speed.md is the table.
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench.speed.measure import Result, circumstances
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json, working_in, write_json
from yt8m.base.tables import publish, table

PARTS = Path(__file__).parent / "parts"
TITLES = ["part", "figure", "measured", "wanted", "reached", "note", "commit", "date"]


def main(out: Path, *, parts: str = "", toy: bool = False, one: str = "") -> None:
    """Measures PARTS (default: all) and writes OUT/speed.json and OUT/speed.md.

    --toy: small sizes, which only show that it runs. --one: measures one part in this process and
    prints it as JSON; each part is started so.
    """
    if one:
        print(json.dumps(figures_of(one, toy)))
        return
    wanted = parts.split() or part_names()
    for name in wanted:
        if name not in part_names():
            raise InputError(f"--parts: no part '{name}'; parts: {', '.join(part_names())}")
    with working_in(out):
        path = out / "speed.json"
        known = read_json(path) if path.is_file() else {}
        for name in wanted:
            known[name] = {**measure(name, toy, out), **circumstances(), "toy": toy}
            write_json(path, known)
        lines = table(TITLES, [row for name in known for row in rows(name, known[name])])
        publish(lines, out / "speed.md")


def part_names() -> list[str]:
    """Names of all parts."""
    return sorted(path.stem for path in PARTS.glob("*.py") if path.stem != "__init__")


def figures_of(name: str, toy: bool) -> list[dict]:
    """Measures one part in this process."""
    part = import_module(f"bench.speed.parts.{name}")
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        figures: list[Result] = part.figures(toy, Path(folder))
    return [asdict(figure) | {"reached": figure.reached} for figure in figures]


def measure(name: str, toy: bool, out: Path) -> dict:
    """Measures one part in another process. InputError when it fails."""
    log(f"[bench] {name}")
    command = [sys.executable, "-m", "bench.speed.run", str(out), "--one", name]
    command += ["--toy"] if toy else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise InputError(f"part {name} of the benchmark failed (exit status {done.returncode})")
    return {"figures": json.loads(done.stdout.splitlines()[-1])}


def rows(name: str, part: dict) -> list[list[str]]:
    """The table's lines of one part."""
    found = []
    for figure in part["figures"]:
        goal, sign = figure["goal"], "<=" if figure["most"] else ">="
        wanted = "-" if goal is None else f"{sign} {goal:g} {figure['unit']}"
        reached = {None: "-", True: "yes", False: "no"}[figure["reached"]]
        value = f"{figure['value']:.4g} {figure['unit']}"
        about = [figure["note"], str(part["commit"]), part["date"]]
        found.append([name, figure["name"], value, wanted, reached, *about])
    return found


if __name__ == "__main__":
    cli.run(main)
