"""How long a job will take, from what jobs like it took: the `seconds` in their records.

A record is the job's own from last time; else those of the same model's other folds; else those of
the same architecture in this plan; else of the other plans beside it on this machine, in proportion
to their numbers of videos. Nothing measured is None: no guess. Start-up and prediction, which
records of training leave out, are not counted.
"""

import re
from functools import cached_property
from pathlib import Path
from statistics import mean

from jobs.dry_run import Job
from yt8m.base.cli import InputError
from yt8m.base.files import read_json

# What a job makes, and the file beside it that holds its seconds.
RECORDS = {
    "predictions.safetensors": "report.json",
    "weights.safetensors": "report.json",
    "model.txt": "train.json",
    "rows.json": "rows.json",
}


class Durations:
    """Of the jobs of the run folder `run` (artifacts/<plan>)."""

    def __init__(self, run: Path):
        self.run = run

    def expected(self, job: Job) -> float | None:
        """Seconds on as many threads as last time; None where nothing like it was measured."""
        record = RECORDS.get(job.target.name)
        if record is None or not job.target.is_relative_to(self.run):
            return None
        inside = job.target.relative_to(self.run).parent / record
        own = _seconds([self.run / inside])
        return own or self._alike(self.run, inside) or self._elsewhere(inside)

    def _alike(self, run: Path, inside: Path) -> float | None:
        """Mean of the same model's folds in a run, else of its architecture."""
        pattern = re.sub(r"(fold|copy)\d+", r"\1*", str(inside))
        found = _seconds(sorted(run.glob(pattern)))
        if found is None and inside.parts[0] == "first_level":
            arch = self._arch(inside.parts[1])
            reports = sorted(run.glob("first_level/*/fold*/report.json"))
            found = _seconds([path for path in reports if _value(path, "arch") == arch])
        return found

    def _elsewhere(self, inside: Path) -> float | None:
        """The same from other plans, each in proportion to its videos."""
        found = []
        for run in self._others:
            seconds, videos = self._alike(run, inside), _videos(run)
            if seconds and videos and self._videos:
                found.append(seconds * self._videos / videos)
        return mean(found) if found else None

    @cached_property
    def _others(self) -> list[Path]:
        runs = sorted(path.parent for path in self.run.parent.glob("*/data.txt"))
        return [run for run in runs if run != self.run]

    @cached_property
    def _videos(self) -> int | None:
        return _videos(self.run)

    def _arch(self, model: str) -> str | None:
        return _value(self.run / "first_level" / model / "config.json", "arch")


def _videos(run: Path) -> int | None:
    return _value(run / "store" / "manifest.json", "videos")


def _seconds(records: list[Path]) -> float | None:
    """Mean of the records that there are."""
    found = [seconds for path in records if (seconds := _value(path, "seconds")) is not None]
    return mean(found) if found else None


def _value(path: Path, key: str):
    """One value of a JSON file; None when the file is absent, damaged or silent about it."""
    try:
        return read_json(path).get(key)
    except InputError:
        return None


def clock(seconds: float) -> str:
    """1:05 (minutes), 2:01:05 (hours)."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
