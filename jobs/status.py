"""What `make status` prints: per stage what is done, stale and missing; what `make all` would run.

    make status PLAN=small

It plans as make does (jobs/plan.py), starts no job and writes no result. Durations are those of
jobs that were measured (jobs/durations.py); a plan's seconds are the jobs' sum over JOBS.
"""

from collections import Counter

from jobs.durations import Durations, clock
from jobs.freshness import Freshness
from jobs.job import Job
from jobs.planner import Planned, plan
from jobs.rules import recipe_of
from jobs.settings import Settings
from yt8m.base import cli
from yt8m.base.receipts import commit
from yt8m.base.tables import table

TITLES = ["stage", "jobs", "done", "stale", "missing", "to do takes about"]
GOAL = "all"
QUIET = "report"  # jobs that only gather and print
SHOWN = 8  # reasons


def main() -> None:
    """Prints the state of the run that the environment names."""
    planned = plan(Settings.read())
    every = planned.graph.of_goal(GOAL)
    jobs = [job for job in every if job.stage != QUIET]
    wanted, all_wanted = planned.state.to_run(jobs), planned.state.to_run(every)
    durations = Durations(planned.graph, planned.state.receipts, planned.settings.artifacts)
    expected = {job.name: durations.estimate(job) for job in wanted}
    cli.log("\n".join(table(TITLES, rows(jobs, wanted, expected))))
    for line in [
        *reasons(planned.state, jobs),
        *older(planned.state, jobs),
        *conclusion(planned, wanted, all_wanted, expected),
    ]:
        cli.log(line)


def rows(jobs: list[Job], wanted: list[Job], expected: dict) -> list[list[str]]:
    """A row for each stage; a job that make would run is stale if its file is there."""
    total = Counter(job.stage for job in jobs)
    stale = Counter(job.stage for job in wanted if job.target.exists())
    todo = Counter(job.stage for job in wanted)
    return [
        [
            stage,
            *map(str, (total[stage], total[stage] - todo[stage], stale[stage])),
            str(todo[stage] - stale[stage]),
            sum_of([expected[job.name] for job in wanted if job.stage == stage], 1),
        ]
        for stage in total
    ]


def sum_of(seconds: list[float | None], jobs: int) -> str:
    """The sum of what is known over `jobs` at once, and how many are not known."""
    known = [value for value in seconds if value is not None]
    unknown = len(seconds) - len(known)
    if not seconds:
        return "-"
    if not known:
        return "unknown"
    return clock(sum(known) / jobs) + (f" and {unknown} unknown" if unknown else "")


def reasons(state: Freshness, jobs: list[Job]) -> list[str]:
    """Why jobs whose files are there are made again, most frequent first."""
    found = Counter(
        reason
        for job in jobs
        if job.name in state.reasons and job.target.exists()
        for reason in state.reasons[job.name]
        if not reason.startswith("made again")
    )
    lines = [f"{reason} ({count} jobs)" if count > 1 else reason for reason, count in found.items()]
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"and {more} more such reasons"] if more > 0 else [])


def older(state: Freshness, jobs: list[Job]) -> list[str]:
    """Which results another commit of the code made; editing code makes nothing stale."""
    now = commit()
    found = Counter(
        state.receipts[job.name].get("commit")
        for job in jobs
        if job.name in state.receipts and job.name not in state.reasons
    )
    return [
        f"made by other code: {count} jobs by {other}; the code is now {now}"
        for other, count in found.items()
        if now and other and other != now
    ]


def conclusion(
    planned: Planned, wanted: list[Job], all_wanted: list[Job], expected: dict
) -> list[str]:
    """What the next command does; all_wanted: with the tables and the page."""
    if not wanted:
        made = ", ".join(str(job.target) for job in all_wanted)
        return [f"make {GOAL}: {f'makes {made}' if made else 'nothing to do'}"]
    slots = planned.settings.jobs
    text = sum_of([expected[job.name] for job in wanted], slots)
    text = "nothing like them was measured" if text == "unknown" else f"about {text}"
    first = recipe_of(wanted[0], planned.settings).split("-m ", 1)[1]
    return [
        f"make {GOAL}: {len(wanted)} jobs, {slots} at once, {text}",
        f"first: python -m {first}",
    ]


if __name__ == "__main__":
    cli.run(main)
