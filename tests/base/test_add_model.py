"""docs/models.md, "Add a model": its two files, in a copy of the project, make one that trains."""

import re
import subprocess
from pathlib import Path

import pytest
from make_world import copy_project

from yt8m.base.files import read_json

ROOT = Path(__file__).parents[2]
SECTION = re.compile(r"^## Add a model\n(.*?)^## ", re.MULTILINE | re.DOTALL)
FILE = re.compile(
    r"^    # (first_level/\S+)(?: -- (.*))?\n((?:(?!    # first_level)(?:    .*)?\n)+)", re.M
)
# What the planner writes of the models of a folder.
SNAPSHOTS = """
import sys
from pathlib import Path
from jobs.plans import model_snapshots, read_models
from yt8m.base.config import write_if_changed
toml, out = map(Path, sys.argv[1:])
for path, text in model_snapshots(read_models(toml), out).items():
    write_if_changed(path, text)
"""


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    """The files that the page shows, by their paths."""
    section = SECTION.search((ROOT / "docs/models.md").read_text()).group(1)
    files = {}
    for path, why, body in FILE.findall(section):
        lines = [line.removeprefix("    ") for line in body.rstrip().splitlines()]
        head = f"# {why}\n"
        files[path] = (head if path.endswith(".toml") else "") + "\n".join(lines) + "\n"
    return files


@pytest.fixture(scope="module")
def copy(shown, tmp_path_factory, forked):
    """A copy of the project with those files, and nothing else, added."""
    copy = copy_project(tmp_path_factory.mktemp("copy"))
    forked.write(copy / "python")
    for path, text in shown.items():
        assert not (copy / path).exists(), f"{path} is there already: the README adds nothing"
        (copy / path).write_text(text)
    return copy


def _run(copy, *command) -> str:
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_readme_shows_a_configuration_and_an_architecture(shown):
    kinds = sorted(Path(path).suffix for path in shown)
    assert kinds == [".py", ".toml"]
    (toml,) = (text for path, text in shown.items() if path.endswith(".toml"))
    (arch,) = (Path(path).stem for path in shown if path.endswith(".py"))
    assert f'arch = "{arch}"' in toml


def test_make_lists_it(copy, shown):
    (toml,) = (Path(path) for path in shown if path.endswith(".toml"))
    plan = toml.parent.name
    lines = _run(copy, "make", "models", f"PLAN={plan}", "PYTHON=./python")
    before = len(list((ROOT / "first_level" / "configs" / plan).glob("*.toml")))
    assert f"| {toml.stem} " in lines
    assert f"{before + 1} models" in lines


def test_it_trains_and_predicts(copy, shown, data_set, tmp_path):
    (toml,) = (Path(path) for path in shown if path.endswith(".toml"))
    _run(copy, "./python", "-c", SNAPSHOTS, str(toml.parent), str(tmp_path))
    config = tmp_path / toml.stem / "config.json"
    places = map(
        str, (config, data_set / "store", data_set / "folds.safetensors", tmp_path / "job")
    )
    _run(copy, "./python", "-m", "first_level.train", *places, "--fold", "2")
    report = read_json(tmp_path / "job" / "report.json")
    assert report["model"] == toml.stem
    assert report["gap_fold"] > 0.2  # chance is below 0.1
    assert (tmp_path / "job" / "predictions.safetensors").is_file()
