"""A receipt for each job of a run: what it was made from, and every file that it wrote.

    artifacts/<plan>/receipts/first_level/linear/fold3.json
    {"job": ..., "commit": ..., "seconds": ..., "inputs": {path: digest}, "settings": {...},
     "outputs": {path: seal}}

Verbs know nothing of receipts. The Makefile names jobs.json in the environment. `cli.run` finds
there the job whose command it was called with, and writes the receipt when the verb has ended well.
The planner (jobs/freshness.py) compares receipts with what is there. For who watches, a marker
stands beside the receipt while the job runs, and when it has failed. Paths begin with @run or
@store, so that a run may move.
"""

import contextlib
import json
import os
import resource
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from yt8m.base import locks
from yt8m.base.cli import InputError
from yt8m.base.digests import digest_of, read_cache, same_seal, seal_of
from yt8m.base.files import read_json, remove, write_json
from yt8m.base.paths import Artifacts

JOBS = "YT8M_PLANNED"  # in the environment: the jobs.json of the run
COMMIT = "YT8M_COMMIT"
SPEED = ("--jobs", "--threads")  # options that decide nothing of what is written
RUNNING, FAILED = ".running", ".failed"  # ends of the names of markers
_derived: set[Path] = set()  # what this process has read that is computed once for a data set


def note_derived(folder: Path) -> None:
    """Counts the files of a folder among the outputs of this process's job: whoever needs it writes
    it, and it is made again when it is gone."""
    _derived.add(folder)


def commit() -> str | None:
    """The commit of this code, "+" added when files differ from it; None outside git."""
    if COMMIT in os.environ:
        return os.environ[COMMIT] or None
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def commits_of(run: Path) -> str | None:
    """Which code made the results of a run: "abc1234", or "abc1234 (90 jobs), def5678 (5 jobs)"."""
    found: Counter[str] = Counter()
    for path in sorted(Artifacts(run, run).receipts.rglob("*.json")):
        made_by = read_cache(path).get("commit")
        if made_by:
            found[made_by] += 1
    if len(found) < 2:
        return next(iter(found), None)
    return ", ".join(f"{name} ({count} jobs)" for name, count in found.most_common())


def check_seal(path: Path) -> None:
    """InputError when a receipt of the file's run says that its job wrote another file.

    Nothing is checked in a folder without receipts, where verbs were called by hand.
    """
    path = path.absolute()
    for run in path.parents:
        files = Artifacts(run, run / "store")
        if not files.receipts.is_dir():
            continue
        own, name = (
            files.receipt(str(path.parent.relative_to(run))),
            f"@run/{path.relative_to(run)}",
        )
        for receipt in (own, *sorted(own.with_suffix("").glob("*.json"))):
            kept = read_cache(receipt).get("outputs", {}).get(name)
            if kept is not None and not same_seal(seal_of(path), kept):
                raise InputError(f"{path}: is not what its job wrote; delete it and run `make`")
        return


@dataclass(frozen=True)
class Recorder:
    """The job that this process runs, as jobs.json has it."""

    artifacts: Artifacts
    job: dict

    @classmethod
    def of_command(cls, verb: str, arguments: list[str]) -> "Recorder | None":
        """None when no make has called this process, or one of another run."""
        path = os.environ.get(JOBS)
        if not path or not os.path.isfile(path):
            return None
        planned, command = read_json(Path(path)), _deciding([verb, *arguments])
        for job in planned["jobs"]:
            if _deciding(job["command"]) == command:
                return cls(Artifacts(Path(planned["run"]), Path(planned["store"])), job)
        return None

    def is_done(self) -> bool:
        """Whether the job's receipt says the same inputs and settings, and every output is there.
        Records are not among them: their verb compares them itself."""
        path = self.artifacts.receipt(self.job["name"])
        if self.job["records"] or not path.is_file():
            return False
        with contextlib.suppress(InputError, KeyError, OSError):
            receipt = read_json(path)
            same = (
                receipt["inputs"] == self.inputs() and receipt["settings"] == self.job["settings"]
            )
            paths = [self.artifacts.find(text) for text in receipt["outputs"]]
            same &= set(map(Path, self.job["outputs"])) <= set(paths)  # older code had others
            seals = zip(paths, receipt["outputs"].values(), strict=True)
            return same and all(same_seal(seal_of(path), seal) for path, seal in seals)
        return False

    def inputs(self) -> dict[str, str | None]:
        """Digests of the job's inputs."""
        return {self.artifacts.shorten(Path(p)): digest_of(Path(p)) for p in self.job["inputs"]}

    def lock(self) -> contextlib.AbstractContextManager:
        """Holds the job: a killed make's may still be working on it. Of processes that train
        together, the first does."""
        if os.environ.get("RANK", "0") != "0":
            return contextlib.nullcontext()
        lock = self.artifacts.receipt(self.job["name"]).with_suffix(locks.LOCK)
        lock.parent.mkdir(parents=True, exist_ok=True)
        return locks.hold(lock, self.job["name"], self.artifacts.lock)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Marks the job as running; writes its receipt when the block ends well. Of processes that
        train together (torchrun), the first does."""
        if os.environ.get("RANK", "0") != "0":
            yield
            return
        started, inputs = time.time(), self.inputs()
        receipt = self.artifacts.receipt(self.job["name"])
        receipt.parent.mkdir(parents=True, exist_ok=True)
        marker, failure = receipt.with_suffix(RUNNING), receipt.with_suffix(FAILED)
        remove(failure)
        marker.write_text(json.dumps({"pid": os.getpid(), "started": started}))
        try:
            yield
            write_json(receipt, self.receipt(inputs, time.time() - started))
            remove(marker)
        finally:
            if marker.exists():
                marker.replace(failure)

    def receipt(self, inputs: dict, seconds: float) -> dict:
        """What the receipt says."""
        return {
            "job": self.job["name"],
            "verb": self.job["command"][0],
            "commit": commit(),
            "seconds": round(seconds, 2),
            "peak_memory_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
            "settings": self.job["settings"],
            "inputs": inputs,
            "outputs": {
                self.artifacts.shorten(path): seal_of(path) for path in sorted(self.files())
            },
        }

    def files(self) -> Iterable[Path]:
        """All files of the job: those it names, those of its own folders, those it derived."""
        yield from {Path(path) for path in self.job["outputs"]}
        for pattern in self.job["folders"]:
            for folder in _folders(Path(pattern)):
                found = (path for path in folder.rglob("*") if path.is_file())
                yield from (path for path in found if not locks.is_passing(path))
        for folder in _derived:
            yield from folder.iterdir()


def _deciding(command: list[str]) -> list[str]:
    """A command without how fast it is to be: another make may have planned it with other JOBS."""
    fast = {at + more for at, word in enumerate(command) if word in SPEED for more in (0, 1)}
    return [word for at, word in enumerate(command) if at not in fast]


def _folders(pattern: Path) -> list[Path]:
    """The folders of a path whose last part may hold a *."""
    return sorted(path for path in pattern.parent.glob(pattern.name) if path.is_dir())
