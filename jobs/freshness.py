"""Which jobs make has to run, and why: content decides.

A job is fresh when its receipt names the digests that its inputs have now and the settings of now,
and when all files that it wrote are there with the seals of then. What needs a job that is not
fresh is not fresh either. Times decide nothing; code is no input.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jobs.job import Graph, Job
from yt8m.base.cli import InputError
from yt8m.base.digests import Digests, digest_of_text, same_seal
from yt8m.base.files import read_json
from yt8m.base.paths import Artifacts

DAMAGED = "damaged: "  # begins a reason


@dataclass(frozen=True)
class Freshness:
    """reasons: by job, why it is to be run; none of those that are fresh. receipts: of all jobs
    that have one."""

    reasons: Mapping[str, tuple[str, ...]]
    receipts: Mapping[str, dict]

    def to_run(self, jobs: Iterable[Job]) -> list[Job]:
        """Those of the jobs that make will run."""
        return [job for job in jobs if job.name in self.reasons]


def look(
    graph: Graph,
    files: Artifacts,
    snapshots: Mapping[Path, str],
    digests: Digests,
    made_otherwise: Callable[[Job], Collection[Path]],
) -> Freshness:
    """Compares all jobs with their receipts.

    snapshots: what files of settings will hold when make runs; made_otherwise: which outputs of a
    job differ for the records of now: where only classes are called otherwise, one does.
    """
    expected = {path: digest_of_text(text) for path, text in snapshots.items()}
    reasons: dict[str, tuple[str, ...]] = {}
    receipts: dict[str, dict] = {}
    differ: set[Path] = set()  # outputs of jobs that are to be run
    for job in graph.jobs:  # each after those that it needs
        receipt = receipt_of(files, job)
        if receipt is not None:
            receipts[job.name] = receipt
        again = dict.fromkeys(graph.makers[path].name for path in job.inputs if path in differ)
        found = [f"made again: {name}" for name in again]
        found += reasons_of(job, receipt, files, expected, digests)
        outputs = job.outputs
        if not found and job.records is not None and (outputs := made_otherwise(job)):
            found = [f"changed: {job.records}"]
        if found:
            reasons[job.name] = tuple(found)
            differ.update(outputs)
    return Freshness(reasons, receipts)


def receipt_of(files: Artifacts, job: Job) -> dict | None:
    """None when there is none, or one that cannot be read: the job then runs again."""
    path = files.receipt(job.name)
    if not path.is_file():
        return None
    try:
        found = read_json(path)
    except InputError:
        return None
    return (
        found
        if isinstance(found, dict) and {"inputs", "outputs", "settings"} <= found.keys()
        else None
    )


def reasons_of(
    job: Job,
    receipt: dict | None,
    files: Artifacts,
    expected: Mapping[Path, str],
    digests: Digests,
) -> list[str]:
    """Why a job is to be run, whatever becomes of those that it needs. expected: the digests that
    snapshots will have."""
    absent = [path for path in job.outputs if not path.exists()]
    if absent:
        return [f"missing: {absent[0]}"]
    if receipt is None:
        return ["missing: its receipt"]
    for text, seal in receipt["outputs"].items():
        path = files.find(text)
        found = digests.seal(path)
        if not same_seal(found, seal):
            return [f"{DAMAGED}{path}" if found else f"missing: {path}"]
    now = [expected.get(path) or digests[path] for path in job.inputs]
    before = list(receipt["inputs"].values())
    if len(now) != len(before):
        return ["other inputs"]
    found = [
        f"changed: {path}"
        for path, new, old in zip(job.inputs, now, before, strict=True)
        if new != old
    ]
    settings, old = dict(job.settings), receipt["settings"]
    names = dict.fromkeys((*settings, *old))  # an option that is not given any more counts, too
    found += [f"setting: {name}" for name in names if settings.get(name) != old.get(name)]
    return found
