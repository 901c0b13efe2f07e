"""What the jobs of all stages are planned from."""

from dataclasses import dataclass
from pathlib import Path

from jobs.job import Job
from jobs.plans import Plan
from jobs.settings import Settings
from yt8m.base.paths import Artifacts
from yt8m.data.splits import NUM_FOLDS

FOLDS = range(NUM_FOLDS)


@dataclass(frozen=True)
class Context:
    """A plan and the settings of this call of make."""

    plan: Plan
    settings: Settings

    @property
    def files(self) -> Artifacts:
        return self.settings.artifacts

    @property
    def threads(self) -> list[str]:
        """The option for the threads of a job."""
        return ["--threads", str(self.settings.threads)]

    @property
    def all_threads(self) -> list[str]:
        """Of a job that runs alone at the end of a chain."""
        return ["--threads", str(self.settings.threads * self.settings.jobs)]

    @property
    def also(self) -> list:
        """The option for soft labels of unlabelled videos, where there are any."""
        labels = self.files.unlabelled_soft_labels
        return ["--unlabelled", labels] if self.settings.unlabelled else []


def job(name: str, verb: str, arguments: list, inputs: list, outputs: list, **more) -> Job:
    """A job whose arguments are whatever has a text; its stage is the first part of its name."""
    texts = tuple(map(str, arguments))
    return Job(name, name.split("/")[0], verb, texts, tuple(inputs), tuple(outputs), **more)


def in_folder(folder: Path, *names: str) -> list[Path]:
    return [folder / name for name in names]
