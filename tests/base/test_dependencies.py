"""docs/dependencies.md, pyproject.toml, requirements.lock and the imports say the same."""

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from make_world import copy_project
from packaging.requirements import Requirement

from yt8m import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
PACKAGES = {path.parent.name for path in ROOT.glob("*/*.py")} - {"tests"}
OURS = PACKAGES | {path.stem for path in (ROOT / "tests").rglob("*.py")}
IMPORTED_AS = {"scikit-learn": "sklearn", "tensorboardx": "tensorboardX"}
# Nothing of ours imports them: torch.onnx does, tfrecord's messages do, and four are commands.
UNSEEN = {"onnxscript", "protobuf", "py-spy", "pytest-xdist", "ruff", "tensorboard"}
# Installed by what needs them, and imported by tests and nothing else.
BY_OTHERS = {"packaging"}

INSTALLED = """
from jobs.plans import ROOT, Plan
from yt8m.__main__ import main
assert ROOT.name == "there" and len(Plan.read("demo").models) > 5
main()
"""


def _name(text: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(text).name).lower()


def _stated() -> dict[str, set[str]]:
    """Package -> extras, "" = always."""
    stated = {_name(text): {""} for text in PROJECT["dependencies"]}
    for extra in EXTRAS:
        for text in _own(extra):
            stated.setdefault(_name(text), set()).add(extra)
    return stated


def _own(extra: str) -> list[str]:
    """What an extra asks for beside the extras that it contains."""
    return [text for text in EXTRAS[extra] if _name(text) != PROJECT["name"]]


def _locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {_name(name): version for name, version in pins}


def _imports(folders) -> set[str]:
    """Top-level modules that the code of these folders imports, ours and Python's own aside."""
    found = set()
    for path in (path for folder in folders for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OURS


def test_the_table_lists_what_pyproject_asks_for():
    rows = re.findall(
        r"^\| ([\w-]+) \| (\w*) ?\| (\S.*) \|$", (ROOT / "docs/dependencies.md").read_text(), re.M
    )
    table = {_name(name): extra for name, extra, _ in rows if name != "package"}
    stated = _stated()
    assert set(table) == set(stated)
    assert {name for name, extra in table.items() if extra not in stated[name]} == set()


def test_what_the_code_imports_is_asked_for_and_the_other_way_round():
    stated = _stated()
    modules = {name: IMPORTED_AS.get(name, name.replace("-", "_")) for name in stated}
    code, tests = _imports(PACKAGES - {"bench"}), _imports(["tests", "bench"])
    for_users = {modules[name] for name, extras in stated.items() if extras != {"dev"}}
    assert code <= for_users
    assert tests <= set(modules.values()) | BY_OTHERS
    assert {name for name in stated if modules[name] not in code | tests} == UNSEEN


LOCKED = [*PROJECT["dependencies"], *(x for e in ("predict", "train", "dev") for x in _own(e))]


def test_the_lock_has_what_is_asked_for_in_a_version_that_is_allowed():
    locked = _locked()
    for text in LOCKED:
        assert Requirement(text).specifier.contains(locked[_name(text)]), text


def test_the_lock_has_nothing_that_nothing_needs():
    todo = [Requirement(text) for text in LOCKED]
    needed = set()
    while todo:
        requirement = todo.pop()
        name = _name(str(requirement))
        applies = not requirement.marker or requirement.marker.evaluate({"extra": ""})
        if applies and name not in needed:
            needed.add(name)
            todo += [Requirement(text) for text in importlib.metadata.requires(name) or []]
    assert set(_locked()) - needed == set()


@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_extras_do_not_repeat_what_is_always_there(name):
    always = {_name(text) for text in PROJECT["dependencies"]}
    assert always.isdisjoint(_name(text) for text in _own(name))


def test_the_project_installs_with_its_configurations_and_one_command(tmp_path):
    source = copy_project(tmp_path / "source")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-build-isolation", "--no-deps"]
    subprocess.run([*pip, "--target", tmp_path / "there", source], check=True)
    for verb, found in (
        ("--version", __version__),
        ("--help", "predict"),
        ("predict -h", "EXPORT"),
    ):
        command = [sys.executable, "-c", INSTALLED, *verb.split()]
        done = subprocess.run(command, cwd=tmp_path / "there", capture_output=True, text=True)
        assert found in done.stdout, (verb, done)


def test_pandas_is_imported_only_where_a_table_is_read():
    files = [path for folder in PACKAGES for path in (ROOT / folder).rglob("*.py")]
    eager = [path for path in files if re.search(r"^(import|from) pandas", path.read_text(), re.M)]
    assert eager == [], "it takes half a second: import it in the function that needs it"
