"""Strict configurations: TOML -> frozen model, and canonical snapshots of what was resolved.

A snapshot is what a stage reads and what make watches: it changes only when a value changes, so
comments, file times and checkouts make nothing stale.
"""

import difflib
import json
import tomllib
import typing
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from yt8m.base.cli import InputError
from yt8m.base.files import read_json, writing


class Config(BaseModel):
    """Base of all configurations: unknown keys, wrong types and NaN are errors; never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


AnyConfig = TypeVar("AnyConfig", bound=Config)
# Arguments of architectures: the size of a layer, and how many of something that may be absent.
Size, Count = Annotated[int, Field(ge=1)], Annotated[int, Field(ge=0)]
LARGEST = 1 << 63  # whole numbers are smaller
Precision = Literal["auto", "bf16", "float32"]


def read_toml(path: Path, cls: type[AnyConfig]) -> AnyConfig:
    """Reads a TOML of differences to `cls`'s defaults. InputError names file, key and what fits."""
    try:
        values = tomllib.loads(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: is a folder; a TOML file is needed") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not TOML: {error}") from error
    _check_integers(values, path)
    return validate(values, cls, path)


def read_snapshot(path: Path, cls: type[AnyConfig]) -> AnyConfig:
    """Reads a snapshot written by `write_snapshot`."""
    return validate(read_json(path), cls, path)


def write_snapshot(path: Path, config: Config) -> bool:
    """Writes the canonical JSON of `config` if it differs from what is there; whether it did."""
    return write_if_changed(path, canonical(config))


def canonical(config: Config) -> str:
    """Canonical JSON of all values, defaults included: equal exactly when the values are."""
    return json.dumps(config.model_dump(mode="json"), indent=1, sort_keys=True) + "\n"


def write_if_changed(path: Path, text: str) -> bool:
    """Writes `text` atomically unless the file already says it, so that its time stays."""
    if path.is_file() and path.read_text() == text:
        return False
    with writing(path) as temporary:
        temporary.write_text(text)
    return True


def validate(values: dict, cls: type[AnyConfig], where) -> AnyConfig:
    """`cls` from plain values; InputError lists every wrong key at once."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        texts = "; ".join(_explain(problem, cls) for problem in error.errors())
        raise InputError(f"{where}: {texts}") from error


def _check_integers(values, path: Path, key: str = "") -> None:
    """InputError for what TOML allows nobody to write: whole numbers of more than 64 bits."""
    if isinstance(values, int) and not -LARGEST <= values < LARGEST:
        raise InputError(f"{path}: {key} has more than 64 bits; write a smaller number")
    items = values.items() if isinstance(values, dict) else ()
    for name, value in enumerate(values) if isinstance(values, list) else items:
        _check_integers(value, path, f"{key}.{name}".lstrip("."))


def _explain(problem: dict, cls: type[Config]) -> str:
    key = ".".join(str(part) for part in problem["loc"]) or "the file"
    if problem["type"] == "extra_forbidden":
        allowed = _keys_at(cls, problem["loc"][:-1])
        near = difflib.get_close_matches(str(problem["loc"][-1]), allowed, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        return f"unknown key {key!r}; allowed: {', '.join(allowed)}{hint}"
    if problem["type"] == "missing":
        return f"key {key!r} is missing"
    text = problem["msg"].removeprefix("Value error, ")
    return text if problem["loc"][-1:] == ("[key]",) else f"{key} = {problem['input']!r}: {text}"


def _keys_at(cls, parents) -> list[str]:
    """Keys allowed in the table that `parents` leads to."""
    for name in parents:
        if name not in cls.model_fields:
            continue  # a name of one of several tables, such as title in [features.title]
        kind = cls.model_fields[name].annotation
        tables = [t for t in typing.get_args(kind) or (kind,) if hasattr(t, "model_fields")]
        if not tables:
            return ["none"]
        cls = tables[0]  # of `Table | None`, the table
    return sorted(cls.model_fields)
