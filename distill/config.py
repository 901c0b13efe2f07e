"""Settings of the stage: configs/<plan>.toml states differences from these defaults."""

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from first_level.bundle.manifest import Member, ResnetModel
from first_level.config import ModelConfig
from yt8m.base.cli import InputError
from yt8m.base.config import Config
from yt8m.inputs.settings import Inputs
from yt8m.training.settings import Training

Part = Literal["student", "resnet", "refit"]  # "student": the paper's, with its extractors


class SoftLabels(Config):
    """What the student learns: the ensemble's probabilities, the labels, or a mix of both.

    mix:  target = (1 - hard_weight) * soft + hard_weight * hard. A true label that the ensemble
          never proposed has soft = 0, so its target is hard_weight.
    fill: a true label stays 1; every other candidate gets soft_weight * soft.
    """

    how: Literal["mix", "fill"] = "mix"
    hard_weight: float = Field(0.3, ge=0, le=1)
    soft_weight: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(1.0, ge=0.01, le=100)  # soft = sigmoid(logit / temperature)
    candidates: int = Field(0, ge=0)  # best candidates kept of each video; 0: all of them
    outside: float | None = Field(None, ge=0, le=1)  # target of a true label that is no candidate


class ResnetTraining(Training):
    epochs: int = Field(15, ge=0)
    mixup: float = Field(0.4, ge=0, le=1000)


class FineTuning(Training):
    epochs: int = Field(0, ge=0)  # off
    lr: float = Field(1e-4, gt=0)


class Resnet(Config):
    """The second student: one ResNetLike on the same targets (paper, table 1, row 2)."""

    model: ResnetModel = ResnetModel()
    training: ResnetTraining = ResnetTraining()


class Refit(Config):
    """The re-ranked student: first-level models trained again, under a network that re-ranks.

    With any models it replaces the paper's extractors and last layers.
    """

    models: Annotated[tuple[str, ...], Field(strict=False)] = ()  # of the plan
    copies: int = Field(1, ge=1)  # of each, with other seeds; their logits are averaged
    # Models that are exported as the average of their five fold models instead: five times the
    # size, nothing to train, and more accurate where a model's versions differ in their errors.
    folds: Annotated[tuple[str, ...], Field(strict=False)] = ()
    targets: SoftLabels | None = None  # what they learn; none: [targets]
    # Whether the videos of UNLABELLED train them too, by soft labels. In snapshots only if true.
    unlabelled: bool = Field(False, exclude_if=lambda value: not value)

    @field_validator("models")
    @classmethod
    def _different(cls, models: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(models)) < len(models):
            raise ValueError("a model appears twice; set copies = 2")
        return tuple(sorted(models))  # the order in a TOML only orders make's jobs

    @field_validator("folds")
    @classmethod
    def _among_models(cls, folds: tuple[str, ...], others: ValidationInfo) -> tuple[str, ...]:
        for name in folds:
            if name not in others.data.get("models", ()):
                raise ValueError(f"{name!r} is not among `models`")
        return folds


class Aim(Config):
    """What a class's threshold is chosen for: the largest F1, or recall at this precision."""

    aim: Literal["f1", "precision"] = "f1"
    precision: float = Field(0.9, gt=0, le=1)


class DistillConfig(Config):
    """All settings of the stage."""

    scale: float = Field(1.0, gt=0, le=4)  # of every hidden width of the paper
    inputs: Inputs = Inputs()
    targets: SoftLabels = SoftLabels()
    # "all": every training video trains both; "split": folds 0-2 the extractors, 3-4 the rest.
    # "folds": the paper's out-of-fold features for the last layers, by five copies of every
    # extractor; "leave_one": extractors leave out a fold each, a and f the same.
    extractor_videos: Literal["all", "split", "folds", "leave_one"] = "all"
    extractors: Training = Training()
    extractor_dropout: float = Field(0.3, ge=0, lt=1)  # before the classifier left behind
    last_layers: Training = Training()
    dropout: float = Field(0.3, ge=0, lt=1)  # in the last layers
    fine_tune: FineTuning = FineTuning()  # everything, at the end
    resnet: Resnet = Resnet()
    refit: Refit = Refit()
    # What is exported; "both" is the mean of the two students' logits. Never chosen by a score.
    export: Literal["student", "resnet", "both"] = "student"
    # How its weights are stored, unless DTYPE is given.
    dtype: Literal["float16", "float32", "int8"] = "float16"
    thresholds: Aim = Aim()  # from which score on the export says yes
    seed: int = 0

    @field_validator("inputs")
    @classmethod
    def _exportable(cls, inputs: Inputs) -> Inputs:
        check_exportable(inputs)
        return inputs

    @field_validator("export")
    @classmethod
    def _has_a_mean(cls, export: str, others: ValidationInfo) -> str:
        if export == "both" and "refit" in others.data and others.data["refit"].models:
            raise ValueError("re-ranked students have no mean; allowed: student, resnet")
        return export

    def refit_targets(self) -> SoftLabels:
        """What refitted models learn."""
        return self.refit.targets or self.targets

    def deciding(self, part: Part) -> str:
        """Canonical JSON of the settings that decide a part; no other change trains it again."""
        values = self.model_dump(mode="json")
        if part == "refit":
            targets = self.refit_targets().model_dump(mode="json")
            values = {"seed": self.seed, "targets": targets, "unlabelled": self.refit.unlabelled}
        elif part == "resnet":
            values = {key: values[key] for key in ("inputs", "resnet", "seed", "targets")}
        else:
            for others in ("dtype", "export", "refit", "resnet", "thresholds"):
                del values[others]
        return json.dumps(values, indent=1, sort_keys=True) + "\n"


def member_of(kind: str, settings: DistillConfig) -> Member:
    """The member of an export that the settings describe."""
    if kind == "resnet":
        return Member(kind="resnet", resnet=settings.resnet.model)
    return Member(kind="student", scale=settings.scale)


def check_exportable(inputs: Inputs) -> None:
    """ValueError when an export cannot make these inputs from the features of records."""
    if inputs.frame_settings() or inputs.feature_share < 1:
        name = [*inputs.frame_settings(), "feature_share"][0]
        raise ValueError(f"{name}: an export takes features as records have them; leave it out")
    if inputs.normalise not in ("none", "l2"):
        raise ValueError('normalise: an export supports only "none" and "l2"')


def check_refittable(model: ModelConfig, where: Path) -> None:
    """InputError when a model needs other models, or inputs that an export cannot make."""
    for key in ("start", "teachers"):
        if getattr(model, key) is not None:
            raise InputError(
                f"{where}: has a table [{key}], so it cannot be refitted; name it in [refit] folds"
            )
    check_inputs(model, where)


def check_inputs(model: ModelConfig, where: Path) -> None:
    """InputError when an export cannot make the model's inputs."""
    try:
        check_exportable(model.inputs)
    except ValueError as error:
        raise InputError(f"{where}: cannot be refitted: {error}") from error
