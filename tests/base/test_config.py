"""Configurations and files: strictness, snapshots that ignore comments, atomic writes, one line."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from snapshots import write_snapshots

from first_level.config import ModelConfig
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot, read_toml, write_snapshot
from yt8m.base.files import fingerprint, working_in, writing

ROOT = Path(__file__).parents[2]


def _toml(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "m.toml").write_text(text)
    return folder / "m.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('arch = "dboff"', r"m.toml: arch 'dboff' is not in first_level/models \(attention_net, "),
        ('arc = "moe"', r"m.toml: key 'arch' is missing; unknown key 'arc'; allowed: arch, "),
        ('arch = "moe"\n[training]\nlrr = 1', "unknown key 'training.lrr'; allowed: .*lr, mixup"),
        ('arch = "moe"\n[training]\nlr = -1', "training.lr = -1: Input should be greater than 0"),
        ('arch = "moe"\n[training]\nlr = "1e-3"', "lr = '1e-3': Input should be a valid number"),
        ('arch = "moe"\n[training]\nlr = nan', "training.lr = nan: Input should be a finite"),
        ('arch = "moe"\n[training]\nloss = "bse"', "loss = 'bse': Input should be 'bce', 'so"),
        ('arch = "moe"\n[model]\nexpert = 1', "unknown key 'model.expert'; allowed: experts, "),
        ('arch = "moe"\n[model]\nexperts = -1', "model.experts = -1: below 1 is not allowed"),
        ("arch = ", "m.toml: not TOML"),
    ],
)
def test_a_wrong_toml_is_one_line_that_names_file_key_and_what_fits(tmp_path, text, message):
    _toml(tmp_path / "plan", text)
    with pytest.raises(InputError, match=message) as error:
        write_snapshots(tmp_path / "plan", tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_comment_leaves_the_snapshot_and_its_time_alone(tmp_path):
    path = _toml(tmp_path, 'arch = "moe"\n[training]\nlr = 0.01\n')
    snapshot = tmp_path / "config.json"
    assert write_snapshot(snapshot, read_toml(path, ModelConfig))
    before = snapshot.stat().st_mtime_ns
    _toml(tmp_path, '# why\narch="moe"\n[training]\nlr = 1e-2  # 0.01\n\n[inputs]\n')
    assert not write_snapshot(snapshot, read_toml(path, ModelConfig))
    assert snapshot.stat().st_mtime_ns == before
    assert read_snapshot(snapshot, ModelConfig) == read_toml(path, ModelConfig)
    _toml(tmp_path, 'arch = "moe"\n[training]\nlr = 0.02\n')
    assert write_snapshot(snapshot, read_toml(path, ModelConfig))


def test_an_empty_plan_names_the_plans_there_are(tmp_path):
    _toml(tmp_path / "small", 'arch = "moe"')
    with pytest.raises(InputError, match="smal: no models .* plans: small"):
        write_snapshots(tmp_path / "smal", tmp_path / "out")


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with writing(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"
    with writing(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "x").write_text("new")
    assert (tmp_path / "a" / "x").read_text() == "new"


def test_two_processes_never_work_in_one_folder(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from yt8m.base.files import working_in\n"
        "with working_in(Path(sys.argv[1])):\n    print('in', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "job")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as first:
        assert first.stdout.readline() == "in\n"
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as second:
            assert "waiting" in second.stdout.readline()
            first.kill()  # the lock dies with its holder
            assert second.stdout.readline() == "in\n"
            second.kill()
    with working_in(tmp_path / "job"):
        pass


def test_fingerprints_differ_when_a_file_or_a_text_does(tmp_path):
    (tmp_path / "a").write_text("1")
    first = fingerprint(tmp_path / "a", 3)
    assert first == fingerprint(tmp_path / "a", 3)
    (tmp_path / "a").write_text("2")
    assert fingerprint(tmp_path / "a", 3) != first != fingerprint(tmp_path / "a", 4)


def test_a_full_disk_is_one_line_and_any_other_failure_a_traceback(capsys):
    def main(number: int) -> None:
        """Writes."""
        raise OSError(number, os.strerror(number), "a.npz")

    with pytest.raises(SystemExit, match="2"):
        cli.run(main, [str(errno.ENOSPC)])
    expected = "error: a.npz: No space left on device; free some and run the command again\n"
    assert capsys.readouterr().err == expected
    with pytest.raises(OSError, match=r"Input/output error"):
        cli.run(main, [str(errno.EIO)])


def test_what_fails_on_a_full_disk_says_so_whoever_wrote(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    cases = [(1000, "short write", InputError), (1 << 30, "short write", RuntimeError)]
    cases += [(1 << 30, "I/O error: No space left on device (os error 28)", InputError)]
    for free, text, expected in cases:
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage._replace(free=free))
        with pytest.raises(expected, match="the disk is full; free some|short write"):
            with writing(tmp_path / "a.pt"):
                raise RuntimeError(text)
        assert not list(tmp_path.iterdir())
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=0))
    with pytest.raises(InputError, match="a feature is not finite"):  # what is known is told
        with writing(tmp_path / "a.pt"):
            raise InputError("record 3: a feature is not finite")


def test_a_users_mistake_is_one_line_and_status_2(capsys):
    def main(path: Path, *, times: int = 1) -> None:
        """Reads PATH."""
        raise InputError(f"{path}: read\n{times} times")

    with pytest.raises(SystemExit, match="2"):
        cli.run(main, ["a.txt", "--times", "3"])
    assert capsys.readouterr().err == "error: a.txt: read 3 times\n"
    for words, what in (
        (["a.txt", "--time", "3"], "unrecognized arguments: --time 3"),
        (["a.txt", "--times", "abc"], "--times: abc: a whole number is needed"),
        ([], "the following arguments are required: PATH"),
    ):
        with pytest.raises(SystemExit, match="2"):
            cli.run(main, words)
        assert capsys.readouterr().err == f"error: {what}; see python -m test_config --help\n"


def test_a_path_that_cannot_be_used_is_named_first(tmp_path, capsys):
    def main(path: Path) -> None:
        """Reads PATH."""
        path.read_text()

    for path, what in (("no", "no such file or directory"), (".", "is a directory")):
        with pytest.raises(SystemExit, match="2"):
            cli.run(main, [str(tmp_path / path)])
        expected = f"error: {tmp_path / path}: {what}; choose another path\n"
        assert capsys.readouterr().err == expected
