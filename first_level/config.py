"""What a first-level model is: a TOML in first_level/configs/<plan>/, named by its file.

The planner (jobs/plans.py) writes its snapshot, with all defaults: `<model>/config.json`.
"""

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from yt8m.base.cli import InputError
from yt8m.base.config import Config, read_toml
from yt8m.data.predictions import TOP_K
from yt8m.data.store import Dims
from yt8m.inputs.settings import Inputs
from yt8m.training.settings import Training

if TYPE_CHECKING:  # torch takes seconds to import, and make reads configurations at every call
    from torch import nn

MODELS = Path(__file__).parent / "models"
YOUTUBE_8M = Dims({"rgb": 1024, "audio": 128}, classes=3862, max_frames=303, verticals=25)
EXPORTED = "exported"  # the architecture that is told by an export folder: [start] weights


class Start(Config):
    """Weights to begin with instead of random ones; the classifier is always new.

    Benchmark paper, section 5.3: layers trained on YouTube-8M, then on Sports-1M or ActivityNet.
    They must not have seen this data set's videos, or out-of-fold predictions are not.
    """

    weights: str  # a weights.safetensors of the same architecture; of "exported", an export folder
    freeze: bool = False  # only the classifier learns (the paper's choice for few videos)


class Teachers(Config):
    """Models of the same plan whose predictions are learnt beside the labels (a second round)."""

    models: Annotated[tuple[str, ...], Field(strict=False, min_length=1)]
    weight: float = Field(0.5, gt=0, le=1)  # of their mean probability; the labels have the rest


class SegmentSettings(Config):
    """How a frame-level model is fine-tuned on rated segments. Measured: docs/models.md."""

    seconds: int = Field(5, ge=1)  # of the windows that are predicted
    context: int = Field(0, ge=0)  # further frames that the model sees on either side
    epochs: int = Field(20, ge=0)
    batch_size: int = Field(256, ge=2)
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    teaching: float = Field(0.3, ge=0)  # of the parent's predictions, beside the raters'
    keep: int = Field(64, ge=1)  # predictions kept per segment, among the classes ever rated
    videos: Literal["rated", "all"] = "rated"  # predicted; "all": also those in no fold
    seed: int = 0


class ModelConfig(Config):
    """One column of the stack."""

    arch: str  # a file of first_level/models
    model: dict[str, bool | int | float | str | list[int]] = {}  # arguments of its `Model`
    inputs: Inputs = Inputs()
    training: Training = Training()
    start: Start | None = None
    teachers: Teachers | None = None
    # Predictions kept per video. GAP@20 needs 20; the stack reads on below a model's own best 20
    # when another model proposes the class (docs/stacking.md has what K costs and gives).
    keep: int = Field(64, ge=TOP_K)


class PlannedModel(ModelConfig):
    """What a TOML may say: the model, and what is done with it later on.

    `segments` is no part of the model's own snapshot: to change it retrains no parent.
    """

    segments: SegmentSettings | None = None

    def as_model(self) -> ModelConfig:
        """What the model itself is trained from."""
        return ModelConfig(**{name: getattr(self, name) for name in ModelConfig.model_fields})


def architecture(arch: str, where) -> type["nn.Module"]:
    """The `Model` class of first_level/models/<arch>.py."""
    check_architecture(arch, where)
    return importlib.import_module(f"first_level.models.{arch}").Model


def check_architecture(arch: str, where) -> None:
    """InputError that names the architectures there are, when `arch` is none of them."""
    names = sorted(path.stem for path in MODELS.glob("[a-z]*.py"))
    if arch not in names:
        raise InputError(
            f"{where}: arch {arch!r} is not in first_level/models ({', '.join(names)})"
        )


def build(config: ModelConfig, dims: Dims, where) -> "nn.Module":
    """The network of a configuration for data of these dims. InputError when they do not fit."""
    model = architecture(config.arch, where)
    if model.level == "frame" and not dims.max_frames:
        raise InputError(
            f"{where}: {config.arch} is a frame-level model and the data has no frames; "
            "give DATA a frame/ folder or take the model out of the plan"
        )
    config.inputs.check(model.level, dims, where)
    arguments = dict(config.model)
    if config.arch == EXPORTED:
        if config.start is None:
            raise InputError(f"{where}: arch {EXPORTED!r} needs [start] weights = an export folder")
        arguments["export"] = config.start.weights
    try:
        for name, value in arguments.items():  # at 1, nothing but the last bias would learn
            if name.endswith("dropout") and not 0 <= value < 1:
                raise ValueError(f"model.{name} = {value}: 0 to below 1 is allowed")
        return model(config.inputs.dims(dims, model.level), **arguments)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {error}") from error
    # Of sizes that no layer can have.
    except (ArithmeticError, IndexError, MemoryError, RuntimeError) as error:
        raise InputError(f"{where}: [model] {config.model} cannot be built ({error})") from error


def read(path: Path) -> PlannedModel:
    """Reads a TOML and checks all but the architecture's own arguments."""
    if not re.fullmatch(r"[a-z0-9_]+", path.stem):
        raise InputError(f"{path}: a model's name is made of a-z, 0-9 and _")
    config = read_toml(path, PlannedModel)
    check_architecture(config.arch, path)
    return config


def check_arguments(config: PlannedModel, where) -> None:
    """InputError when [model] or [segments] are not for this architecture."""
    model = architecture(config.arch, where)
    parameters = inspect.signature(model).parameters
    allowed = [name for name in parameters if name not in ("dims", "export")]
    for key in config.model:
        if key not in allowed:
            names = ", ".join(allowed) or "none"
            raise InputError(f"{where}: unknown key 'model.{key}'; allowed: {names}")
        hint = parameters[key].annotation
        if hint is inspect.Parameter.empty:
            continue
        try:
            TypeAdapter(hint).validate_python(config.model[key], strict=True)
        except ValidationError as error:  # of the annotation, such as settings.Size
            setting, first = f"model.{key} = {config.model[key]!r}", error.errors()[0]
            least = first.get("ctx", {}).get("ge")
            text = first["msg"] if least is None else f"below {least} is not allowed"
            raise InputError(f"{where}: {setting}: {text}") from error
    any_data = Dims(dict.fromkeys(config.inputs.features or ("rgb",), 1), classes=1, max_frames=1)
    config.inputs.check(model.level, any_data, where)
    if config.segments is not None and model.level != "frame":
        raise InputError(
            f"{where}: [segments] is for frame-level models and {config.arch} is a video-level "
            "one; take the table out"
        )


def check_teachers(configs: dict[Path, PlannedModel]) -> None:
    """InputError when a teacher is not in the plan, has teachers itself or takes other inputs."""
    first = {path.stem: config for path, config in configs.items() if config.teachers is None}
    for path, config in configs.items():
        for name in config.teachers.models if config.teachers else ():
            if name not in first:
                raise InputError(
                    f"{path}: teachers.models: {name!r} is no model of this plan without teachers"
                )
            if config.training.loss != "bce":  # to a ranking, each taught class would be a label
                raise InputError(f'{path}: teachers need loss = "bce"')
            if first[name].inputs != config.inputs:
                raise InputError(f"{path}: teachers.models: {name!r} has other [inputs]")
