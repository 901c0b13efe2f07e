"""What make would run: its jobs, as the dry run of the Makefile itself tells them.

There is no second copy of the rules. A dry run alone would take every snapshot of settings for
changed, since make cannot know what their recipes print; so those recipes are asked first, in a
mode that compares and writes nothing (YT8M_COMPARE in the Makefile and in base/config.py), and the
dry run is then told which of them will change (-W), and to leave the others (-o FORCE).
"""

import os
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from yt8m.base.cli import InputError
from yt8m.base.config import COMPARE

TRACE = re.compile(r"^\S+:\d+: (?:update )?target '(?P<target>[^']+)'(?P<why>.*)$")
VERB = re.compile(r" -m (?P<module>\w+(?:\.\w+)+)(?: |$)")
ENVIRONMENT = ".venv/"
NOT_THE_CHILDS = ("MAKELEVEL", "MAKE_TERMOUT", "MAKE_TERMERR", "MFLAGS", "MAKEOVERRIDES")
FOLDERS = ("first_level", "stacking", "distill")  # of stages, in a run's folder
# Verbs that make a file of no such folder, and whose stage is not their package.
STAGES = {
    "yt8m.records.synthetic": "folds",
    "distill.export.write": "export",
    "distill.export.score": "export",
}


@dataclass(frozen=True)
class Job:
    """One command of make that is a verb of this project, and the file that it makes."""

    target: Path
    module: str  # such as first_level.train
    command: str  # as make prints it before it runs it
    because: tuple[str, ...] = ()  # prerequisites that are newer; none when the target is absent

    @property
    def stage(self) -> str:
        folder = self._folder()
        return folder[0] if folder else STAGES.get(self.module, self.module.split(".")[0])

    @property
    def name(self) -> str:
        """Short: "linear fold3", "rows fold3", "extractor_a", "assign"."""
        verb, inside = self.module.split(".")[-1], self._folder()[1:]
        if verb == "train" and inside:
            return " ".join(inside)
        return " ".join([verb, *(part for part in inside if part != verb)])

    def _folder(self) -> tuple[str, ...]:
        """The target's folder from its stage's on; none when it is in no stage's."""
        parts = self.target.parts[:-1]
        starts = [i for i, part in enumerate(parts) if part in FOLDERS]
        return parts[starts[-1] :] if starts and not self.module.startswith("report.") else ()


@dataclass(frozen=True)
class Make:
    """How to call make again as it was called: MAKEFLAGS holds its settings and flags."""

    program: str
    goals: tuple[str, ...]
    jobs: int  # said again: its default, nproc, obeys the OMP_NUM_THREADS that make has set

    def environment(self, **more: str) -> dict[str, str]:
        """That of the first make, as if it had not called us: no job server, no level."""
        kept = {key: value for key, value in os.environ.items() if key not in NOT_THE_CHILDS}
        flags, dashes, settings = kept.pop("MAKEFLAGS", "").partition(" -- ")
        words = [word for word in flags.split(" ") if not word.startswith("--jobserver")]
        return kept | {"MAKEFLAGS": " ".join(words) + dashes + settings} | more

    def command(self, *arguments: str) -> list[str]:
        return [self.program, "--no-print-directory", f"JOBS={self.jobs}", *arguments]

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess:
        """Calls make and waits; what it says is in English."""
        environment = self.environment(LC_ALL="C", **more)
        return subprocess.run(
            self.command(*arguments), env=environment, capture_output=True, text=True
        )

    def dry(self, *options: str) -> tuple[list[Job], list[str]]:
        """(the jobs, the other files that have a recipe) of a dry run with these options."""
        done = self.run("-n", "--trace", *options, *self.goals)
        if done.returncode:
            raise InputError(said(done))
        return read_trace(done.stdout.splitlines())

    def every_job(self) -> tuple[list[Job], list[str]]:
        """(all jobs that the goals have, the snapshots that they look at), done or not."""
        jobs, others = self.dry("--always-make")
        return jobs, [path for path in others if "/" in path and not path.startswith(ENVIRONMENT)]

    def changing(self, snapshots: Iterable[str]) -> list[str]:
        """Those of the snapshots, and of the files written with them, that would change."""
        done = self.run("-s", *snapshots, **{COMPARE: "1"})
        if done.returncode:
            raise InputError(said(done))
        return done.stdout.split("\n")[:-1]

    def wanted(self, changing: Iterable[str]) -> list[Job]:
        """The jobs that make would run now, in its order."""
        options = [word for path in changing for word in ("-W", path)]
        return self.dry("-o", "FORCE", *options)[0]


def read_trace(lines: Iterable[str]) -> tuple[list[Job], list[str]]:
    """(jobs, targets without one) from the output of `make -n --trace`."""
    jobs, others, target, because = [], [], None, ()
    for line in lines:
        if found := TRACE.match(line):
            target = found["target"]
            _, _, newer = found["why"].partition("due to: ")
            because = tuple(newer.split())
            others.append(target)
        elif target and (found := VERB.search(line)) and not found["module"].endswith(".config"):
            jobs.append(Job(Path(target), found["module"], line, because))
    made = {str(job.target) for job in jobs}
    return jobs, [path for path in others if path not in made]


def said(done: subprocess.CompletedProcess) -> str:
    """What went wrong, in one line: the errors of verbs, or else of make itself."""
    lines = done.stderr.splitlines()
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return "; ".join(errors) or " ".join(lines) or f"make ended with status {done.returncode}"
