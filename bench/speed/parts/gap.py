"""GAP@20 of many videos against a calculator in pure Python with heaps, as in the starter code."""

import heapq
from pathlib import Path

import numpy as np

from bench.speed.measure import Result, in_turns
from yt8m.base import cli
from yt8m.records.labels import Labels
from yt8m.training import metrics

CLASSES, K = 3862, 20


def figures(toy: bool, folder: Path) -> list[Result]:
    """A million videos; the slow calculator in Python gets a twentieth of them."""
    videos, few = (400, 100) if toy else (1_000_000, 50_000)
    rng = np.random.default_rng(0)
    classes = rng.integers(0, CLASSES, (videos, K), dtype=np.uint16)
    scores = rng.standard_normal((videos, K), np.float32).astype(np.float16)
    indices = 3 * np.sort(rng.integers(0, CLASSES // 3, (videos, 3), np.uint16)) + range(3)
    labels = Labels(np.arange(videos + 1) * 3, indices.astype(np.uint16).ravel())
    found = rng.random((videos, 3)) < 0.5  # labels that the lists have, with better scores
    classes[:, :3][found] = indices[found]
    scores[:, :3][found] += np.float16(2)
    truth = [set(row) for row in indices[:few].tolist()]
    pairs = zip(scores[:few].tolist(), classes[:few].tolist(), strict=True)
    lists = [list(zip(*pair, strict=True)) for pair in pairs]
    before = cli.peak_memory_mb()
    of_ours = in_turns({"ours": lambda: metrics.gap(classes, scores, labels)}, 1, 2)
    memory = cli.peak_memory_mb() - before
    of_heaps = in_turns({"heaps": lambda: with_heaps(lists, truth)}, 1, 2)
    rates = videos / of_ours["ours"][0], few / of_heaps["heaps"][0]
    note = f"{rates[0]:,.0f} against {rates[1]:,.0f} videos/s"
    return [
        Result("videos/s / heaps in Python", rates[0] / rates[1], "x", 20, note=note),
        Result("memory", memory, "MB", note=f"{videos:,} videos"),
    ]


def with_heaps(lists, truth) -> float:
    """Each video's best, then all of them sorted, then the average precision."""
    found, positives = [], 0
    for pairs, labels in zip(lists, truth, strict=True):
        positives += len(labels)
        found += [(score, label in labels) for score, label in heapq.nlargest(K, pairs)]
    heapq.heapify(found := [(-score, hit) for score, hit in found])
    hits = total = 0
    for rank in range(1, len(found) + 1):
        _, hit = heapq.heappop(found)
        if hit:
            hits += 1
            total += hits / rank
    return total / positives
