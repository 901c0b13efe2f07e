"""The jobs of one make as they go on, from the markers, logs and receipts that they write.

A job is running, or has failed, while such a marker stands beside its receipt; it is done when its
receipt is a new one. Its epochs are in its log.jsonl. Nothing
here knows of terminals: jobs/live.py draws it.
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

from jobs.durations import Durations
from jobs.job import Job
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.paths import FIRST_LEVEL, REPORT, RUN_LOG, Artifacts
from yt8m.base.receipts import FAILED, RUNNING
from yt8m.base.run_log import read_log


@dataclass
class Running:
    """A job that has started."""

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
    """Jobs of a call of make: waiting, running, done, failed. wanted: those that it will run."""

    def __init__(self, files: Artifacts, wanted: list[Job], durations: Durations, slots: int):
        self.files, self.durations, self.slots = files, durations, slots
        self.wanted = {job.name: job for job in wanted if job.stage != "report"}
        self.running: dict[str, Running] = {}
        self.ended: set[str] = set()
        self.failed: set[str] = set()
        self.took: dict[str, float] = {}
        self.started = time.time()
        self.since = time.time_ns()
        self.before = {name: time_of(files.receipt(name)) for name in self.wanted}
        self.gaps = gaps_of(files.run, self.wanted)

    def look(self) -> list[Job]:
        """Looks at the files of all jobs; returns those that have started since the last look, be
        it that they have ended as well."""
        begun = []
        for name, job in self.wanted.items():
            if name in self.ended:
                continue
            receipt = self.files.receipt(name)
            if time_of(receipt) != self.before[name]:
                running = self.running.pop(name, None)
                self.took[name] = time.time() - running.since if running else 0.0
                begun += [] if running else [job]
                self.ended.add(name)
                self.failed.discard(name)
                self._note(job, read_epochs(job, self.started))
            elif (time_of(receipt.with_suffix(RUNNING)) or 0) > self.since:  # no dead make's
                if name not in self.running:
                    self.running[name] = Running(job, time.time())
                    self.failed.discard(name)
                    begun.append(job)
                self.running[name].epochs = read_epochs(job, self.started)
                self._note(job, self.running[name].epochs)
            elif (changed := time_of(receipt.with_suffix(FAILED))) and changed > self.since:
                self.running.pop(name, None)
                self.failed.add(name)
        return begun

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
        for name, job in self.wanted.items():
            if name in self.ended or name in self.failed:
                continue
            expected, running = self.estimate(job), self.running.get(name)
            if expected is None:
                unknown += running is None
                continue
            total += max(expected - (time.time() - running.since), 0) if running else expected
        return total / self.slots, unknown

    def estimate(self, job: Job) -> float | None:
        """Seconds of a whole job: of this run's like it, or else as recorded."""
        for kin in job.kin:
            found = [self.took[name] for name in self.took if kin in self.wanted[name].kin]
            if found:
                return mean(found)
        return self.durations.estimate(job)

    def _note(self, job: Job, epochs: list[dict]) -> None:
        """Keeps the GAP of a first-level job."""
        if job.stage == FIRST_LEVEL and epochs and "gap" in epochs[-1]:
            _, model, fold, *_ = job.name.split("/")
            self.gaps.setdefault(model, {})[fold] = epochs[-1]["gap"]


def gaps_of(run: Path, wanted: Mapping[str, Job]) -> dict[str, dict[str, float]]:
    """{model: {fold: GAP@20 on it}} of the first-level jobs that are done already."""
    gaps = {}
    for path in sorted(run.glob(f"{FIRST_LEVEL}/*/fold*/{REPORT}")):
        model, fold = path.parts[-3:-1]
        if f"{FIRST_LEVEL}/{model}/{fold}" in wanted:
            continue
        gap = None
        with contextlib.suppress(InputError, AttributeError):  # damaged: its job is made again
            gap = read_json(path).get("gap_fold")
        if gap is not None:
            gaps.setdefault(model, {})[fold] = gap
    return gaps


def time_of(path: Path) -> int | None:
    """A file's time; None when it is absent."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def read_epochs(job: Job, since: float) -> list[dict]:
    """The epochs of a job, written since then: not those that an earlier run left."""
    path = job.target.parent / RUN_LOG
    modified = time_of(path)
    if modified is not None and modified >= since * 1e9:
        with contextlib.suppress(InputError):  # a damaged log stops no run
            return read_log(path)
    return []
