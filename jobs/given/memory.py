"""Settings that a run was given before."""

from pathlib import Path

from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.paths import Artifacts

REMEMBERED = ("DATA", "DESCRIPTION", "UNLABELLED", "HOLDOUT", "GROUPS", "SKIP_BAD", "STORE")


def read_given(run: Path) -> dict[str, str]:
    """What the run was given before; nothing when it is new. InputError when it is no such file."""
    path = Artifacts(run, run).given
    if not path.is_file():
        return {}
    found = read_json(path)
    if not isinstance(found, dict) or not all(
        isinstance(found.get(n, ""), str) for n in REMEMBERED
    ):
        raise InputError(f"{path}: not what make writes; delete it and give DATA again")
    return {name: found.get(name, "") for name in REMEMBERED}
