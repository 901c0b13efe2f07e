"""How long a job will take, from what jobs like it took: the seconds in their receipts.

A job's own receipt comes first; then those of its nearest kin in this run (the same model's other
folds, then the same architecture); then those of its kin in the other runs beside this one, in
proportion to their numbers of videos. Nothing measured is None: no guess. Start-up is not counted.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from statistics import mean

from jobs.job import Graph, Job
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.paths import Artifacts


class Durations:
    """Of the jobs of a graph. receipts: by job, those that there are."""

    def __init__(self, graph: Graph, receipts: Mapping[str, dict], files: Artifacts):
        self.receipts, self.files = receipts, files
        self.seconds: dict[str, list[float]] = {}  # by kin
        for job in graph.jobs:
            if job.name in receipts:
                self._add(job.kin, receipts[job.name])

    def _add(self, kin: Iterable[str], receipt: dict) -> None:
        if isinstance(receipt.get("seconds"), int | float):
            for name in kin:
                self.seconds.setdefault(name, []).append(receipt["seconds"])

    def estimate(self, job: Job) -> float | None:
        """Seconds on as many threads as last time; None where nothing like it was measured."""
        if job.name in self.receipts:
            return self.receipts[job.name].get("seconds")
        for kin in job.kin:
            if kin in self.seconds:
                return mean(self.seconds[kin])
        for kin in job.kin:
            if kin in self._elsewhere:
                return mean(self._elsewhere[kin])
        return None

    @cached_property
    def _elsewhere(self) -> dict[str, list[float]]:
        """Seconds by kin in the runs beside this one, as many as for this one's videos."""
        found: dict[str, list[float]] = {}
        own = _value(self.files.manifest, "videos")
        for path in sorted(self.files.run.parent.glob(f"*/{self.files.jobs.name}")):
            if path.parent == self.files.run or not own:
                continue
            planned = _read(path)
            files = Artifacts(path.parent, Path(planned.get("store", path.parent)))
            videos = _value(files.manifest, "videos")
            for job in planned.get("jobs", []) if videos else []:
                seconds = _value(files.receipt(job["name"]), "seconds")
                for kin in job["kin"] if seconds is not None else []:
                    found.setdefault(kin, []).append(seconds * own / videos)
        return found


def _read(path: Path) -> dict:
    """A JSON object; empty when the file is absent or damaged."""
    try:
        found = read_json(path)
    except InputError:
        return {}
    return found if isinstance(found, dict) else {}


def _value(path: Path, key: str):
    """One value of a JSON object; None when it is not there."""
    return _read(path).get(key)


def clock(seconds: float) -> str:
    """1:05 (minutes), 2:01:05 (hours)."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
