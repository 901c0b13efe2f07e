"""What a person gives to make: read once, checked, and remembered from run to run as data.

The Makefile passes its settings on in the environment (YT8M_DATA, ...), never through a shell, and
names those that were given on the command line in YT8M_GIVEN. What records a run has, and where its
store lies (REMEMBERED), is kept in artifacts/<plan>/given.json, so that a single stage can be run
again without naming it.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from folds.related.id_files import SHARE, share_of
from jobs.given.memory import REMEMBERED, read_given
from jobs.given.numbers import number, whole
from yt8m.base import locks
from yt8m.base.cli import InputError
from yt8m.base.files import check_output
from yt8m.base.paths import CANARY, FLIPS, REHEARSAL, Artifacts
from yt8m.records.description import check_exists, is_shard

PREFIX = "YT8M_"
PLAIN = re.compile(r"[\w./+@][\w./+@-]*")  # names that make can have in rules
DTYPES = ("", "float16", "float32", "int8")


@dataclass(frozen=True)
class Settings:
    """The settings of one call of make.

    given: those of the command line, by name; before: what was remembered; the properties say what
    holds. InputError names a setting, what is wrong with it and what is allowed.
    """

    plan: str
    run: Path
    given: Mapping[str, str]
    before: Mapping[str, str]
    goals: tuple[str, ...] = ()

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> "Settings":
        """Of the environment that the Makefile gives."""
        values = {
            key.removeprefix(PREFIX): value
            for key, value in environment.items()
            if key.startswith(PREFIX)
        }
        given = {name: values.get(name, "") for name in values.get("GIVEN", "").split()}
        for name in ("JOBS", "THREADS"):  # the Makefile has defaults of its own for them
            given.setdefault(name, values.get(name, ""))
        plan, folder = values.get("PLAN", "demo"), values.get("ARTIFACTS", "artifacts")
        for name, value in given.items():
            if not value.isprintable():
                raise InputError(f"{name} {value!r}: a character in it cannot be printed")
        run, own = Path(folder) / plan, Path(folder) / plan.removesuffix(CANARY).removesuffix(FLIPS)
        return cls(plan, run, given, read_given(own), tuple(values.get("GOALS", "").split()))

    @property
    def artifacts(self) -> Artifacts:
        return Artifacts(self.run, self.store)

    @property
    def original(self) -> "Artifacts | None":
        """The files of the run whose labels this one falsifies, for `make canary`; else None."""
        plan = self.plan.removesuffix(CANARY).removesuffix(FLIPS)
        return None if plan == self.plan else Artifacts.of_run(self.run.with_name(plan))

    @property
    def store(self) -> Path:
        """Where the decoded records go; given as nothing, into the run's folder again."""
        if self.original is not None:
            return self.run / "store"
        text = self.given.get("STORE", self._before("STORE"))
        return Path(text) if text else self.run / "store"

    @property
    def generated(self) -> bool:
        """Whether the records are generated ones, of the run's own folder."""
        remembered = not {"demo", "rehearse"} & set(self.goals) and self.before.get("DATA")
        if self.original is not None:
            return True  # its store is made from another one
        generates = self.plan == "demo" or self.rehearses
        return generates and "DATA" not in self.given and not remembered

    @property
    def rehearses(self) -> bool:
        """Whether the plan is another one made small."""
        return self.plan.endswith(REHEARSAL)

    @property
    def needs_no_plan(self) -> bool:
        """Whether all that is asked for is a prediction of given records by a given export."""
        given = self.given.get("EXPORT") and self.given.get("RECORDS")
        return bool(given) and self.goals == ("submission",)

    @property
    def data(self) -> Path:
        """The records. InputError when they were never given."""
        if self.generated:
            return self.artifacts.records
        text = self.given.get("DATA") or self.before.get("DATA")
        if not text:
            raise InputError("DATA is not given; say DATA=<folder of records>")
        return Path(text)

    @property
    def description(self) -> Path | None:
        """The file that describes the records. A DATA that is named is described anew."""
        kept = "" if "DATA" in self.given else self._before("DESCRIPTION")
        text = self.given.get("DESCRIPTION", kept)
        return Path(text) if text else None

    @property
    def unlabelled(self) -> Path | None:
        """Records whose labels are not read; given as nothing, they are given up."""
        text = self.given.get("UNLABELLED", self._before("UNLABELLED"))
        return Path(text) if text else None

    @property
    def holdout(self) -> str:
        """The share of the videos that no stage trains on, as it was written, or a path."""
        text = self.given.get("HOLDOUT") or self._before("HOLDOUT") or SHARE
        share = share_of(text, "HOLDOUT")
        return text if share is None else f"{share:.12g}"

    @property
    def holdout_file(self) -> Path | None:
        """The file of ids of the holdout, or its records; None where HOLDOUT is a share."""
        if share_of(self.holdout, "HOLDOUT") is not None:
            return None
        path = Path(self.holdout)
        if not path.exists():
            text = "no such file or folder; a share (0.1), a file of ids or records are needed"
            raise InputError(f"HOLDOUT {path}: {text}")
        return path

    @property
    def holdout_records(self) -> Path | None:
        """The records that are the holdout, if it has its own."""
        path = self.holdout_file
        return path if path is not None and (path.is_dir() or is_shard(path)) else None

    @property
    def groups(self) -> Path | None:
        """The file that names groups of videos; given as nothing, it is given up."""
        text = self.given.get("GROUPS", self._before("GROUPS"))
        return Path(text) if text else None

    @property
    def skip_bad(self) -> list[str]:
        """The option that leaves out videos with features that no stage takes, if it is wanted."""
        text = self.given.get("SKIP_BAD", self._before("SKIP_BAD"))
        if text not in ("", "0", "1"):
            raise InputError(f"SKIP_BAD {text}: 0 or 1 is allowed")
        return ["--skip-bad"] * (text == "1")

    @property
    def budget_mb(self) -> str:
        text = self.given.get("BUDGET_MB") or "1000"
        if number("BUDGET_MB", text) <= 0:
            raise InputError(f"BUDGET_MB {text}: more than 0 is needed")
        return f"{number('BUDGET_MB', text):.12g}"

    @property
    def dtype(self) -> str:
        """How an export's weights are stored; "": as the plan says."""
        text = self.given.get("DTYPE", "")
        if text not in DTYPES:
            raise InputError(f"DTYPE {text}: not supported; allowed: {', '.join(DTYPES[1:])}")
        return text

    @property
    def videos(self) -> int:
        """Videos in the report's browser of predictions."""
        return whole("VIDEOS", self.given.get("VIDEOS") or "200", 0)

    @property
    def jobs(self) -> int:
        return whole("JOBS", self.given.get("JOBS") or "1", 1)

    @property
    def threads(self) -> int:
        return whole("THREADS", self.given.get("THREADS") or "1", 1)

    @property
    def export(self) -> Path:
        return Path(self.given["EXPORT"]) if self.given.get("EXPORT") else self.artifacts.export

    @property
    def out(self) -> Path:
        if not self.given.get("OUT"):
            return self.artifacts.submission
        return check_output(Path(self.given["OUT"]), "OUT ")

    def claim(self) -> None:
        """Locks the run for the make that started this process, which names itself and those that
        started it in the environment. InputError when another one works on it."""
        family = list(map(int, os.environ.get("YT8M_MAKE", "").split()))
        if family:
            goals = os.environ.get("YT8M_GOALS", "")
            locks.claim(self.artifacts.lock, family[-1], f"make {goals} PLAN={self.plan}", family)

    def to_remember(self) -> dict[str, str]:
        """What given.json is to hold."""
        return {
            "DATA": "" if self.generated else str(self.data),
            "DESCRIPTION": str(self.description or ""),
            "UNLABELLED": str(self.unlabelled or ""),
            "HOLDOUT": self.holdout,
            "GROUPS": str(self.groups or ""),
            "SKIP_BAD": "1" * len(self.skip_bad),
            "STORE": "" if self.store == self.run / "store" else str(self.store),
        }

    def changes(self) -> list[str]:
        """Of what is remembered, what this call says differently: "HOLDOUT is 0.2 and was 0.1"."""
        now = self.to_remember()
        return [
            f"{name} is {now[name] or 'nothing'} and was {self.before[name] or 'nothing'}"
            for name in REMEMBERED
            if name in self.before and self.before[name] != now[name]
        ]

    def check(self) -> None:
        """InputError on the first setting that cannot be used; nothing was written yet."""
        numbers = ("budget_mb", "videos", "jobs", "threads")
        for name in (*numbers, "holdout_file", "skip_bad", "dtype", "out"):
            getattr(self, name)
        for name in ("DATA", "UNLABELLED", "RECORDS"):
            if self.given.get(name):
                check_exists(Path(self.given[name]), f"{name} ")
        for name, path in (("DESCRIPTION", self.description), ("GROUPS", self.groups)):
            if path is not None and not path.is_file():
                what = "not a" if path.exists() else "no such"
                raise InputError(f"{name} {path}: {what} file")
        if self.store != self.run / "store" and not PLAIN.fullmatch(str(self.store)):
            raise InputError(
                f"STORE {self.store}: make cannot name files there; choose a folder of letters, "
                "digits and . / _ + @ -, without - at its beginning"
            )

    def _before(self, name: str) -> str:
        return self.before.get(name, "")
