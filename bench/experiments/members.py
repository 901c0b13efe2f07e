"""How the stack's GAP grows with its members, and which of them it could do without.

    python -m bench.experiments.members artifacts/best artifacts/best/store OUT --threads 2

of a run whose first level and stack are complete. The booster that never saw fold 0 is trained
again over some of the members: the strongest 1, 2, 4, ... by out-of-fold GAP; the same numbers, but
one of each architecture first; all but one; or the sets of --sets "a+b a+c+d". GAP on fold 0 may
decide choices; GAP on the holdout is that of one fold's versions. Finished lines are kept. The
table is printed, and written as OUT/table.md.
"""

import shutil
import time
from pathlib import Path

from bench.experiments.stack import boost, read_sets, write_rows
from first_level.config import ModelConfig
from stacking.config import Stacking
from stacking.writer import RowWriter
from yt8m.base import cli
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, read_json, working_in, write_json
from yt8m.base.paths import CONFIG, REPORT, Artifacts
from yt8m.base.tables import publish, table
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.training.metrics import gap

FOLD = 0
LONGEST = 200  # characters of a folder's name


def main(
    run: Path, store: Path, out: Path, *, threads: int = 1, each: bool = True, sets: str = ""
) -> None:
    """Trains a booster for each set of members. --no-each leaves out "all but one"."""
    data = Store(store)
    files = Artifacts(run, store)
    splits = Splits.read(files.folds, data.ids)
    settings = read_snapshot(files.stacking / CONFIG, Stacking)
    writer, lines = RowWriter(data, splits, settings), []
    with working_in(out):
        for title, members in (read_sets(run, sets) if sets else choose_sets(run, each)).items():
            found = measure(files, writer, members, out / _name(title), threads)
            figures = [f"{found['fold']:.4f}", f"{found['holdout']:.4f}", f"{found['seconds']:.0f}"]
            lines.append([title, str(len(members)), *figures])
        text = table(["members", "number", f"GAP fold {FOLD}", "GAP holdout", "seconds"], lines)
        publish(text, out / "table.md")


def choose_sets(run: Path, each: bool) -> dict[str, list[str]]:
    """Sets of members, by their title in the table."""
    figures = read_json(Artifacts.of_run(run).stacking / REPORT)["members"]
    strong = sorted(figures, key=lambda name: -figures[name]["gap_oof"])
    mixed = _one_of_each_first(run, strong)
    sets = {}
    for size in (1, 2, 4, 8, 16, 32, 64):
        if size < len(strong):
            sets[f"strongest {size}"] = strong[:size]
            sets[f"different {size}"] = mixed[:size]
    sets["all"] = strong
    for name in strong if each else ():
        sets[f"without {name}"] = [other for other in strong if other != name]
    return sets


def _one_of_each_first(run: Path, names: list[str]) -> list[str]:
    """The same names: the first of each architecture, then the second of each, ..."""
    place, seen = {}, {}
    for name in names:
        arch = read_snapshot(Artifacts.of_run(run).model(name) / CONFIG, ModelConfig).arch
        place[name] = seen[arch] = seen.get(arch, -1) + 1
    return sorted(names, key=lambda name: place[name])


def measure(
    files: Artifacts, writer: RowWriter, members: list[str], out: Path, threads: int
) -> dict:
    """GAP@20 on fold FOLD and on the holdout of a booster over `members`, and its seconds."""
    if (out / "result.json").is_file():
        return read_json(out / "result.json")
    out.mkdir(exist_ok=True)
    write_rows(out, files, sorted(members), writer)
    started, data = time.monotonic(), writer.store
    found = boost(out, FOLD, writer.settings, threads)
    result = {"seconds": round(time.monotonic() - started, 2)}
    for name, rows in (("fold", writer.splits.rows(FOLD)), ("holdout", writer.splits.holdout)):
        part = found.align(data.ids[rows])
        result[name] = gap(part.classes, part.logits, data.labels.take(rows))
    for k in range(NUM_FOLDS):
        shutil.rmtree(out / f"fold{k}")
    write_json(out / "result.json", result)
    return result


def _name(title: str) -> str:
    """The folder of a set; file systems limit the length of a name."""
    return title.replace(" ", "_") if len(title) < LONGEST else fingerprint(title)


if __name__ == "__main__":
    cli.run(main)
