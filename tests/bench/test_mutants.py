"""`make mutants`: its list is true to the code, and it sees what tests notice."""

import pytest

from bench import mutants
from bench.mutants import Mistake
from yt8m.base.cli import InputError


def test_every_mistake_can_still_be_planted():
    found = list(mutants.read_list())
    assert mutants.lost(found) == [], "the code has changed: mend bench/mutants.toml"
    assert len(found) == len(set(found)) >= 120
    assert len({one.file.split("/")[0] for one in found}) >= 7, "of all stages"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two tests, one of which fails anyhow."""
    (tmp_path / "tests").mkdir()
    (tmp_path / "number.py").write_text("SEVEN = 7\nEIGHT = 8\n")
    (tmp_path / "tests/test_seven.py").write_text(
        "import number\n\n\ndef test_seven():\n    assert number.SEVEN == 7\n"
    )
    (tmp_path / "tests/test_wrong.py").write_text("def test_wrong():\n    assert 0\n")
    monkeypatch.setattr(mutants, "ROOT", tmp_path)
    return tmp_path


def test_the_first_test_that_fails_is_named(project):
    """In a process of its own, which is all that this costs."""
    tests = ("tests/test_seven.py", "tests/test_wrong.py")
    assert mutants.first_failure(project, tests) == "tests/test_wrong.py::test_wrong"


@pytest.mark.parametrize("anyhow", [False, True])
def test_a_mistake_is_noticed_by_what_fails_with_it_alone(project, monkeypatch, anyhow):
    def fails(root, tests):
        text = (root / "number.py").read_text()
        return "tests/a.py::test" if anyhow or "SEVEN = 8" in text else ""

    monkeypatch.setattr(mutants, "first_failure", fails)
    one, other = (Mistake("number.py", *x, ("tests/a.py",)) for x in (
        ("SEVEN = 7", "SEVEN = 8"), ("EIGHT = 8", "EIGHT = 9")))  # fmt: skip
    if anyhow:
        with pytest.raises(InputError, match="test: so without a mistake, too; mend that first"):
            mutants.look(one)
    else:
        assert (mutants.look(one), mutants.look(other)) == ("tests/a.py::test", "")
    assert (project / "number.py").read_text() == "SEVEN = 7\nEIGHT = 8\n"


def test_a_mistake_that_is_no_longer_in_the_code_is_named(project):
    for old in ("NINE = 9", " = "):
        [text] = mutants.lost([Mistake("number.py", old, "", ("tests/test_seven.py",))])
        assert text.startswith(f"number.py: {old!r} is there")
    assert mutants.lost([Mistake("number.py", "SEVEN = 7", "x", ("tests/none",))]) == [
        "tests/none: no such tests"
    ]
