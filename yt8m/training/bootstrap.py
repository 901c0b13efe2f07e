"""Whether one system is better than another: a paired bootstrap over videos (Efron, 1979).

Both systems are scored on the same resampled videos, so that what makes a video hard for both
cancels out. N videos.
"""

import numpy as np

from yt8m.training.metrics import average_precision


def paired_bootstrap(
    first, second, counts: np.ndarray, samples: int, seed: int, groups: np.ndarray | None = None
) -> dict:
    """GAP@20 of both, their difference, its 95 % interval and the share of resamples that favour
    the second. first, second: of `ranked_hits`; counts: labels of each video (N,); groups: of each
    video (N,), which are then drawn as wholes: videos of one are no independent witnesses.
    """
    once = np.ones(len(counts), np.int64)
    gaps = [weighted_gap(*system, counts, once) for system in (first, second)]
    rng = np.random.default_rng(seed)
    differences, units, unit = np.empty(samples), len(counts), slice(None)
    if groups is not None:
        names, unit = np.unique(groups, return_inverse=True)
        units = len(names)
    for sample in range(samples):
        drawn = np.bincount(rng.integers(0, units, units), minlength=units)[unit]
        one, two = (weighted_gap(*system, counts, drawn) for system in (first, second))
        differences[sample] = two - one
    return {
        "first": gaps[0],
        "second": gaps[1],
        "difference": gaps[1] - gaps[0],
        "interval": [float(bound) for bound in np.quantile(differences, (0.025, 0.975))],
        "better": float((differences > 0).mean()),
    }


def weighted_gap(videos, hits, counts: np.ndarray, times: np.ndarray) -> float:
    """GAP@20 when video n appears times[n] times."""
    positives = int(counts @ times)
    return average_precision(np.repeat(hits, times[videos]), positives) if positives else 0.0
