"""The report: one HTML file on what a run did, how good it is and where it is wrong.

    python -m report.page artifacts/small artifacts/small/store artifacts/small/report.html

Self-contained: it needs no network and no other file. Every figure names its videos: the holdout,
or videos out of fold. docs/report.md explains its parts.
"""

import base64
import datetime
import hashlib
import json
from pathlib import Path

import jinja2
from markupsafe import Markup

from report import browser, overview
from report.figures import clean, confidence, curves, ensemble, error_figures
from report.run import FOLD, Run, source_of
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import working_in, writing
from yt8m.base.tables import FIGURES
from yt8m.inputs.settings import Inputs

TEMPLATES = Path(__file__).parent / "templates"


def main(run: Path, store: Path, out: Path, *, videos: int = 200) -> None:
    """Writes OUT from the folder RUN. --videos: how many its browser of predictions holds."""
    if videos < 0:
        raise InputError(f"--videos {videos}: must be 0 or more")
    with working_in(out.parent), writing(out) as temporary:
        page = render(Run(run, store), videos)
        temporary.write_text(page, encoding="utf-8")
    log(f"[report] {out}: {len(page.encode()) / 1e6:.2f} MB")


def render(run: Run, videos: int) -> str:
    """The page as HTML."""
    lines = overview.systems(run)
    values = (
        _head(run, lines)
        | _steps(overview.ladder(lines, run.reranker_seconds))
        | _errors(run)
        | _ensemble(run)
    )
    panels, left_out = curves.learning(run)
    compared = clean.groups(run)
    predictions = browser.data(run, videos)
    values |= {
        "systems": lines,
        "figure_titles": FIGURES,
        "flow": overview.flow(run),
        "clean_figures": [clean.figure(group) for group in compared],
        "clean_lines": [line for group in compared for line in clean.lines(group)],
        "curves": panels,
        "curves_left_out": left_out,
        "scenes": curves.scenes(run),
        "threshold": Inputs().scene_threshold,
        "browser": predictions,
        "browser_json": embed(predictions),
        "settings": overview.settings(run),
        "machine": overview.machine(),
        "style": _text("style.css"),
        "script": (script := _text("script.js")),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }
    functions = {"shown": overview.text_of, "duration": overview.duration}
    return _template().render(values | functions | {"place": place, "small": small})


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _head(run: Run, lines: list[dict]) -> dict:
    """The headline and its numbers."""
    return {
        "plan": run.files.run.resolve().name,
        "folder": run.summary["run"],
        "revision": run.summary["commits"] or "unknown",
        "made": datetime.date.today().isoformat(),
        "headline": _headline(run, lines),
        "numbers": _numbers(run, lines),
        "alarms": run.summary.get("alarms", []),
        "holdout": run.has_holdout,
        "fold": FOLD,
    }


def _headline(run: Run, lines: list[dict]) -> str:
    export, stack = (_find(lines, name) for name in ("export", "stack"))
    size = f"{export['megabytes']:,.1f}\u00a0MB"
    if not run.has_holdout:
        return (
            f"One model of {size}, learnt from an ensemble of GAP@20\u00a0"
            f"{overview.text_of(stack['gap_oof'])} out of fold; no holdout to measure it on"
        )
    return (
        f"One model of {size} reaches GAP@20\u00a0{overview.text_of(export['gap_single'])} on "
        f"{len(run.splits.holdout):,} videos that no stage saw"
    )


def _numbers(run: Run, lines: list[dict]) -> list[tuple[str, str, str]]:
    """(name, number, note) of the numbers below the headline."""
    models = [line for line in lines if line["kind"] == "model"]
    best = max(models, key=lambda line: line["gap_oof"] or 0)
    export, stack = (_find(lines, name) for name in ("export", "stack"))
    size, figure = f"{export['megabytes']:,.1f} MB", overview.text_of
    chosen, many = f"{best['system']}, chosen out of fold", f"{len(models)} x 5 models"
    if run.has_holdout:
        numbers = [
            ("export", figure(export["gap_single"]), f"GAP@20, holdout; {size}"),
            ("stack", figure(stack["gap_five"]), many),
            ("best single model", figure(best["gap_single"]), chosen),
        ]
    else:
        numbers = [
            ("export", size, "not measured: no holdout"),
            ("stack", figure(stack["gap_oof"]), f"GAP@20 out of fold; {many}"),
            ("best single model", figure(best["gap_oof"]), chosen),
        ]
    noted = sum(stage["seconds"] or 0 for stage in overview.flow(run))
    numbers.append(("trained on", f"{len(run.splits.training):,}", "videos"))
    return [*numbers, ("jobs took", overview.duration(noted), "all together")]


def _find(lines: list[dict], system: str) -> dict:
    return next(line for line in lines if line["system"] == system)


def _steps(ladder: list[dict]) -> dict:
    gaps = [step["gap"] for step in ladder if step["gap"] is not None] or [0, 1]
    spare = (max(gaps) - min(gaps)) * 0.15 or 0.01
    return {
        "ladder": ladder,
        "gap_low": min(gaps) - spare,
        "gap_high": max(gaps) + spare,
        "most_megabytes": max(step["megabytes"] or 0 for step in ladder),
        "most_seconds": max(step["seconds"] for step in ladder),
    }


def _errors(run: Run) -> dict:
    analysis = error_figures.analyse(run)
    return {
        "error_source": analysis.source,
        "counts": analysis.counts,
        "error_figures": error_figures.figures(run, analysis),
        "class_json": embed(error_figures.class_table(run, analysis)),
    }


def _ensemble(run: Run) -> dict:
    group = ensemble.draw(run)
    lines, whole, swapped = ensemble.importance(run, group)
    others = [name for name in run.stack["importance"] if name not in run.models]
    return {
        "confidence": confidence.figures(run, group),
        "correlation": ensemble.correlation_map(run, group),
        "importance": lines,
        "most_gain": max(line["gain"] for line in lines),
        "most_loss": max(line["loss"] for line in lines),
        "other_gain": sum(run.stack["importance"][name] for name in others),
        "other_names": ", ".join(others[:3]),
        "swapped_gap": whole,
        "swapped_source": source_of(run, swapped),
    }


def embed(value) -> Markup:
    """JSON that is safe inside a <script>: it cannot contain `</script>` or `<!--`."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return Markup(text.replace("<", "\\u003c"))


def place(value: float | None, low: float, high: float) -> str:
    """Per cent of the way from low to high, within 0 and 100."""
    share = 0.0 if value is None or high <= low else (value - low) / (high - low)
    return f"{100 * min(max(share, 0.0), 1.0):.2f}"


def small(value: float | None) -> str:
    """0.00097 as 9.7e-4, for a table."""
    if value is None:
        return "–"
    mantissa, exponent = f"{value:.2e}".split("e")
    return f"{value:.4f}" if value >= 0.01 else f"{mantissa}e{int(exponent)}"


def _text(name: str) -> Markup:
    return Markup((TEMPLATES / name).read_text(encoding="utf-8"))


if __name__ == "__main__":
    cli.run(main)
