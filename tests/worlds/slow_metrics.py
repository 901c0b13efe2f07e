"""MAP@K by its definition, which the tests of metrics and of segments compare with."""

import numpy as np


def slow_map_at_k(pairs, positives, k):
    """pairs: (class, score, rating) in order; positives: by class. Returns (mean, classes)."""
    sums = []
    for wanted, count in enumerate(positives):
        if not count:
            continue
        listed = sorted((p for p in pairs if p[0] == wanted), key=lambda p: -p[1])[:k]
        hits, precisions = 0, 0.0
        rated = [rating for _, _, rating in listed if rating >= 0]
        for rank, rating in enumerate(rated, 1):
            hits += rating
            precisions += rating * hits / rank
        sums.append(precisions / count)
    return np.mean(sums), len(sums)
