"""A job: one command of make, what it reads and everything that it writes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from yt8m.base.cli import InputError


@dataclass(frozen=True)
class Job:
    """One command.

    name: unique, by the folders that it writes ("first_level/linear/fold3"); verb: the module that
    runs; inputs: files whose content decides what comes out; outputs: the files that it writes, the
    last one first; folders: those of which it writes every file; settings: values that decide
    beside the inputs; records: a folder of records whose content decides; kin: names of groups
    whose jobs take about as long, the nearest first; alone: it may use all cores; trains: it would
    use a GPU; after: files that have to be there first, but decide nothing.
    """

    name: str
    stage: str
    verb: str
    arguments: tuple[str, ...]
    inputs: tuple[Path, ...]
    outputs: tuple[Path, ...]
    folders: tuple[Path, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    records: Path | None = None
    kin: tuple[str, ...] = ()
    alone: bool = False
    trains: bool = False
    after: tuple[Path, ...] = ()

    @property
    def target(self) -> Path:
        """The output that is complete last: make's name for the job."""
        return self.outputs[0]

    @property
    def title(self) -> str:
        """For people: "linear fold3" of first_level."""
        return " ".join(self.name.split("/")[1:])

    @property
    def command(self) -> list[str]:
        return [self.verb, *self.arguments]


@dataclass(frozen=True)
class Graph:
    """All jobs of a plan, each after those that it needs; goals: what people ask for -> names."""

    jobs: tuple[Job, ...]
    goals: Mapping[str, tuple[str, ...]]

    @cached_property
    def by_name(self) -> dict[str, Job]:
        return {job.name: job for job in self.jobs}

    @cached_property
    def makers(self) -> dict[Path, Job]:
        """Which job writes a file."""
        found: dict[Path, Job] = {}
        for job in self.jobs:
            for path in job.outputs:
                if path in found:
                    raise AssertionError(f"{path}: made by {found[path].name} and {job.name}")
                found[path] = job
        return found

    @cached_property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """The jobs whose outputs a job reads, by name."""
        return {
            job.name: tuple(
                dict.fromkeys(
                    self.makers[p].name for p in (*job.inputs, *job.after) if p in self.makers
                )
            )
            for job in self.jobs
        }

    def of_goal(self, goal: str) -> list[Job]:
        """The jobs that a goal needs, in order. InputError when it is no goal."""
        if goal not in self.goals:
            raise InputError(f"{goal}: not a goal of jobs; goals: {', '.join(self.goals)}")
        return self.with_needs(self.goals[goal])

    def with_needs(self, names: Iterable[str]) -> list[Job]:
        """These jobs and all that they need, in order."""
        wanted, waiting = set(), list(names)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted.add(name)
                waiting.extend(self.needs[name])
        return [job for job in self.jobs if job.name in wanted]
