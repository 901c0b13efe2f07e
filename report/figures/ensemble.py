"""What each model adds to the ensemble, and how alike the models are.

All figures use the candidates of one sample of videos (report.run.Sample) that neither these models
nor what stacks them saw. m models, n videos, M candidates.
"""

import numpy as np
from markupsafe import Markup
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from report.figures.svg import Figure, shades
from report.run import FOLD, Run, Sample, choose, prefix_of, sample, source_of
from stacking import features
from stacking.config import Stacking
from stacking.learners.learned import Learned
from stacking.table import column_names
from yt8m.base.config import read_snapshot
from yt8m.base.files import read_json
from yt8m.base.paths import CONFIG, ROWS_ABOUT
from yt8m.data.splits import seed_of
from yt8m.training.metrics import gap

VIDEOS = 2000  # of the sample
SIDE, NAMES = 600, 190  # of the map of correlations and of what stands beside it, drawing units
NAMED, NUMBERED = 45, 24  # models at most for names beside the map, for numbers in it
SHUFFLED = 500  # of them, for the permutation: m + 1 predictions of the stack


def draw(run: Run) -> Sample:
    """The sample of all these figures."""
    prefix = prefix_of(run)
    return sample(run, prefix, choose(np.array(run.rows(prefix).ids), VIDEOS))


def correlations(group: Sample) -> np.ndarray:
    """Correlation of the models' logits over all candidates: (m, m)."""
    flat = group.logits.reshape(len(group.logits), -1).astype(np.float64)
    flat = flat - flat.mean(1, keepdims=True)
    flat /= np.maximum(np.sqrt(np.square(flat).sum(1, keepdims=True)), 1e-12)
    return np.clip(flat @ flat.T, -1, 1)


def shuffled_losses(run: Run, group: Sample) -> tuple[float, np.ndarray]:
    """(the stack's GAP@20, its loss when a model's scores come from another video, float (m,)).

    Columns made of all models (mean, margins, entropy, ...) are recomputed; counts of top-5 and
    top-20 lists, and columns from labels, stay.
    """
    files = run.files
    settings = read_snapshot(files.stacking / CONFIG, Stacking)
    about = read_json(files.stack_rows(FOLD) / ROWS_ABOUT)
    stack, names = Learned.read(files.stack_fold(FOLD), settings, about), column_names(about)
    count, part = len(run.models), slice(0, SHUFFLED)
    chosen = group.videos[part]
    matrix = group.rows.matrix(chosen, 0)
    tops = [matrix[:, names.index(n)].reshape(len(chosen), -1) for n in ("in_top5", "in_top20")]
    logits = np.array(group.logits[:, part])  # (m, n, M)
    columns = features.names(run.models, {})
    labels, classes = run.labels_of(group.ids[part]), group.classes[part]

    def score(changed: np.ndarray) -> float:
        made = np.broadcast_arrays(*changed, *features.of_models(changed, *tops))
        for name, column in zip(columns, made, strict=True):
            if name in names:  # rows of older code may have fewer
                matrix[:, names.index(name)] = column.reshape(-1)
        raw = stack.score(matrix)
        return gap(classes, raw.reshape(classes.shape), labels)

    whole = score(logits)
    order = np.random.default_rng(seed_of("report", "shuffled")).permutation(len(chosen))
    losses = np.empty(count)
    for model in range(count):
        changed = logits.copy()
        changed[model] = logits[model, order]
        losses[model] = whole - score(changed)
    return whole, losses


def importance(run: Run, group: Sample) -> tuple[list[dict], float, int]:
    """A line for each model, by its share of the gain: (lines, GAP@20 of the stack, videos)."""
    alike = correlations(group)
    whole, losses = shuffled_losses(run, group)
    np.fill_diagonal(alike, -2)
    lines = []
    for index, name in enumerate(run.models):
        nearest = int(alike[index].argmax())
        lines.append(
            {
                "model": name,
                "gain": run.stack["members"][name]["gain"],
                "loss": float(losses[index]),
                "nearest": run.models[nearest] if len(run.models) > 1 else None,
                "correlation": float(alike[index, nearest]) if len(run.models) > 1 else None,
            }
        )
    return sorted(lines, key=lambda line: -line["gain"]), whole, min(SHUFFLED, len(group.ids))


def correlation_map(run: Run, group: Sample) -> Figure:
    """The correlations, alike models side by side."""
    title = "How alike the models are"
    alike = correlations(group)
    order = _by_likeness(alike)
    alike, names = alike[np.ix_(order, order)], [run.models[i] for i in order]
    low = min(float(np.floor(alike.min() * 10) / 10), 0.9)
    drawing = _draw(title, alike, names, low)
    reading = (
        f"Correlation of two models' scores: no colour = {low:.1f}, full colour = 1. Models that "
        "are alike stand side by side; a strong block is redundant, a faint row brings more."
    )
    source = f"logits of the candidates of {source_of(run, len(group.ids))}"
    return Figure(title, drawing, reading, source, wide=True)


def _draw(title: str, alike: np.ndarray, names: list[str], low: float) -> Markup:
    """The map. Names and numbers that would be too small to read appear on hovering."""
    count, side = len(names), SIDE
    left, step = NAMES if count <= NAMED else 10, SIDE / count
    edges = np.linspace(0, side, count + 1)
    strength = (alike - low) / (1 - low)
    shapes = [shades(left + edges, edges + 6, strength)]
    small = min(13.0, step * 0.32)
    for i, j in np.ndindex(count, count) if count <= NUMBERED else []:
        style = "on" if strength[i, j] > 0.55 else "off"
        x, y = left + (j + 0.5) * step, 6 + (i + 0.5) * step + small * 0.35
        shapes.append(
            f'<text class="cell {style}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle" '
            f'style="font-size:{small:.1f}px">{_two(alike[i, j])}</text>'
        )
    size = min(13.0, step * 0.8, 1.7 * NAMES / max(map(len, names)))
    for i, name in enumerate(names):
        y = 6 + i * step
        shapes.append(
            f'<rect class="touch" x="{left}" y="{y:.1f}" width="{side}" height="{step:.1f}">'
            f"<title>{name}</title></rect>"
        )
        if count <= NAMED:
            shapes.append(
                f'<text class="tick" x="{left - 8}" y="{y + step / 2 + size * 0.35:.1f}" '
                f'text-anchor="end" style="font-size:{size:.1f}px">{name}</text>'
            )
    return Markup(
        f'<svg viewBox="0 0 {left + side + 6} {side + 12}" role="img" aria-label="{title}">'
        f"{''.join(shapes)}</svg>"
    )


def _two(value: float) -> str:
    return f"{value:.2f}".replace("0.", ".", 1) if abs(value) < 0.995 else "1"


def _by_likeness(alike: np.ndarray) -> np.ndarray:
    """An order in which neighbours are alike (leaves of average linkage)."""
    if len(alike) < 3:
        return np.arange(len(alike))
    distance = np.clip(1 - (alike + alike.T) / 2, 0, None)
    np.fill_diagonal(distance, 0)
    return leaves_list(linkage(squareform(distance, checks=False), "average", True))
