"""SHA256SUMS of an export: the checksums of its files, in the form that `sha256sum -c` reads."""

import hashlib
from pathlib import Path

from yt8m.base.cli import InputError, log
from yt8m.base.paths import EXPORT_SUMS


def state_sums(folder: Path) -> None:
    """Writes the checksums of all files of the folder."""
    paths = sorted(path for path in folder.iterdir() if path.name != EXPORT_SUMS)
    (folder / EXPORT_SUMS).write_text("".join(f"{_sum_of(p)}  {p.name}\n" for p in paths))


def check_sums(folder: Path, name: str) -> None:
    """InputError when a file of the export is absent or is not as it was written. A folder without
    checksums, of older code, only gets a warning."""
    sums = folder / EXPORT_SUMS
    if not sums.is_file():
        log(f"warning: {folder}: has no {EXPORT_SUMS}; {name} is not compared; export again")
        return
    stated = [line.partition("  ")[::2] for line in sums.read_text(errors="replace").splitlines()]
    try:
        right = (_sum_of(folder / name), name) in stated
    except FileNotFoundError:
        right = False
    if not right:
        raise InputError(
            f"{folder / name}: is not as {EXPORT_SUMS} says; copy the export again, or run "
            "`make export`"
        )


def _sum_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
