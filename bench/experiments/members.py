"""How the stack's GAP grows with its members, and which of them it could do without.

    python -m bench.experiments.members artifacts/best artifacts/best/store OUT --threads 2

of a run whose first level and stack are complete. The booster that never saw fold 0 is trained
anew over some of the members: the strongest 1, 2, 4, ... by their out-of-fold GAP; as many, but one
of each architecture first; and all but one; or --sets "a+b a+c+d" of them. Scored on fold 0, by
which choices may be made, and on the holdout, by the versions of one fold. A finished line is not
measured again. The table is printed, and written as OUT/table.md.
"""

import shutil
from pathlib import Path

from first_level.config import ModelConfig
from stacking import predict, rows, train
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import fingerprint, read_json, remove, working_in, write_json, writing
from yt8m.base.tables import table
from yt8m.data.predictions import Predictions
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
    splits = Splits.read(run / "folds.safetensors", data.ids)
    lines = []
    with working_in(out):
        for title, members in (named(run, sets) if sets else chosen(run, each)).items():
            found = measured(run, store, data, splits, members, out / _name(title), threads)
            figures = [f"{found['fold']:.4f}", f"{found['holdout']:.4f}", f"{found['seconds']:.0f}"]
            lines.append([title, str(len(members)), *figures])
        text = table(["members", "number", f"GAP fold {FOLD}", "GAP holdout", "seconds"], lines)
        cli.log("\n".join(text))
        with writing(out / "table.md") as temporary:
            temporary.write_text("\n".join(text) + "\n")


def chosen(run: Path, each: bool) -> dict[str, list[str]]:
    """Sets of members by what the table calls them."""
    figures = read_json(run / "stacking" / "report.json")["members"]
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


def named(run: Path, sets: str) -> dict[str, list[str]]:
    """The sets that "a+b c" names. InputError when one is no member of the run."""
    there = read_json(run / "stacking" / "report.json")["members"]
    found = {text: text.split("+") for text in sets.split()}
    for name in (name for members in found.values() for name in members):
        if name not in there:
            raise InputError(
                f"--sets: {name!r} is no member of {run}; there are: {', '.join(there)}"
            )
    return found


def _one_of_each_first(run: Path, names: list[str]) -> list[str]:
    """The same names: the first of each architecture, then the second of each, ..."""
    place, seen = {}, {}
    for name in names:
        arch = read_snapshot(run / "first_level" / name / "config.json", ModelConfig).arch
        place[name] = seen[arch] = seen.get(arch, -1) + 1
    return sorted(names, key=lambda name: place[name])


def measured(
    run: Path, store: Path, data, splits: Splits, members: list[str], out: Path, threads: int
) -> dict:
    """GAP@20 on fold FOLD and on the holdout of a booster over `members`, and its seconds."""
    if (out / "result.json").is_file():
        return read_json(out / "result.json")
    out.mkdir(exist_ok=True)
    (out / "models.txt").write_text("".join(f"{name}\n" for name in sorted(members)))
    settings, folds = run / "stacking" / "config.json", run / "folds.safetensors"
    for k in range(NUM_FOLDS):
        to = out / f"fold{k}" / "rows"
        rows.main(settings, out / "models.txt", run, store, folds, to, fold=k)
    booster, found = out / "model.txt", out / "predictions.safetensors"
    train.main(settings, out, booster, fold=FOLD, threads=threads)
    own = out / f"fold{FOLD}" / "rows"
    predict.main(settings, own, booster, found, fold=FOLD, threads=threads)
    scored = Predictions.read(found)
    result = {"seconds": read_json(out / "train.json")["seconds"]}
    for name, wanted in (("fold", splits.rows(FOLD)), ("holdout", splits.holdout)):
        part = scored.align(data.ids[wanted])
        labels = data.labels.take(wanted)
        result[name] = gap(part.classes[:, :20], part.logits[:, :20], labels)
    for k in range(NUM_FOLDS):
        shutil.rmtree(out / f"fold{k}")
    remove(booster)
    write_json(out / "result.json", result)
    return result


def _name(title: str) -> str:
    """The folder of a set; a file system takes no name of any length."""
    return title.replace(" ", "_") if len(title) < LONGEST else fingerprint(title)


if __name__ == "__main__":
    cli.run(main)
