"""Measures options of a student on videos that choices may be made by.

    make stacking PLAN=small ARTIFACTS=tuning HOLDOUT=0.4 DATA=...
    cd bench/experiments
    python -m bench.experiments.students student_options tuning/small OUT --quoted 0.1
    python -m bench.experiments.students paper_student_options tuning/small OUT --part student

Every TOML of a folder is a plan's distill TOML. Each trains its ResNetLike, or the paper's student,
on the soft labels of a run, every part in a process of its own on one thread. Folds cannot judge it
(docs/distill.md, "The leak"), and the quoted holdout must not. So the run holds out more videos,
and those that HOLDOUT=--quoted would hold out are left out. Settings that agree in what decides the
extractors share them. Finished parts in OUT are kept. The table is printed, and written as
OUT/table.md.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.experiments.jobs import run_all, run_verb
from distill.config import DistillConfig
from distill.out_of_fold import extractor_files
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.config import canonical, read_toml, write_snapshot
from yt8m.base.files import fingerprint, read_json, write_json
from yt8m.base.paths import CONFIG, MANIFEST, REPORT, Artifacts, fold_folder
from yt8m.base.tables import publish, table
from yt8m.data.splits import HOLDOUT, NUM_FOLDS, UNUSED, Splits, uniform
from yt8m.data.store import Store
from yt8m.networks.extractors import LAYOUTS

BASE = "base"  # the TOML, if any, that the others are compared with
# Settings that no extractor depends on; any other one keeps extractors apart.
OF_OTHERS = ("last_layers", "dropout", "fine_tune", "resnet", "refit", "export", "dtype")


def main(
    configs: Path,
    run: Path,
    out: Path,
    *,
    quoted: float = 0.1,
    part: str = "resnet",
    jobs: int = 2,
    unlabelled: Path | None = None,
) -> None:
    """Trains --part of every TOML of the folder CONFIGS and prints the table.

    --part: resnet, the ResNetLike; student, the paper's with its extractors. --unlabelled: soft
    labels of the videos of UNLABELLED, which then train all of them too.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: 1 or more is allowed")
    if part not in ("resnet", "student"):
        raise InputError(f"--part {part}: no such student; allowed: resnet, student")
    plans = {path.stem: read_toml(path, DistillConfig) for path in sorted(configs.glob("*.toml"))}
    if not plans:
        raise InputError(f"{configs}: no settings (*.toml); give a folder that has some")
    files, folds = Artifacts.of_run(run), Artifacts.of_run(out).folds
    data = Store(files.store)
    judges = without_quoted(Splits.read(files.folds, data.ids), data.ids, quoted)
    out.mkdir(parents=True, exist_ok=True)
    judges.write(folds, data.ids)
    sources = Sources(files.store, folds, files.soft_labels, unlabelled)
    extractors, students = jobs_of(plans, part, out)
    for stage in (extractors, students):
        run_all([partial(job.run, sources) for job in stage.values()], jobs)
    publish(lines_of(students), out / "table.md")


def without_quoted(splits: Splits, ids: np.ndarray, quoted: float) -> Splits:
    """The splits without the videos of a holdout of the share `quoted`.

    InputError when the run holds out no others.
    """
    fold = splits.fold.copy()
    fold[uniform(splits.keys(ids), "holdout") < quoted] = UNUSED
    if (fold >= 0).sum() < (splits.fold >= 0).sum() or not (fold == HOLDOUT).any():
        raise InputError(
            f"--quoted {quoted:g}: the run must hold out more than that; "
            f"run it with HOLDOUT={quoted + 0.15:g} and its own ARTIFACTS"
        )
    return Splits(fold, splits.groups)


@dataclass(frozen=True)
class Sources:
    """What every part learns from."""

    store: Path
    folds: Path
    soft_labels: Path
    unlabelled: Path | None


@dataclass(frozen=True)
class PartJob:
    """One part of a student, in a process of its own."""

    plan: DistillConfig
    part: str
    folder: Path
    title: str
    fold: int | None = None  # that a copy of an extractor leaves out

    def run(self, sources: Sources) -> None:
        """Trains the part, unless it was trained from just these inputs."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config, done = self.folder / CONFIG, self.folder / "done.json"
        write_snapshot(config, self.plan)
        learnt = [sources.folds, sources.soft_labels]
        also = [sources.unlabelled] if sources.unlabelled else []
        made_from = fingerprint(config, sources.store / MANIFEST, *learnt, *also, *self.below())
        if done.is_file() and read_json(done) == made_from:
            return
        arguments = [config, sources.store, *learnt, self.folder, "--part", self.part]
        arguments += ["--unlabelled", *also] if also else []
        arguments += [] if self.fold is None else ["--fold", self.fold]
        run_verb("distill.train", arguments, self.folder, self.title)
        write_json(done, made_from)

    def below(self) -> list[Path]:
        """The weights that this part builds on: last layers on those of the extractors."""
        return extractor_files(self.folder, self.plan) if self.part == "last" else []

    def figures(self) -> tuple[float, float]:
        """(GAP@20 on the holdout of `unquoted`, seconds of all that was trained for it)."""
        report = read_json(self.folder / REPORT)
        below = [path.with_name(REPORT) for path in self.below()]
        seconds = report["seconds"] + sum(read_json(path)["seconds"] for path in below)
        return report["gap_holdout"], seconds


def jobs_of(plans: dict[str, DistillConfig], part: str, out: Path) -> tuple[dict, dict]:
    """The jobs of all extractors by folder, and those of the students, which need them, by name."""
    extractors, students = {}, {}
    for name, plan in plans.items():
        if part == "resnet":
            students[name] = PartJob(plan, "resnet", out / name / "resnet", name)
        else:
            below = extractors_of(plan, out)
            extractors |= {job.folder: job for job in below}
            students[name] = PartJob(plan, "last", below[0].folder.parent / name, name)
    return extractors, students


def extractors_of(plan: DistillConfig, out: Path) -> list[PartJob]:
    """The jobs of a plan's six extractors and of their copies, in a folder named by settings."""
    plan = DistillConfig(**{name: value for name, value in plan if name not in OF_OTHERS})
    folder, jobs = out / f"extractors_{fingerprint(canonical(plan))}", []
    for fold in (None, *(range(NUM_FOLDS) if plan.extractor_videos == "folds" else ())):
        for letter in LAYOUTS:
            name, where = f"extractor_{letter}", folder / f"extractor_{letter}"
            if fold is not None:
                name, where = f"{name} fold{fold}", fold_folder(where, fold)
            jobs.append(PartJob(plan, letter, where, name, fold))
    return jobs


def lines_of(jobs: dict[str, PartJob]) -> list[str]:
    """A table, best first: GAP@20, how far from BASE, seconds."""
    figures = {name: job.figures() for name, job in jobs.items()}
    rows = []
    for name, (gap, seconds) in sorted(figures.items(), key=lambda found: -found[1][0]):
        apart = f"{gap - figures[BASE][0]:+.4f}" if BASE in figures else "-"
        rows.append([name, f"{gap:.4f}", apart, f"{seconds:.0f}"])
    return table(["student", "GAP", "against base", "seconds"], rows)


if __name__ == "__main__":
    cli.run(main)
