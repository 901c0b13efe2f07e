"""What `make status` prints: per stage what is done, stale and missing; what `make all` would run.

    python -m jobs.status artifacts/small --jobs 2

As make itself decides it (jobs/dry_run.py); starts no job and writes nothing. Durations are those
of jobs that were measured (jobs/durations.py); a plan's seconds are the jobs' sum over --jobs.
"""

from collections import Counter
from pathlib import Path

from jobs.dry_run import Job, Make
from jobs.durations import Durations, clock
from yt8m.base import cli
from yt8m.base.tables import table

TITLES = ["stage", "jobs", "done", "stale", "missing", "to do takes about"]
GOAL = "all"
QUIET = "report"  # verbs that only gather and print
SHOWN = 8  # reasons


def main(run: Path, *, make: str = "make", jobs: int = 1) -> None:
    """Prints the state of the run folder RUN; --make: the program; --jobs: how many at once."""
    caller = Make(make, (GOAL,), jobs)
    every, snapshots = caller.every_job()
    changing = caller.changing(snapshots)
    wanted = [job for job in caller.wanted(changing) if job.stage != QUIET]
    every = [job for job in every if job.stage != QUIET]
    durations = Durations(run)
    expected = {job.target: durations.expected(job) for job in wanted}
    cli.log("\n".join(table(TITLES, rows(every, wanted, expected))))
    for line in [*reasons(wanted, changing, every), *conclusion(wanted, expected, jobs)]:
        cli.log(line)


def rows(every: list[Job], wanted: list[Job], expected: dict) -> list[list[str]]:
    """A row for each stage; a job that make would run is stale if its file is there."""
    stages = list(dict.fromkeys(job.stage for job in [*every, *wanted]))
    total = Counter(job.stage for job in every)
    stale = Counter(job.stage for job in wanted if job.target.exists())
    todo = Counter(job.stage for job in wanted)
    return [
        [
            stage,
            *map(str, (total[stage], total[stage] - todo[stage], stale[stage])),
            str(todo[stage] - stale[stage]),
            takes([expected[job.target] for job in wanted if job.stage == stage], 1),
        ]
        for stage in stages
    ]


def takes(seconds: list[float | None], jobs: int) -> str:
    """The sum of what is known over `jobs` at once, and how many are not known."""
    known = [value for value in seconds if value is not None]
    unknown = len(seconds) - len(known)
    if not seconds:
        return "-"
    if not known:
        return "unknown"
    return clock(sum(known) / jobs) + (f" and {unknown} unknown" if unknown else "")


def reasons(wanted: list[Job], changing: list[str], every: list[Job]) -> list[str]:
    """Why the stale are stale: settings that differ, and files newer than what is made of them."""
    made = {str(job.target) for job in [*wanted, *every]}
    newer = Counter(
        path
        for job in wanted
        if job.target.exists()
        for path in job.because
        if path not in made and path not in changing
    )
    lines = [f"settings differ: {path}" for path in changing if Path(path).exists()]
    lines += [f"newer than {count} that use it: {path}" for path, count in newer.items()]
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {more} more such files"] if more > 0 else [])


def conclusion(wanted: list[Job], expected: dict, jobs: int) -> list[str]:
    """What the next command does."""
    if not wanted:
        return [f"make {GOAL}: nothing to do"]
    first = " ".join(wanted[0].command.split())
    text = takes([expected[job.target] for job in wanted], jobs)
    text = "nothing like them was measured" if text == "unknown" else f"about {text}"
    return [f"make {GOAL}: {len(wanted)} jobs, {jobs} at once, {text}", f"first: {first}"]


if __name__ == "__main__":
    cli.run(main)
