"""What a first-level model is: a TOML in first_level/configs/<plan>/, named by its file.

    python -m first_level.config first_level/configs/small artifacts/small/first_level

writes `<model>/config.json` for each TOML (defaults resolved, rewritten only when a value changes)
and `models.txt`, one name a line.
"""

import importlib
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from yt8m import cli
from yt8m.cli import InputError
from yt8m.config import (
    Config,
    canonical,
    read_toml,
    says,
    write_if_changed,
    write_snapshot,
)
from yt8m.settings import Inputs, Training
from yt8m.store import Dims

if TYPE_CHECKING:  # torch takes seconds to import, and make reads configurations at every call
    from torch import nn

MODELS = Path(__file__).parent / "models"


class ModelConfig(Config):
    """One column of the stack."""

    arch: str  # a file of first_level/models
    model: dict[str, bool | int | float | str | list[int]] = {}  # arguments of its `Model`
    inputs: Inputs = Inputs()
    training: Training = Training()
    # Predictions kept per video. GAP@20 needs 20; the stack reads on below a model's own best 20
    # when another model proposes the class (docs/stacking.md has what K costs and gives).
    keep: int = Field(64, ge=20)


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
    seen = config.inputs.dims(dims)
    if model.level == "frame" and not dims.max_frames:
        raise InputError(
            f"{where}: {config.arch} is a frame-level model and the data has no frames; "
            "give DATA a frame/ folder or take the model out of the plan"
        )
    if seen.rgb + seen.audio == 0:
        raise InputError(
            f"{where}: inputs.modalities = {config.inputs.modalities!r} and the data has "
            f"rgb {dims.rgb}, audio {dims.audio}; take the model out of the plan"
        )
    try:
        return model(seen, **config.model)
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: {error}") from error


def read(path: Path) -> ModelConfig:
    """Reads a TOML and checks all but the architecture's own arguments."""
    if not re.fullmatch(r"[a-z0-9_]+", path.stem):
        raise InputError(f"{path}: a model's name is made of a-z, 0-9 and _")
    config = read_toml(path, ModelConfig)
    check_architecture(config.arch, path)
    return config


def check_arguments(config: ModelConfig, where) -> None:
    """InputError when [model] has a key that the architecture does not take."""
    parameters = inspect.signature(architecture(config.arch, where)).parameters
    allowed = [name for name in parameters if name != "dims"]
    for key in config.model:
        if key not in allowed:
            raise InputError(f"{where}: unknown key 'model.{key}'; allowed: {', '.join(allowed)}")


def main(plan: Path, out: Path) -> None:
    """Writes the snapshots of a plan's models, and the list of them."""
    paths = sorted(plan.glob("*.toml"))
    if not paths:
        plans = ", ".join(sorted(p.name for p in plan.parent.glob("*/"))) or "none"
        raise InputError(f"{plan}: no models (*.toml) there; plans: {plans}")
    for path in paths:
        config, snapshot = read(path), out / path.stem / "config.json"
        if not says(snapshot, canonical(config)):  # what is there already was checked before
            check_arguments(config, path)
            write_snapshot(snapshot, config)
    write_if_changed(out / "models.txt", "".join(f"{path.stem}\n" for path in paths))


if __name__ == "__main__":
    cli.run(main)
