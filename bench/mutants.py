"""Whether the tests notice mistakes: those of bench/mutants.toml, planted one at a time.

    python -m bench.mutants --sample 40 --seed 1 --jobs 2

Each is planted in a temporary copy of the project, where the tests that should notice it run until
one fails. A test that fails without a mistake, too, is an error, and so is a mistake whose place is
no longer in the code. --sample: how many, drawn by --seed; 0: all.
"""

import os
import random
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.tables import table

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".toml")
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "__pycache__", "artifacts", "results")
PACKAGES = ("torch", "lightgbm", "scipy.optimize", "sklearn.cluster", "pydantic")  # slow to import
SECONDS = 900  # of the tests of a mistake: one that hangs is noticed


@dataclass(frozen=True)
class Mistake:
    """One line, and what it is made of; tests: files or folders of tests."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def plant(self, root: Path) -> str:
        """Plants it in the project in `root`; returns the file's text before."""
        path = root / self.file
        text = path.read_text()
        path.write_text(text.replace(self.old, self.new))
        return text


def read_list(path: Path = LIST) -> Iterator[Mistake]:
    """The mistakes of a TOML, by file."""
    for file, about in tomllib.loads(path.read_text()).items():
        for old, new in about["mistakes"]:
            yield Mistake(file, old, new, tuple(f"tests/{test}" for test in about["tests"]))


def lost(mistakes: list[Mistake]) -> list[str]:
    """Mistakes that cannot be planted, in words: what they change is not in the code just once."""
    found = []
    for one in mistakes:
        places = (ROOT / one.file).read_text().count(one.old) if (ROOT / one.file).is_file() else 0
        if places != 1 or one.old == one.new:
            found.append(f"{one.file}: {one.old!r} is there {places} times")
        found += [f"{test}: no such tests" for test in one.tests if not (ROOT / test).exists()]
    return found


def main(*, sample: int = 0, seed: int = 0, jobs: int = 1) -> None:
    """Prints which mistakes the tests notice, and by which test."""
    mistakes = list(read_list())
    if wrong := lost(mistakes):
        raise InputError(f"{LIST.name}: {wrong[0]} ({len(wrong)} such); mend the list")
    if 0 < sample < len(mistakes):
        mistakes = random.Random(seed).sample(mistakes, sample)
    for name in PACKAGES:
        __import__(name)
    with ProcessPoolExecutor(jobs, mp_context=get_context("fork")) as pool:
        found = list(pool.map(look, mistakes))
    rows = [
        [one.file, one.old.strip(), one.new.strip(), test or "MISSED"]
        for one, test in zip(mistakes, found, strict=True)
    ]
    log("\n".join(table(["file", "line", "mistake", "noticed by"], rows)))
    count = sum(map(bool, found))
    log(f"{count} of {len(found)} mistakes were noticed ({count / max(len(found), 1):.1%})")


def look(one: Mistake) -> str:
    """The first test that fails with a mistake; "" if none does. InputError as of `main`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        shutil.copytree(ROOT, root, ignore=LEFT_OUT)
        (root / ".venv").symlink_to(ROOT / ".venv")
        text = one.plant(root)
        test = first_failure(root, one.tests)
        log(f"{one.file}: {one.new.strip()}: {test or 'MISSED'}")
        (root / one.file).write_text(text)
        if test and first_failure(root, (test,) if "::" in test else one.tests):
            raise InputError(f"{test}: so without a mistake, too; mend that first")
    return test


def first_failure(root: Path, tests: tuple[str, ...]) -> str:
    """The name of the first test that fails in a process of its own; "" if none does."""
    context = get_context("fork")
    ours, theirs = context.Pipe(False)
    process = context.Process(target=run_tests, args=(root, tests, theirs))
    process.start()
    theirs.close()
    process.join(SECONDS)
    if process.is_alive():
        process.kill()
        return "it hangs"
    try:
        return ours.recv()
    except EOFError:
        return "it ends the process"


def run_tests(root: Path, tests: tuple[str, ...], answer) -> None:
    """Runs tests of the project in `root` until one fails; sends its name."""
    import pytest

    for name in [x for x in sys.modules if x.split(".")[0] in ("yt8m", "bench")]:
        del sys.modules[name]  # those of this project, not of the copy
    os.chdir(root)
    sys.path[:] = [str(root), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    sys.dont_write_bytecode = True  # files of equal size and second would be taken for the same
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    failures: list[str] = []

    class Listener:
        def pytest_runtest_logreport(self, report) -> None:
            if report.failed:
                failures.append(report.nodeid)

        def pytest_collectreport(self, report) -> None:
            if report.failed:
                failures.append(f"{report.nodeid} (is not collected)")

    options = ["-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist"]
    status = pytest.main([*options, *tests], plugins=[Listener()])
    answer.send(failures[0] if failures else "" if status == 0 else f"pytest ends with {status}")


if __name__ == "__main__":
    cli.run(main)
