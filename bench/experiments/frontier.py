"""What a budget buys: exports of some sets of a run's refitted models, GAP@20 over MB.

    python -m bench.experiments.frontier artifacts/best OUT "a a+b a+b+c" --dtypes int8

of a run that is complete. Each set gets its own rows, its own network over them and its own export,
by the stages' own verbs. GAP on fold 0 is of fold models under a network that never saw the fold:
it may decide choices. GAP on the holdout is of the graph as it is stored. Finished points are kept.
OUT gets table.md, frontier.svg and points.json.
"""

from pathlib import Path

from bench.experiments.jobs import run_verb
from bench.experiments.stack import read_sets, write_rows
from distill.config import DistillConfig
from report.figures.svg import Axis, Plot
from stacking.config import Stacking
from stacking.learners.learned import Learned
from stacking.table import ALL, FOLD_PREFIX, Rows
from stacking.writer import RowWriter
from yt8m.base import cli
from yt8m.base.config import read_snapshot, write_snapshot
from yt8m.base.files import fingerprint, read_json, remove, working_in, write_json, writing
from yt8m.base.paths import CONFIG, EXPORT_GRAPH, HEAD, ROWS, ROWS_ABOUT, Artifacts, fold_folder
from yt8m.base.tables import publish, table
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.training.metrics import gap

FOLD = 0
STYLE = (  # of the picture
    "svg{background:#fff} text{font:12px sans-serif;fill:#333} .axis,.grid{stroke:#ddd} "
    ".line{fill:none;stroke:#1b6ca8;stroke-width:2} .many{stroke:#333;stroke-linecap:round}"
)


def main(run: Path, out: Path, sets: str, *, dtypes: str = "int8") -> None:
    """Exports each set of SETS in each dtype, such as --dtypes "float16 int8"."""
    files = Artifacts.of_run(run)
    data = Store(files.store)
    splits, points = Splits.read(files.folds, data.ids), []
    with working_in(out):
        for title, members in read_sets(run, sets).items():
            folder = out / fingerprint(title)[:16]
            fold = learn(files, folder, sorted(members), data, splits)
            for dtype in dtypes.split():
                points.append({"members": title, "dtype": dtype, "fold": fold})
                points[-1] |= export(files, folder, dtype)
        write_json(out / "points.json", points)
        lines = [[p["members"], p["dtype"], *_figures(p)] for p in points]
        titles = ["members", "weights", "MB of the graph", f"GAP fold {FOLD}", "GAP holdout"]
        publish(table([*titles, "mAP", "Hit@1", "PERR"], lines), out / "table.md")
        with writing(out / "frontier.svg") as temporary:
            temporary.write_text(draw(points))


def learn(files: Artifacts, folder: Path, members: list[str], data: Store, splits: Splits) -> float:
    """Lays out a run of these members below `folder`, with the last layer of a student; returns
    GAP@20 on fold FOLD of a network that never saw it."""
    if (folder / "fold.json").is_file():
        return read_json(folder / "fold.json")
    own, settings = Artifacts.of_run(folder), read_snapshot(files.stacking / CONFIG, Stacking)
    for link, target in ((own.first_level, files.first_level), (own.stacking, files.stacking)):
        link.parent.mkdir(parents=True, exist_ok=True)
        remove(link)
        link.symlink_to(target.resolve())
    own.distill.mkdir(exist_ok=True)
    remove(own.distill / "refit")
    (own.distill / "refit").symlink_to((files.distill / "refit").resolve())
    write_rows(own.reranker, files, members, RowWriter(data, splits, settings, frames=False))
    config, refit = files.stacking / CONFIG, {"models": tuple(members)}
    write_snapshot(own.distill / CONFIG, DistillConfig.model_validate({"refit": refit}))
    held = fold_folder(own.reranker, FOLD)
    for fold, out in ((ALL, own.reranker), (FOLD, held)):
        arguments = [config, own.reranker, out / HEAD, "--fold", fold, "--learner", "network"]
        run_verb("stacking.train", arguments, folder, f"{'+'.join(members)} fold {fold}")
    network = settings.model_copy(update={"learner": "network"})
    learned = Learned.read(held, network, read_json(held / ROWS / ROWS_ABOUT))
    rows = splits.rows(FOLD)
    found = learned.predict([(Rows.open(held / ROWS, FOLD_PREFIX), FOLD)], 256, folder)
    found = found.align(data.ids[rows])
    value = gap(found.classes, found.logits, data.labels.take(rows))
    write_json(folder / "fold.json", value)
    return value


def export(files: Artifacts, folder: Path, dtype: str) -> dict:
    """MB and the figures of the set's export on the holdout."""
    result, out, own = folder / f"{dtype}.json", folder / dtype, Artifacts.of_run(folder)
    if not result.is_file():
        inputs = [own.distill, own.distill / CONFIG, files.store, files.folds, files.soft_labels]
        run_verb("distill.export.write", [*inputs, out, "--dtype", dtype], folder, dtype)
        arguments = [out, files.store, files.folds, result]
        run_verb("distill.export.evaluate", arguments, folder, dtype)
    megabytes = (out / EXPORT_GRAPH).stat().st_size / 1e6
    return {"megabytes": round(megabytes, 3), "holdout": read_json(result)}


def _figures(point: dict) -> list[str]:
    holdout = point["holdout"]
    values = [point["fold"], *(holdout[key] for key in ("gap20", "map", "hit1", "perr"))]
    return [f"{point['megabytes']:.0f}", *(f"{value:.4f}" for value in values)]


def draw(points: list[dict]) -> str:
    """GAP@20 on the holdout over MB: a dot for each point, a line over the best for their size."""
    sizes, gaps = [p["megabytes"] for p in points], [p["holdout"]["gap20"] for p in points]
    low, high = min(gaps) - 0.002, max(gaps) + 0.002
    plot = Plot(Axis("MB of the graph", 0, 1.05 * max(sizes)), Axis("GAP@20", low, high))
    best = [(x, y) for x, y in zip(sizes, gaps, strict=True) if y >= _best(points, x)]
    plot.line(*zip(*sorted(best), strict=True), "accent")
    names = [f"{p['members'].count('+') + 1}, {p['dtype']}" for p in points]
    plot.dots(sizes, gaps, "ink")
    plot.names(sizes, gaps, names)
    return plot.svg("GAP@20 on the holdout over MB of the graph", STYLE) + "\n"


def _best(points: list[dict], megabytes: float) -> float:
    """The best GAP of points that are no larger."""
    return max(p["holdout"]["gap20"] for p in points if p["megabytes"] <= megabytes)


if __name__ == "__main__":
    cli.run(main)
