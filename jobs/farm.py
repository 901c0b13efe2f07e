"""The jobs of one make as they go on, told from what make prints and what jobs write.

A job starts when make prints its command; it is done when the file that it makes is another one
(renamed into place when complete, so there is no half way); its epochs are in its log.jsonl. Knows
nothing of terminals: jobs/live.py draws it.
"""

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from jobs.dry_run import VERB, Job
from jobs.durations import Durations
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.run_log import FILE, read_log

FAILED = re.compile(r"\*\*\* \[[^\]]*?(?P<target>[^\s:\]]+)\] ")


@dataclass
class Running:
    """A job that make has started."""

    job: Job
    since: float  # time.time()
    epochs: list[dict] = field(default_factory=list)

    @property
    def share(self) -> float | None:
        """How much of its training is done, 0 to 1; None for a job without epochs."""
        if not self.epochs:
            return None
        last = self.epochs[-1]
        return last["epoch"] / last["epochs"]


class Farm:
    """Jobs that are waiting, running and done, of a call of make.

    wanted: those that make will run; known: all that its rules have, since what it prints names
    nothing but the command.
    """

    def __init__(self, run: Path, wanted: list[Job], known: list[Job], slots: int):
        self.run, self.slots = run, slots
        self.known = {job.command: job for job in [*known, *wanted]}
        self.wanted = {job.target: job for job in wanted if job.stage != "report"}
        self.running: dict[Path, Running] = {}
        self.ended: set[Path] = set()
        self.failed: set[Path] = set()
        self.took: dict[Path, float] = {}
        self.started = time.time()
        self.before = {target: _changed(target) for target in self.wanted}
        self.durations = Durations(run)
        self._expected: dict[Path, float | None] = {}
        self.gaps = gaps_of(run, self.wanted)

    def command(self, line: str) -> bool:
        """Whether the line is a command of make's; its job is then running."""
        job = self.known.get(line)
        if job is None:
            return bool(VERB.search(line)) and not line.startswith("[")
        if job.stage != "report":
            self.wanted.setdefault(job.target, job)
            self.before.setdefault(job.target, _changed(job.target))
            self.running[job.target] = Running(job, time.time())
        return True

    def failure(self, line: str) -> None:
        """Takes make's line about a target that failed."""
        found = FAILED.search(line)
        if found and self.running.pop(Path(found["target"]), None):
            self.failed.add(Path(found["target"]))

    def look(self) -> None:
        """Looks at the files of the running jobs."""
        for target, running in list(self.running.items()):
            if _changed(target) != self.before[target]:
                del self.running[target]
                self.ended.add(target)
                self.took[target] = time.time() - running.since
                self._expected.clear()  # it says something about those like it
            running.epochs = _epochs(target.parent / FILE, self.started)
            if running.epochs and "gap" in running.epochs[-1]:
                self._note(running.job, running.epochs[-1]["gap"])

    def worst(self) -> tuple[str, float] | None:
        """The first-level model of the lowest mean GAP so far, among two or more."""
        means = {model: mean(folds.values()) for model, folds in self.gaps.items()}
        if len(means) < 2:
            return None
        model = min(means, key=means.get)
        return model, means[model]

    def left(self) -> tuple[float, int]:
        """(seconds until the end on all slots, waiting jobs whose like was never measured)."""
        total, unknown = 0.0, 0
        for target, job in self.wanted.items():
            if target in self.ended or target in self.failed:
                continue
            expected = self.expected(job)
            running = self.running.get(target)
            if expected is None:
                unknown += running is None
                continue
            total += max(expected - (time.time() - running.since), 0) if running else expected
        return total / self.slots, unknown

    def expected(self, job: Job) -> float | None:
        """Seconds of a whole job: of this run's like it, or else as recorded."""
        if job.target not in self._expected:
            alike = [self.wanted[t] for t in self.took if self.wanted[t].module == job.module]
            model = job.target.parent.parent
            same = [j for j in alike if j.target.parent.parent == model]
            found = [self.took[j.target] for j in same or alike]
            self._expected[job.target] = mean(found) if found else self.durations.expected(job)
        return self._expected[job.target]

    def _note(self, job: Job, gap: float) -> None:
        if job.stage == "first_level":
            folder = job.target.parent
            self.gaps.setdefault(folder.parent.name, {})[folder.name] = gap


def gaps_of(run: Path, wanted) -> dict[str, dict[str, float]]:
    """{model: {fold: GAP@20 on it}} of the first-level jobs that are done already."""
    gaps = {}
    for path in sorted(run.glob("first_level/*/fold*/report.json")):
        if path.parent / "predictions.safetensors" in wanted:
            continue
        try:
            gap = read_json(path).get("gap_fold")
        except InputError:
            continue
        if gap is not None:
            gaps.setdefault(path.parts[-3], {})[path.parts[-2]] = gap
    return gaps


def _changed(path: Path) -> int | None:
    """A file's time; None when it is absent."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _epochs(path: Path, since: float) -> list[dict]:
    """The epochs of a job, written since then: not those that an earlier run left."""
    changed = _changed(path)
    return read_log(path) if changed is not None and changed >= since * 1e9 else []
