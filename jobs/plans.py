"""A plan: the TOMLs of all stages, read and checked once, and the snapshots that verbs read.

A snapshot holds all values, defaults included. It is written only when a value changes; comments,
spellings and file times change none.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from distill.config import DistillConfig, Part, check_inputs, check_refittable
from first_level.config import EXPORTED, PlannedModel, check_arguments, check_teachers, read
from jobs.rehearsal import shrink_model, shrink_stack, shrink_students
from stacking.config import Stacking, check_booster
from yt8m.base.cli import InputError
from yt8m.base.config import canonical, read_toml
from yt8m.base.digests import read_cache
from yt8m.base.files import fingerprint, write_json
from yt8m.base.paths import (
    CANARY,
    CONFIG,
    FLIPS,
    MEMBERS,
    MODELS,
    REHEARSAL,
    SEGMENTS,
    Artifacts,
)

ROOT = Path(__file__).resolve().parents[1]
FIRST_LEVEL = Path("first_level/configs")
SYSTEMS = {"stack", "mean", "weighted_mean"}  # beside the models in the stack's report


@dataclass(frozen=True)
class Plan:
    """What the TOMLs of a plan say; models: by name, in order."""

    name: str
    models: dict[str, PlannedModel]
    stack: Stacking
    distill: DistillConfig

    @classmethod
    def read(cls, name: str) -> "Plan":
        """InputError names the file and key that cannot be used."""
        name = name.removesuffix(CANARY).removesuffix(FLIPS)
        whole = name.removesuffix(REHEARSAL)
        models = read_models(FIRST_LEVEL / whole)
        stack, distill = (
            Path(stage) / "configs" / f"{whole}.toml" for stage in ("stacking", "distill")
        )
        plan = cls(
            whole,
            models,
            read_toml(ROOT / stack, Stacking),
            read_toml(ROOT / distill, DistillConfig),
        )
        check_booster(plan.stack, stack)
        plan.check_refit(distill)
        return plan if name == whole else plan.shrink(name)

    def shrink(self, name: str) -> "Plan":
        """Its rehearsal, under another name."""
        models = {own: shrink_model(model) for own, model in self.models.items()}
        return Plan(name, models, shrink_stack(self.stack), shrink_students(self.distill))

    def check_refit(self, where: Path) -> None:
        """InputError when [refit] names a model that the plan lacks, or that cannot be refitted."""
        refit = self.distill.refit
        for name in refit.models:
            if name not in self.models:
                raise InputError(
                    f"{where}: [refit] names {name!r}, which is no model of "
                    f"{FIRST_LEVEL / self.name}; there are: {', '.join(self.models)}"
                )
            if self.models[name].arch == EXPORTED:
                raise InputError(
                    f"{where}: [refit] names {name!r} of arch {EXPORTED!r}, which reads another "
                    "export's folder and so cannot be part of one"
                )
            check = check_inputs if name in refit.folds else check_refittable
            check(self.models[name], FIRST_LEVEL / self.name / f"{name}.toml")

    @property
    def segmented(self) -> list[str]:
        """Models with a table [segments]."""
        return [name for name, model in self.models.items() if model.segments is not None]

    def snapshots(self, files: Artifacts) -> dict[Path, str]:
        """What each snapshot has to hold."""
        texts = model_snapshots(self.models, files.first_level)
        texts[files.stacking / CONFIG] = canonical(self.stack)
        texts |= distill_snapshots(self.distill, files.distill)
        return texts

    def check_models(self, checked: Path) -> None:
        """Builds each model that is not known to be possible: slow, so `checked` keeps which are.

        InputError when [model] or [segments] are not for an architecture.
        """
        before = read_cache(checked)
        keys = {name: fingerprint(canonical(model)) for name, model in self.models.items()}
        if before == keys:
            return
        self.check_names()
        for name, model in self.models.items():
            if before.get(name) != keys[name]:
                check_arguments(model, FIRST_LEVEL / self.name / f"{name}.toml")
        write_json(checked, keys)

    def check_names(self) -> None:
        """InputError when a model is called like a column or a row of the stack's tables."""
        from stacking import features, label_features  # scipy takes a while to import

        columns = {*features.AGREEMENT, *features.OF_VIDEO, *label_features.NAMES, features.FRAMES}
        for name in self.models:
            if name in columns | SYSTEMS or name.endswith(features.NORM):
                raise InputError(
                    f"{FIRST_LEVEL / self.name}/{name}.toml: a model cannot be called {name}, "
                    "which is a name in the stack's tables; rename the file"
                )


def read_models(folder: Path) -> dict[str, PlannedModel]:
    """The models of a folder of TOMLs, by name. InputError when there are none, or one is wrong."""
    paths = sorted((ROOT / folder).glob("*.toml"))
    if not paths:
        plans = ", ".join(sorted(path.name for path in (ROOT / folder).parent.glob("*/"))) or "none"
        raise InputError(f"{folder}: no models (*.toml) there; plans: {plans}")
    models = {path: read(ROOT / path) for path in (folder / path.name for path in paths)}
    check_teachers(models)
    return {path.stem: model for path, model in models.items()}


def model_snapshots(models: dict[str, PlannedModel], folder: Path) -> dict[Path, str]:
    """Of the models, of their segments, and the list of their names, in a run's first_level."""
    texts = {folder / MODELS: "".join(f"{name}\n" for name in models)}
    for name, model in models.items():
        texts[folder / name / CONFIG] = canonical(model.as_model())
        if model.segments is not None:
            texts[folder / name / SEGMENTS / CONFIG] = canonical(model)
    return texts


def distill_snapshots(config: DistillConfig, folder: Path) -> dict[Path, str]:
    """Of the students, of what decides each part of them, and the list of the refitted models."""
    texts = {folder / CONFIG: canonical(config)}
    for part in get_args(Part):
        texts[folder / f"{part}.json"] = config.deciding(part)
    texts[folder / MEMBERS] = "".join(f"{name}\n" for name in config.refit.models)
    return texts
