"""The world behind the synthetic records: classes, topics of videos, and the annotator's noise.

Classes are grouped under verticals; the first class of a vertical is its root, the parent of all
others, and a clean label of every video that shows one of them. N videos, C classes, V verticals,
K topics a video (padded with -1).
"""

from dataclasses import dataclass

import numpy as np

from yt8m.records.labels import Labels

MOST_TOPICS = 3
TOPIC_COUNTS = (0.5, 0.35, 0.15)  # of videos with 1, 2, 3 topics
SAME_VERTICAL = 0.6  # of further topics share the first one's vertical
LATENT = 24  # dimensions in which classes resemble each other
NEIGHBOURS = 5  # classes that a class is taken for
CONFUSED = 0.6  # of wrong labels are of a similar class; the rest follow the frequencies


@dataclass(frozen=True)
class World:
    """frequency (C,) sums to 1; vertical int64 (C,), classes 0..V-1 being the roots; latent
    float64 (C, 24); neighbours int64 (C, 5), the most similar first."""

    frequency: np.ndarray
    vertical: np.ndarray
    latent: np.ndarray
    neighbours: np.ndarray

    @property
    def classes(self) -> int:
        return len(self.vertical)

    @property
    def num_verticals(self) -> int:
        return int(self.vertical.max()) + 1


def make_world(classes: int, rng: np.random.Generator) -> World:
    """Class frequencies are Zipf-like; the classes of a vertical resemble each other."""
    verticals = min(25, max(2, classes // 8))
    frequency = 1 / (np.arange(classes) + 3.0) ** 0.9
    vertical = rng.integers(0, verticals, classes)
    vertical[:verticals] = np.arange(verticals)
    centres = rng.standard_normal((verticals, LATENT))
    latent = 0.6 * centres[vertical] + 0.8 * rng.standard_normal((classes, LATENT))
    latent[:verticals] = centres
    latent /= np.linalg.norm(latent, axis=1, keepdims=True)
    similar = latent @ latent.T
    np.fill_diagonal(similar, -np.inf)
    similar[:, :verticals] -= 1  # a root is a parent, not a look-alike
    neighbours = np.argsort(-similar, axis=1, kind="stable")[:, : min(NEIGHBOURS, classes - 1)]
    return World(frequency / frequency.sum(), vertical, latent, neighbours)


def draw_topics(world: World, videos: int, rng: np.random.Generator) -> np.ndarray:
    """The topics of each video, most important first: int64 (N, 3), each once, -1 = none."""
    count = rng.choice(len(TOPIC_COUNTS), videos, p=TOPIC_COUNTS) + 1
    topics = np.full((videos, MOST_TOPICS), -1)
    topics[:, 0] = _by_frequency(world, np.arange(world.classes), videos, rng)
    for column in range(1, MOST_TOPICS):
        anywhere = _by_frequency(world, np.arange(world.classes), videos, rng)
        near = anywhere.copy()
        for vertical in range(world.num_verticals):
            rows = np.flatnonzero(world.vertical[topics[:, 0]] == vertical)
            members = np.flatnonzero(world.vertical == vertical)
            near[rows] = _by_frequency(world, members, len(rows), rng)
        chosen = np.where(rng.random(videos) < SAME_VERTICAL, near, anywhere)
        fresh = (topics[:, :column] != chosen[:, None]).all(axis=1)
        topics[:, column] = np.where(fresh & (count > column), chosen, -1)
    return topics


def _by_frequency(world: World, members: np.ndarray, size: int, rng) -> np.ndarray:
    """`size` of the classes `members`, as often as they are frequent."""
    cumulated = np.cumsum(world.frequency[members])
    drawn = np.searchsorted(cumulated, rng.random(size) * cumulated[-1], side="right")
    return members[np.minimum(drawn, len(members) - 1)]


def clean_labels(world: World, topics: np.ndarray) -> Labels:
    """The topics and the roots of their verticals: N rows."""
    parents = np.where(topics >= 0, world.vertical[topics], -1)
    ordered = np.sort(np.concatenate([topics, parents], axis=1), axis=1)
    keep = ordered >= 0
    keep[:, 1:] &= ordered[:, 1:] != ordered[:, :-1]
    indptr = np.concatenate([[0], np.cumsum(keep.sum(axis=1))]).astype(np.int64)
    return Labels(indptr, ordered[keep].astype(np.uint16))


def noisy_labels(
    world: World, clean: Labels, precision: float, recall: float, rng: np.random.Generator
) -> Labels:
    """What an annotator with this precision and recall says, over all labels.

    Missing: some classes are found more often than others, the rest is chance. Wrong: similar
    classes, or any by frequency. A video without any label gets a wrong one while there are some.
    """
    owner = clean.rows()
    ease = rng.normal(0, 1, world.classes)
    kept = _choose(ease[clean.indices], recall, rng)
    wrong = _wrong(world, clean, owner[kept], int(kept.sum() / precision - kept.sum() + 0.5), rng)
    width = 1 << 16
    keys = owner[kept] * width + clean.indices[kept]
    keys = np.sort(np.concatenate([keys, wrong]))
    counts = np.bincount(keys // width, minlength=len(clean))
    indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return Labels(indptr, (keys % width).astype(np.uint16))


def _choose(ease: np.ndarray, recall: float, rng: np.random.Generator) -> np.ndarray:
    """Which labels are found: the `recall` of them whose logistic draw plus ease is highest."""
    draw = rng.random(len(ease))
    order = np.argsort(-(ease + 2 * np.log(draw / (1 - draw) + 1e-9)), kind="stable")
    kept = np.zeros(len(ease), bool)
    kept[order[: int(round(recall * len(ease)))]] = True
    return kept


def _wrong(world: World, clean: Labels, labelled, count: int, rng) -> np.ndarray:
    """`count` wrong labels as distinct ascending keys, video * 2^16 + class."""
    width = 1 << 16
    videos = len(clean)
    true = clean.rows() * width + clean.indices
    bare = np.setdiff1d(np.arange(videos), labelled)
    found = np.zeros(0, np.int64)
    for attempt in range(50):
        missing = count - len(found)
        if missing <= 0:
            break
        rows = rng.integers(0, videos, missing)
        if attempt == 0:
            first = bare[: len(rows)]
            rows[: len(first)] = first
        sizes = clean.counts()[rows]
        source = clean.indices[clean.indptr[rows] + (rng.random(missing) * sizes).astype(np.int64)]
        similar = world.neighbours[source, rng.integers(0, world.neighbours.shape[1], missing)]
        anything = _by_frequency(world, np.arange(world.classes), missing, rng)
        wrong = np.where(rng.random(missing) < CONFUSED, similar, anything)
        found = np.union1d(found, np.setdiff1d(rows * width + wrong, true))
    return found
