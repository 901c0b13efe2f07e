"""A small plan in a copy of the project, for make to run: what the torture is done to."""

import hashlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from yt8m.base.locks import is_passing
from yt8m.base.paths import (
    BOOSTER_TRAINING,
    REPORT,
    ROWS_ABOUT,
    RUN_LOG,
    TABLE,
    TRAINING,
    Artifacts,
)

ROOT = Path(__file__).parents[2]
PACKAGES = ("yt8m", "folds", "first_level", "stacking", "distill", "jobs", "report")
CONFIGS = {
    "first_level/configs/tiny/resnet.toml": "arch = 'resnet'\n[model]\nwidth = 16\n"
    "dropout = 0.0\n[training]\nepochs = 6\nlr = 0.01\nbatch_size = 32\n",
    "first_level/configs/tiny/lstm.toml": "arch = 'lstm'\n[model]\nwidth = 4\nlayers = 1\n"
    "hidden = [8]\n[inputs]\nnormalise = 'standard'\n[training]\nepochs = 2\n",
    "stacking/configs/tiny.toml": "candidates = 6\nlearner = 'both'\n[booster]\nmax_rounds = 8\n"
    "[network.training]\nepochs = 2\n",
    "distill/configs/tiny.toml": "scale = 0.02\n[resnet.model]\nwidth = 8\n[resnet.training]\n"
    "epochs = 4\n[extractors]\nepochs = 1\n[last_layers]\nepochs = 2\n",
}
FILES = Artifacts(Path(), Path())
# What holds a duration or a commit, or only saves a look.
TIMED = {REPORT, TRAINING, BOOSTER_TRAINING, ROWS_ABOUT, RUN_LOG, TABLE, "jobs.mk"}
TIMED |= {path.name for path in (FILES.summary, FILES.page, FILES.jobs, FILES.looked)}
CHECKPOINTS = "0.001"  # seconds between them: one after every epoch
SECONDS = 900  # that one make may take


def build_world(folder: Path, videos: int = 160) -> Path:
    """A copy of the project with the plan `tiny`, and records with frames."""
    tree = folder / "tree"
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__", "paper", "audioset", "best")
        shutil.copytree(ROOT / package, tree / package, ignore=ignore)
    for name in ("Makefile", "requirements.lock"):
        shutil.copy(ROOT / name, tree)
    for name, text in CONFIGS.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(text)
    sizes = {"videos": videos, "classes": 8, "rgb": 12, "audio": 4, "max-frames": 12, "shards": 3}
    words = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
    command = [sys.executable, "-m", "yt8m.records.synthetic", "records", "--frames", *words]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    return tree


def environment() -> dict[str, str]:
    """That of a person's shell, not of the make that runs this."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS", "YT8M"))}


def start(
    tree: Path, artifacts: str, *settings: str, bytes_of_a_file: int = 0, more: Mapping = {}
) -> subprocess.Popen:
    """Starts `make all` in a session of its own. bytes_of_a_file: the most that a file may have."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_of_a_file, bytes_of_a_file))

    command = ["make", "all", "PLAN=tiny", "DATA=records", f"ARTIFACTS={artifacts}", "JOBS=2"]
    return subprocess.Popen(
        [*command, f"PYTHON={sys.executable}", "HOLDOUT=0.2", *settings],
        cwd=tree,
        env=environment() | {"YT8M_CHECKPOINT_SECONDS": CHECKPOINTS, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=limit if bytes_of_a_file else None,
    )


def finish(make: subprocess.Popen) -> tuple[int, str]:
    """(exit status, what it printed)."""
    try:
        printed, _ = make.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(make.pid, signal.SIGKILL)
        printed, _ = make.communicate()
        return 124, printed
    return make.returncode, printed


def contents(run: Path) -> dict[str, str]:
    """A hash of every file of a run that does not hold a duration."""
    return {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in run.rglob("*")
        if path.is_file() and path.name not in TIMED and not is_passing(path)
        if "receipts" not in path.parts
    }


def difference(run: Path, expected: Mapping[str, str]) -> str:
    """The files that differ from those of an undisturbed run; empty if none does."""
    found = contents(run)
    names = {n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)}
    return ", ".join(sorted(names)[:6])
