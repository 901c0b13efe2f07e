"""The live view: calls make with its output in a pipe, and draws its jobs on the terminal.

    python -m jobs.live all --make make

The Makefile starts it when make runs on a terminal. All that make and its jobs print goes to
artifacts/<plan>/make.log; what is on stderr, and every line of stdout that is not a job's "[name]
..." is shown as well, above the view. It ends with make's exit status.

make is in this process's group, so that Ctrl-C reaches it and its jobs just as without the view;
SIGTERM is passed on to it, and it is ended if whoever called this process is gone.
"""

import os
import queue
import signal
import subprocess
import sys
import threading
import time

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from jobs.durations import Durations, clock
from jobs.farm import Farm, Running
from jobs.job import Job
from jobs.planner import plan
from jobs.rules import recipe_of
from jobs.settings import Settings
from yt8m.base import cli

LOOK_SECONDS = 0.25
BAR = 24  # characters
NOT_THE_CHILDS = ("MAKELEVEL", "MAKE_TERMOUT", "MAKE_TERMERR", "MFLAGS", "MAKEOVERRIDES")


def main(goals: list[str], *, make: str = "make") -> None:
    """Runs make for GOALS, for the run that the environment names."""
    settings = Settings.read()
    settings.run.mkdir(parents=True, exist_ok=True)
    # JOBS is said again: its default, nproc, obeys the OMP_NUM_THREADS that make has set.
    command = [make, "--silent", "--no-print-directory", f"JOBS={settings.jobs}", *goals]
    with open(settings.artifacts.log, "a") as log:
        log.write(f"\n# {time.strftime('%Y-%m-%d %H:%M:%S')}: make {' '.join(goals)}\n")
        sys.exit(watch(command, farm_of(settings, goals), settings, log))


def farm_of(settings: Settings, goals: list[str]) -> Farm:
    """The jobs that make will run. If it cannot tell, none: make itself will say why."""
    try:
        found = plan(settings)
        jobs = found.graph.with_needs(name for goal in goals for name in found.graph.goals[goal])
    except (cli.InputError, KeyError):
        return Farm(settings.artifacts, [], None, 1)
    durations = Durations(found.graph, found.state.receipts, settings.artifacts)
    return Farm(settings.artifacts, found.state.to_run(jobs), durations, settings.jobs)


def environment() -> dict[str, str]:
    """That of the first make, as if it had not called us: no job server, no level."""
    kept = {key: value for key, value in os.environ.items() if key not in NOT_THE_CHILDS}
    flags, dashes, settings = kept.pop("MAKEFLAGS", "").partition(" -- ")
    words = [word for word in flags.split(" ") if not word.startswith("--jobserver")]
    return kept | {"MAKEFLAGS": " ".join(words) + dashes + settings}


def watch(command: list[str], farm: Farm, settings: Settings, log) -> int:
    """Runs make to its end; its exit status."""
    signal.signal(signal.SIGINT, lambda *_: None)  # the terminal sends it to make as well
    parent = os.getppid()
    make = subprocess.Popen(
        command,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: make.terminate())
    lines = reading(make)
    console = Console(highlight=False, emoji=False, markup=False)
    view = View(farm, console)
    with Live(view, console=console, auto_refresh=False, transient=True) as live:
        while view.take(lines, log):
            if os.getppid() != parent:
                make.terminate()
            for job in farm.look():
                log.write(command_of(job, settings) + "\n")
            live.refresh()
        farm.look()  # at what ended with the last lines
        live.refresh()
    status = make.wait()
    return status if status >= 0 else 128 - status


def command_of(job: Job, settings: Settings) -> str:
    """The command that make starts a job by, as it would print it."""
    values = {name: os.environ.get(f"YT8M_{name}", "") for name in ("RUN", "PYTHON", "TRAINER")}
    values["TRAINER"] = values["TRAINER"] or values["PYTHON"]
    text = recipe_of(job, settings)
    for name, value in values.items():
        text = text.replace(f"$({name})", value)
    return text.replace("$$", "$").strip()


def reading(make: subprocess.Popen) -> queue.Queue:
    """A queue of (is it stderr, line), and None when either stream has ended."""
    lines = queue.Queue()

    def read(stream, is_error):
        for line in stream:
            lines.put((is_error, line.rstrip("\n")))
        lines.put(None)

    for stream, is_error in ((make.stdout, False), (make.stderr, True)):
        threading.Thread(target=read, args=(stream, is_error), daemon=True).start()
    return lines


class View:
    """What is drawn, and the lines that go past above it."""

    def __init__(self, farm: Farm, console: Console):
        self.farm, self.console = farm, console
        self.last = ""
        self.open = 2  # streams

    def take(self, lines: queue.Queue, log) -> bool:
        """Takes what has come within LOOK_SECONDS; False when there is nothing to come."""
        until = time.monotonic() + LOOK_SECONDS
        while self.open and (wait := until - time.monotonic()) > 0:
            try:
                item = lines.get(timeout=wait)
            except queue.Empty:
                break
            if item is None:
                self.open -= 1
                continue
            is_error, line = item
            log.write(line + "\n")
            self.line(line, is_error)
        log.flush()
        return self.open > 0

    def line(self, line: str, is_error: bool) -> None:
        """Shows a line; of a job's own lines only the last, below."""
        if not is_error and line.startswith("["):
            self.last = line
            return
        self.console.print(Text(line), soft_wrap=True)

    def __rich__(self) -> Group:
        farm = self.farm
        grid = Table.grid(padding=(0, 1))
        for column in range(6):
            grid.add_column(no_wrap=True, justify="left" if column < 2 else "right")
        running = sorted(farm.running.values(), key=lambda job: job.since)
        room = max(self.console.height - 4, 1)
        for job in running[:room]:
            grid.add_row(*cells(job))
        return Group(
            grid, *(Text(line, overflow="ellipsis", no_wrap=True) for line in self.texts())
        )

    def texts(self) -> list[str]:
        """A line about all jobs, and the last one that a job printed."""
        farm = self.farm
        left, unknown = farm.left()
        parts = [
            f"{len(farm.ended)} of {len(farm.wanted)} jobs done",
            f"{len(farm.failed)} failed" if farm.failed else "",
            clock(time.time() - farm.started),
            f"{clock(left)} left" if left else "",
            f"{unknown} jobs not yet measured" if unknown else "",
        ]
        if worst := farm.worst():
            parts.append("worst model {} {:.4f}".format(*worst))
        return [" | ".join(part for part in parts if part), self.last]


def cells(running: Running) -> list:
    """The columns of a running job: name, bar, epochs, GAP so far, speed, time left."""
    name = f"{running.job.stage} {running.job.title}"
    if running.share is None:
        bar = ProgressBar(total=None, width=BAR, pulse=True)
        return [name, bar, "", "", "", clock(time.time() - running.since)]
    last = running.epochs[-1]
    return [
        name,
        ProgressBar(total=last["epochs"], completed=last["epoch"], width=BAR),
        f"{last['epoch']}/{last['epochs']}",
        f"GAP {last['gap']:.4f}" if "gap" in last else f"loss {last['loss']:.4f}",
        f"{last['examples_per_s']:,.0f}/s",
        f"{clock(last['left'])} left",
    ]


if __name__ == "__main__":
    cli.run(main)
