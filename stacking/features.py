"""Features of (video, candidate) rows that need no labels: scores, agreement, ranks, margins.

A class that is absent from a model's top K gets the model's K-th logit, its upper bound.

n videos of a chunk, m models, K entries of a list, M candidates, C classes.
"""

import numpy as np

from yt8m.data.predictions import COLUMN_PLACES, sigmoid

AGREEMENT = (
    "logit_mean",
    "logit_max",
    "logit_min",
    "logit_std",
    "probability_mean",
    "in_top5",  # models that have the class among their five best
    "in_top20",
    "rank",  # place among the candidates, 0 = best
    "margin_best",  # mean logit below the largest one of the video
    "margin_next",  # mean logit above the next candidate's; 0 for the last
    "probability_total",  # the video's sum over candidates: how many labels it seems to have
)
OF_VIDEO = (  # the same for all candidates of a video: how sure the models are
    *(f"logit_{place}" for place in COLUMN_PLACES),  # the largest mean logit, the second, ...
    "probability_top5",
    "over_half",  # candidates with a mean probability above a half
    "entropy",  # sum of -p log p
)
FRAMES, NORM = "frames", "_norm"  # a column; what ends the name of one


def names(models: list[str], context: dict[str, np.ndarray]) -> list[str]:
    """Names of the columns that `features` makes: the models first."""
    return [*models, *AGREEMENT, *OF_VIDEO, *context]


def features(lists, classes: np.ndarray, num_classes: int, context: dict) -> np.ndarray:
    """All columns of `names`: float32 (n, M, m + 20 + len(context)).

    lists: the models' (classes (n, K), logits (n, K) descending); classes: candidates (n, M), best
    first; context: values of whole videos (n,) by name.
    """
    logits, in_top5, in_top20 = lookup(lists, classes, num_classes)
    columns = [*logits, *of_models(logits, in_top5, in_top20)]
    columns += [value[:, None] for value in context.values()]
    out = np.empty((len(columns), *classes.shape), np.float32)
    for index, column in enumerate(columns):
        out[index] = column
    return np.ascontiguousarray(out.transpose(1, 2, 0))


def lookup(lists, classes: np.ndarray, num_classes: int):
    """Looks up every model's logit of every candidate: float32 (m, n, M).

    Also returns how many models have it in their top 5 and in their top 20, (n, M) each.
    """
    n, width = classes.shape
    first = np.arange(n)[:, None] * num_classes
    starts = np.arange(n)[:, None] * (width + 1)
    place = np.zeros(n * num_classes, np.int16)  # 1 + position among the candidates; 0: absent
    place[first + classes] = np.arange(1, width + 1)
    logits = np.empty((len(lists), n, width), np.float32)
    tops = np.zeros((2, n, width + 1), np.float32)  # column 0 collects other classes
    found = np.empty((n, width + 1), np.float32)
    for index, (list_classes, list_logits) in enumerate(lists):
        at = starts + place.take(first + list_classes)
        values = np.asarray(list_logits, np.float32)
        found[:] = values[:, -1:]
        found.reshape(-1)[at] = values
        logits[index] = found[:, 1:]
        for top, count in zip(tops, (5, 20), strict=True):
            np.add.at(top.reshape(-1), at[:, :count].reshape(-1), np.float32(1))
    return logits, tops[0][:, 1:], tops[1][:, 1:]


def of_models(logits: np.ndarray, in_top5: np.ndarray, in_top20: np.ndarray) -> list[np.ndarray]:
    """The columns of AGREEMENT and of OF_VIDEO from logits (m, n, M)."""
    shared = agreement(logits, in_top5, in_top20)
    mean, probability = (shared[AGREEMENT.index(x)] for x in ("logit_mean", "probability_mean"))
    return [*shared, *of_video(mean, probability)]


def agreement(logits: np.ndarray, in_top5: np.ndarray, in_top20: np.ndarray) -> list[np.ndarray]:
    """The columns of AGREEMENT from logits (m, n, M): arrays that broadcast to (n, M)."""
    mean = logits.mean(0)
    probability = sigmoid(logits).mean(0)
    margin_next = np.zeros_like(mean)
    margin_next[:, :-1] = mean[:, :-1] - mean[:, 1:]
    return [
        mean,
        logits.max(0),
        logits.min(0),
        logits.std(0),
        probability,
        in_top5,
        in_top20,
        np.arange(mean.shape[1], dtype=np.float32)[None],
        mean - mean.max(1, keepdims=True),
        margin_next,
        probability.sum(1, keepdims=True),
    ]


def of_video(mean: np.ndarray, probability: np.ndarray) -> list[np.ndarray]:
    """The columns of OF_VIDEO, (n, 1) each, from mean logits and probabilities (n, M)."""
    falling = -np.sort(-mean, axis=1)
    last = mean.shape[1] - 1
    largest = [falling[:, min(place - 1, last), None] for place in COLUMN_PLACES]
    top5 = -np.sort(-probability, axis=1)[:, :5].sum(1, keepdims=True)
    over_half = (probability > 0.5).sum(1, keepdims=True).astype(np.float32)
    tiny = np.float32(1e-6)
    entropy = -(probability * np.log(probability + tiny)).sum(1, keepdims=True)
    return [*largest, top5, over_half, entropy]


def video_context(store, rows: np.ndarray, frames: bool = True) -> dict[str, np.ndarray]:
    """Norms of the videos' features, and their numbers of frames if wanted and known."""
    context = norms(store.video(rows))
    if frames and store.has_frames:
        context[FRAMES] = np.asarray(store.num_frames[rows], np.float32)
    return context


def norms(video: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """L2 norms (n,) of raw features (n, W), by kind."""
    context = {}
    for name, values in video.items():
        wide = np.asarray(values, np.float32)
        context[name + NORM] = np.sqrt(np.square(wide).sum(1))
    return context
