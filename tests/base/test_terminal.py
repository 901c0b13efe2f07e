"""make on a terminal: the real Makefile and viewer, and jobs that only write files."""

import os
import pty
import select
import signal
import time
from pathlib import Path

import pytest
from make_world import RUN, make, make_tree

SHOW_CURSOR, COLOUR = "\x1b[?25h", "\x1b[3"
PREDICTIONS = RUN / "first_level/one/fold3/predictions.safetensors"


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("terminal"))


class Terminal:
    """make on a terminal of its own."""

    def __init__(self, tree, *arguments, **environment):
        command = ["make", "PYTHON=./python", "PLAN=tiny", "DATA=records", *arguments]
        keep = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("MAKE", "NO_COLOR"))
        }
        (tree / "calls.txt").unlink(missing_ok=True)
        self.printed = ""
        self.process, self.fd = pty.fork()
        if self.process == 0:
            os.chdir(tree)
            os.execvpe("make", command, keep | {"TERM": "xterm", "COLUMNS": "120"} | environment)

    def until(self, text: str = "\0") -> str:
        """Reads until `text` was printed, or to the end."""
        end = time.monotonic() + 60
        while text not in self.printed:
            assert time.monotonic() < end, self.printed[-2000:]
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    read = os.read(self.fd, 65536)
                except OSError:  # Linux says so when the last process with the terminal has ended
                    break
                self.printed += read.decode(errors="replace")
                if not read:
                    break
        return self.printed

    def status(self) -> int:
        self.until()
        os.close(self.fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])


def test_jobs_are_shown_and_their_lines_go_to_a_file(tree):
    terminal = Terminal(tree, "all", "JOBS=3", "RUN=env WHO='a b'", LASTING="folds.assign")
    assert terminal.status() == 0, terminal.printed
    assert "40 of 40 jobs done" in terminal.printed
    assert "-m first_level.train" not in terminal.printed
    assert "folds assign" in terminal.printed, "a job that runs has a row"
    assert terminal.printed.count(SHOW_CURSOR) == 1
    assert COLOUR in terminal.printed
    log = (tree / RUN / "make.log").read_text()
    assert log.count("env WHO='a b' ./python -m first_level.train") == 10
    assert "--jobs 3" in log
    calls = (tree / "calls.txt").read_text()
    assert calls.count("first_level.train") == 10
    assert make(tree) == []


def test_errors_are_shown_in_full_and_the_status_is_makes(tree):
    for model in ("one", "two"):
        (tree / RUN / f"first_level/{model}/fold3/predictions.safetensors").unlink(missing_ok=True)
    terminal = Terminal(tree, "-k", "first_level", "JOBS=1", FAIL="first_level.train", NO_COLOR="1")
    assert terminal.status() == 2
    assert terminal.printed.count("error: first_level.train: it was to fail\r\n") == 2, "-k goes on"
    assert "fold3/predictions.safetensors] Error 1" in terminal.printed
    assert "2 failed" in terminal.printed
    assert COLOUR not in terminal.printed
    assert SHOW_CURSOR in terminal.printed


def _alive(tree):
    """Command lines of the processes that work in the tree."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "cwd").resolve() == tree and (folder / "cmdline").read_text():
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM", "SIGKILL"])
def test_an_end_leaves_no_process_and_a_sane_terminal(tree, how):
    (tree / PREDICTIONS).unlink(missing_ok=True)
    terminal = Terminal(tree, "first_level", SLOW="first_level.train")
    assert "one fold3" in terminal.until("[slow] begins") + terminal.until("one fold3")
    assert _alive(tree)
    if how == "Ctrl-C":
        os.write(terminal.fd, b"\x03")
    else:
        os.kill(terminal.process, getattr(signal, how))
    assert terminal.status() != 0
    ended = time.monotonic()
    while _alive(tree):
        assert time.monotonic() - ended < 20, _alive(tree)
        time.sleep(0.1)
    assert SHOW_CURSOR in terminal.printed
    assert not (tree / PREDICTIONS).exists()


@pytest.mark.parametrize("plain", ["-n", "-s", "TERM=dumb"])
def test_plain_lines_where_no_view_can_be(tree, plain):
    (tree / PREDICTIONS).unlink(missing_ok=True)
    flags, environment = ([], {"TERM": "dumb"}) if "=" in plain else ([plain], {})
    terminal = Terminal(tree, "first_level", *flags, **environment)
    assert terminal.status() == 0
    assert ("-m first_level.train" in terminal.printed) == (plain != "-s")
    assert (tree / PREDICTIONS).exists() == (plain != "-n")
    assert "\x1b" not in terminal.printed
