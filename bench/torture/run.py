"""Tortures a small plan and counts what it survived: `make torture`, in half an hour.

    python -m bench.torture.run OUT [--kills 50] [--mutants 100000] [--seed 0] [--only "kills"]

Parts: kills (SIGKILL at random moments of every stage, a checkpoint after every epoch), full (a
limit on the size of files that grows; as root, a disk of memory that grows), damage (every kind of
file deleted, cut, flipped and exchanged with its neighbour, then make), readers (the same, read
without make), makes (two at once), mutants (mutated records with mended checksums through both
readers). A run survives when the same command ends it, and every file that holds no duration is
that of an undisturbed run. OUT/torture.md is the table; what was lost is named below it.
"""

import tempfile
import time
from pathlib import Path

from bench.speed.measure import circumstances
from bench.torture.tries import PARTS, Torture
from bench.torture.world import build_world, contents, finish, start
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import write_json
from yt8m.base.tables import publish, table


def main(
    out: Path, *, kills: int = 50, mutants: int = 100_000, seed: int = 0, only: str = ""
) -> None:
    """Tries all parts, or those that --only names, and writes OUT/torture.md and .json."""
    wanted = only.split() or list(PARTS)
    unknown = [part for part in wanted if part not in PARTS]
    if unknown:
        raise InputError(f"--only {only}: no part {unknown[0]}; parts: {', '.join(PARTS)}")
    rows, lost = [], []
    with tempfile.TemporaryDirectory(prefix="torture-") as folder:
        tree, started = build_world(Path(folder)), time.monotonic()
        status, printed = finish(start(tree, "a"))
        if status:
            raise InputError(f"{tree}: an undisturbed run failed: {printed[-2000:]}")
        log(f"undisturbed: {time.monotonic() - started:.0f} s")
        torture = Torture(tree, contents(tree / "a/tiny"), kills, mutants, seed)
        for part in wanted:
            started = time.monotonic()
            for kind, tried, wrong in PARTS[part](torture):
                rows.append([kind, f"{tried:,}", f"{tried - len(wrong):,}", str(len(wrong))])
                lost += [f"{kind}: {text}" for text in wrong]
                log(f"{kind}: {tried:,} tried, {len(wrong)} lost {wrong[:2]}")
            log(f"{part}: {time.monotonic() - started:.0f} s")
    write_json(out / "torture.json", {"rows": rows, "lost": lost, "seed": seed, **circumstances()})
    publish([*table(["kind", "tried", "survived", "lost"], rows), "", *lost], out / "torture.md")
    if lost:
        raise InputError(f"{out / 'torture.md'}: {len(lost)} were lost; see the lines there")


if __name__ == "__main__":
    cli.run(main)
