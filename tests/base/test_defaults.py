"""Numbers that decide results stand once more in numbers.txt: none changes by a slip.

They are the defaults of all settings and of all architectures, and the constants of training,
networks, inputs and the stack. Whoever changes one changes the line, too.
"""

import importlib
import inspect
import re
from pathlib import Path

from first_level.config import EXPORTED, MODELS
from yt8m.base.config import Config

ROOT = Path(__file__).parents[2]
KEPT = Path(__file__).with_name("numbers.txt")
FOLDERS = ("yt8m/training", "yt8m/networks", "yt8m/inputs", "stacking", "stacking/learners")
SETTINGS = ("first_level.config", "distill.config")


def numbers() -> list[str]:
    """Lines such as "stacking.config.Booster.max_bin = 255", sorted."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).glob("[a-z]*.py")]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    found = []
    for name in (*names, *SETTINGS):
        module = importlib.import_module(name)
        text = Path(module.__file__).read_text()
        for key, value in vars(module).items():
            own = getattr(value, "__module__", name) == name
            if key.isupper() and re.search(rf"^.*\b{key}\b.* = ", text, re.M) and _plain(value):
                found.append(f"{name}.{key} = {value!r}")
            elif inspect.isclass(value) and own and issubclass(value, Config):
                for field, about in value.model_fields.items():
                    own = field in value.__annotations__ and not about.is_required()
                    if own and _plain(about.default):
                        found.append(f"{name}.{key}.{field} = {about.default!r}")
            elif inspect.isclass(value) and own:
                found += _arguments(f"{name}.{key}", value)
    for path in MODELS.glob("[a-z]*.py"):
        if path.stem != EXPORTED:
            model = importlib.import_module(f"first_level.models.{path.stem}").Model
            found += _arguments(f"first_level.models.{path.stem}", model)
    return sorted(found)


def _plain(value) -> bool:
    """Whether it is made of numbers, names and nothing."""
    if isinstance(value, dict):
        return all(map(_plain, [*value, *value.values()]))
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return value is None or isinstance(value, int | float | str)


def _arguments(name: str, kind: type) -> list[str]:
    """The defaults of a network's own arguments."""
    if "__init__" not in vars(kind) or not hasattr(kind, "forward"):
        return []
    parameters = inspect.signature(kind.__init__).parameters.items()
    return [
        f"{name}({key}) = {about.default!r}"
        for key, about in parameters
        if about.default is not inspect.Parameter.empty and _plain(about.default)
    ]


def test_no_number_has_changed_by_itself():
    found, kept = set(numbers()), set(KEPT.read_text().splitlines())
    assert sorted(found - kept) == [], "new or changed: write these lines into numbers.txt"
    assert sorted(kept - found) == [], "no longer there: take these lines out of numbers.txt"


def test_what_is_counted_among_the_numbers():
    found = numbers()
    for line in (
        "stacking.config.Booster.max_bin = 255",
        "yt8m.training.settings.Training.clip = 10.0",
        "first_level.models.mlp(dropout) = 0.5",
        "yt8m.networks.candidate_head.CLIP = 6.0",
    ):
        assert line in found
    assert len(found) == len(set(found)) > 200
