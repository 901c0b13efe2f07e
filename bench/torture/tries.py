"""The parts of the torture: each yields (kind, tries, a line for each that was lost)."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.torture.damage import HOW, damage, try_reader
from bench.torture.mutants import payloads_of, try_mutants
from bench.torture.readers import readers_of
from bench.torture.world import FILES, contents, difference, finish, start
from yt8m.base.files import remove
from yt8m.base.locks import is_passing
from yt8m.base.paths import BOOSTER, PREDICTIONS, ROWS, WEIGHTS
from yt8m.records.description import describe, find_shards
from yt8m.records.reader import dims_of

Found = Iterator[tuple[str, int, list[str]]]
STAGES = {  # verbs, and what each makes: removed before, so that it runs
    "folds.decode": str(FILES.store / "store"),
    "folds.assign": str(FILES.folds),
    "first_level.train": "first_level/*/fold*",
    "stacking.rows": f"stacking/fold*/{ROWS}",
    "stacking.train": f"stacking/fold*/{BOOSTER}",
    "stacking.predict": f"stacking/fold*/{PREDICTIONS}",
    "stacking.soft_labels": str(FILES.soft_labels),
    "distill.train": f"distill/*/{WEIGHTS}",
    "distill.export.write": str(FILES.export),
    "distill.export.evaluate": str(FILES.evaluation),
    "report.summary": str(FILES.summary),
    "report.page": str(FILES.page),
}
LATEST = 2.0  # seconds after its command was printed that a stage is killed
FIRST_LIMIT, GROWTH = 20_000, 1.7  # bytes of a file, and the factor to the next limit
TOGETHER = 6  # files that are damaged before make is called
READ = 12  # damages of each kind of file that is read without make


@dataclass(frozen=True)
class Torture:
    """tree: of build_world, with an undisturbed run in a/tiny; expected: its contents."""

    tree: Path
    expected: Mapping[str, str]
    kills: int
    mutants: int
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def copy_run(self, name: str) -> Path:
        """A copy of the undisturbed run."""
        return shutil.copytree(self.tree / "a/tiny", self.tree / name / "tiny")

    def end(self, name: str) -> list[str]:
        """Calls make to its end; lines about what is wrong then."""
        status, printed = finish(start(self.tree, name))
        return self.judge(self.tree / name / "tiny", status, printed)

    def judge(self, run: Path, status: int, printed: str) -> list[str]:
        if status or "Traceback" in printed:
            return [f"status {status}: {' '.join(printed.split()[-60:])}"]
        differ = difference(run, self.expected)
        return [f"differs: {differ}"] if differ else []


def try_kills(torture: Torture) -> Found:
    """SIGKILL for make, every other time for all of its jobs too."""
    rng, tried = torture.rng, dict.fromkeys(STAGES, 0)
    lost: list[str] = []
    for number in range(torture.kills):
        stage = list(STAGES)[number % len(STAGES)]
        tried[stage] += _kill(torture.tree, stage, rng.uniform(0, LATEST), number % 2 == 0)
        if number % 10 == 9 and number + 1 < torture.kills:
            lost += torture.end("kills")
    lost += torture.end("kills")
    for stage, count in tried.items():
        yield f"killed in {stage}", count, lost if stage == "folds.decode" else []


def _kill(tree: Path, stage: str, delay: float, whole_group: bool) -> bool:
    """Whether the stage was seen, and make was killed."""
    for made in (tree / "kills/tiny").glob(STAGES[stage]):
        remove(made)
    make = start(tree, "kills")
    with make:
        for line in make.stdout:  # make prints each command before it starts it
            if f"-m {stage}" in line:
                time.sleep(delay)
                (os.killpg if whole_group else os.kill)(make.pid, signal.SIGKILL)
                break
        killed = make.wait() == -signal.SIGKILL
        if not whole_group:  # its jobs go on, and end or are waited for
            make.stdout.close()
    return killed


def try_full(torture: Torture) -> Found:
    """Each call ends in an error of one line, until there is room enough."""
    limit, calls, lost = FIRST_LIMIT, 0, []
    while True:
        calls += 1
        make = start(torture.tree, "full", bytes_of_a_file=int(limit))
        status, printed = finish(make)
        if "Traceback" in printed or "core dumped" in printed:
            lost.append(f"files of {limit:,.0f} bytes: {' '.join(printed.split()[-60:])}")
        if not status or calls > 40:
            break
        limit *= GROWTH
    lost += torture.end("full")
    yield "files limited (ulimit -f), the limit growing", calls, lost
    yield from _try_disk(torture)


def _try_disk(torture: Torture) -> Found:
    place, size, calls, lost = torture.tree / "disk", 1, 0, []
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    if subprocess.run([*mount, f"size={size}m", "tmpfs", place], capture_output=True).returncode:
        return  # only root may
    try:
        while True:
            calls += 1
            status, printed = finish(start(torture.tree, "disk"))
            if "Traceback" in printed or "core dumped" in printed:
                lost.append(f"{size} MB: {' '.join(printed.split()[-60:])}")
            if not status or calls > 40:
                break
            size += 1
            subprocess.run([*mount, f"remount,size={size}m", place], check=True)
        lost += torture.end("disk")
    finally:
        subprocess.run(["umount", place], check=True)
    yield "a disk (tmpfs) that is full, growing by 1 MB", calls, lost


def try_damage(torture: Torture) -> Found:
    """Damages some files, and calls make until it ends: it may ask for a file to be deleted."""
    rng, run = torture.rng, torture.copy_run("damage")
    kinds = kinds_of(run)
    tries = [(kind, how) for how in HOW for kind in kinds]
    rng.shuffle(tries)
    counts, lost = dict.fromkeys(HOW, 0), {how: [] for how in HOW}
    for start_at in range(0, len(tries), TOGETHER):
        done = []
        for kind, how in tries[start_at : start_at + TOGETHER]:
            files = kinds[kind]
            path, neighbour = (files[int(at)] for at in rng.permutation(len(files))[[0, -1]])
            if path.exists() and neighbour.exists() and damage(path, how, neighbour, rng):
                done.append((path, how))
                counts[how] += 1
        wrong = _mend(torture, [path for path, _ in done])
        if wrong:
            texts = ", ".join(f"{path.relative_to(run)} {how}" for path, how in done)
            lost[done[0][1]].append(f"{texts}: {wrong[0]}")
            shutil.rmtree(run)
            torture.copy_run("damage")
    for how in HOW:
        yield f"files {how}, then make ({len(kinds)} kinds)", counts[how], lost[how]


def _mend(torture: Torture, damaged: list[Path]) -> list[str]:
    for _ in range(len(damaged) + 1):
        status, printed = finish(start(torture.tree, "damage"))
        named = [path for path in damaged if path.exists() and str(path.name) in printed]
        if not status or "Traceback" in printed or not named:
            break
        for path in named:
            path.unlink()
    return torture.judge(torture.tree / "damage/tiny", status, printed)


def kinds_of(run: Path) -> dict[str, list[Path]]:
    """The files of a run by kind: their names, and those of their folders without numbers."""
    kinds: dict[str, list[Path]] = {}
    for path in sorted(run.rglob("*")):
        if path.is_file() and not is_passing(path):
            folders = [p for p in path.relative_to(run).parent.parts if not p[-1].isdigit()]
            folders = [p for p in folders if "-" not in p and len(p) != 16][:2]
            kinds.setdefault("/".join([*folders, path.name]), []).append(path)
    return kinds


def try_readers(torture: Torture) -> Found:
    """Reads damaged files without make: nothing but one line may come of it."""
    rng, run = torture.rng, torture.tree / "a/tiny"
    for kind, files in readers_of(run).items():
        lost, tried = [], 0
        for path, read in files:
            for how in HOW[1:3]:
                for _ in range(READ):
                    tried += 1
                    wrong = try_reader(read, path, how, rng)
                    lost += [wrong] if wrong else []
        yield f"{kind} cut or flipped, then read", tried, lost
    assert contents(run) == torture.expected


def try_makes(torture: Torture) -> Found:
    """Two makes at once: one works, one says who does."""
    lost, rounds = [], 3
    for number in range(rounds):
        for made in (torture.tree / "makes/tiny").glob("stacking/*"):
            remove(made)
        both = [start(torture.tree, "makes") for _ in range(2)]
        ends = [finish(make) for make in both]
        refused = [printed for status, printed in ends if "in use by make" in printed]
        if sorted(status for status, _ in ends) != [0, 2] or len(refused) != 1:
            lost.append(f"round {number}: {[(s, p[-200:]) for s, p in ends]}")
        lost += torture.end("makes")
    yield "two makes at once", rounds, lost


def try_records(torture: Torture) -> Found:
    """Mutated records of both levels."""
    found = find_shards(torture.tree / "records")
    for level, shards in found.items():
        names, _ = describe(torture.tree / "records", {level: shards}, None)
        payloads, dims = payloads_of(shards, 8), dims_of(shards, names)
        count = torture.mutants // len(found)
        lost = try_mutants(payloads, names, dims, count, torture.seed)
        yield f"mutated records ({level} level), both readers", count, lost


PARTS: dict[str, Callable[[Torture], Found]] = {
    "mutants": try_records,
    "readers": try_readers,
    "makes": try_makes,
    "kills": try_kills,
    "damage": try_damage,
    "full": try_full,
}
