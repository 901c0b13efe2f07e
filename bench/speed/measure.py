"""Times contestants in turns and makes figures of the times; where and when they were taken."""

import datetime
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from yt8m.base import processor
from yt8m.base.receipts import commit

Timings = dict[str, tuple[float, float]]  # contestant -> least (wall, CPU) seconds


@dataclass(frozen=True)
class Result:
    """One line of the table.

    value: a ratio, or a figure in `unit`; goal: the least value wanted, or the most with `most`;
    None without a goal; timings: the times behind a ratio.
    """

    name: str
    value: float
    unit: str = "x"
    goal: float | None = None
    most: bool = False
    note: str = ""
    timings: Timings = field(default_factory=dict)

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value <= self.goal if self.most else self.value >= self.goal


def in_turns(
    contestants: Mapping[str, Callable[[], object]], seconds: float, rounds: int = 3
) -> Timings:
    """Runs A, B, A, B ... for about `seconds`, at least `rounds` times after one to warm up.

    It keeps the least time of each: disturbances only add time, and turns share them.
    """
    for run in contestants.values():
        run()
    best: Timings = {}
    started, done = time.perf_counter(), 0
    while done < rounds or time.perf_counter() - started < seconds:
        for name, run in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            spent = (time.perf_counter() - wall, time.process_time() - cpu)
            before = best.get(name, spent)
            best[name] = (min(before[0], spent[0]), min(before[1], spent[1]))
        done += 1
    return best


def ratio(name: str, timings: Timings, ours: str, theirs: str, goal=None, note: str = "") -> Result:
    """How many times faster `ours` is than `theirs`, by wall time; the note also by CPU time."""
    wall, cpu = (timings[theirs][i] / timings[ours][i] for i in (0, 1))
    text = f"{note}; " if note else ""
    return Result(name, wall, "x", goal, note=f"{text}by CPU time {cpu:.2f} x", timings=timings)


def circumstances() -> dict:
    """Commit, date, machine and load of a measurement."""
    return {
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {processor.name()}",
        "load": round(os.getloadavg()[0], 2),  # of the last minute; above the cores: disturbed
    }
