"""Video-level architectures: (weights, features of a video, options) -> logits (C,)."""

import numpy as np
from plain import DIMS, DROPOUT, joined, log_odds, relu, sigmoid


def attended(w, video, layers=1, dropout=0.0, sort=False, residual=False, heads=1, **_):
    """AttentiveFCN: x * sigmoid(Linear(x))."""

    def layer(at, x):
        y = w.linear(f"{at}.0", x)
        return relu(w.norm(f"{at}.1", y) if residual else y)

    x = layer("hidden", joined(video))
    for number in range(layers - 1):
        x = layer(f"deeper.{number}", x) + (x if residual else 0)
    gates = sigmoid(w.linear("gate", np.sort(x)[::-1] if sort else x))
    x = np.concatenate([x * gate for gate in np.split(gates, heads)])
    return w.linear("classifier", x * (1 + dropout))


def bilinear(w, video, width=1024, code=32, dropout=0.0):
    x = joined(video)
    z = w.linear("code", x)
    z = z - np.tanh(z)
    h = w["bias"].copy()
    for unit in range(width):
        for n in range(code):
            h[unit] += z[n] * (w["bilinear.weight"][n * width + unit] @ x)
    return w.linear("classifier", relu(h) * (1 + dropout))


def cyclic(w, video, times=3, dropout=0.0, **_):
    x = relu(w.linear("hidden.0", joined(video)))
    for step in range(times):
        x = relu(w.norm(f"norms.{step}", w.linear("again", x)))
    return w.linear("classifier", x * (1 + dropout))


def linear(w, video):
    return w.linear("classifier", joined(video))


def mlp(w, video, widths=(4096,), dropout=0.5, halvings=0, gating=0, experts=0):
    layers = len(widths) + 2 * halvings
    x = w.dense("hidden", joined(video), layers, dropout, norm=True)
    x = w.gating("gate", x, gating) if gating else x
    return w.classify("classifier", x, experts)


def mixture(w, video, experts=2, dropout=0.0):
    return w.classify("", joined(video) * (1 + dropout), experts)


MEMORY = {name: np.random.default_rng(5).normal(size=(4, n)) for name, n in DIMS.features.items()}
LABELS = np.zeros((4, 9))  # of the remembered videos
LABELS[[0, 0, 1, 2, 3], [0, 3, 1, 8, 2]] = 1.0, 0.5, 1.0, 1.0, 0.25


def votes(w, video, neighbours=60, **_):
    """p(c) = (sum_k w_k y_kc + s prior_c) / (sum_k w_k + s), w_k = exp((v_k - v_1) / T)."""
    share, similar = sigmoid(w["audio_odds"]), 0.0
    for name, part in (("rgb", 1 - share), ("audio", share)):
        x, memory = video[name], MEMORY[name]
        norms = np.linalg.norm(memory, axis=1) * np.linalg.norm(x)
        similar = similar + part * (memory @ x) / norms
    prior = (LABELS.sum(0) + 0.5) / 5
    nearest = np.argsort(-similar)[:neighbours]
    weights = np.exp((similar[nearest] - similar.max()) / np.exp(w["temperature"]))
    smoothing = np.exp(w["smoothing"])
    p = (weights @ LABELS[nearest] + smoothing * prior) / (weights.sum() + smoothing)
    return w["scale"] * log_odds(p) + w["bias"]


def repeated(w, video, layers=2, steps=10, cell="gru", **_):
    out = np.stack([joined(video)] * steps)
    for number in range(layers):
        out, _ = w.recurrent("recurrent", out, cell, number)
    return w.linear("classifier", out[-1])


def resnet(w, video, **options):
    return w.resnet(video, **options)


DROP = {"dropout": DROPOUT}
DEFINITIONS = {
    "bilinear": (bilinear, [{"width": 5, "code": 3} | DROP]),
    "cyclic": (cyclic, [{"width": 5} | DROP, {"width": 5, "times": 1}]),
    "gated_mlp": (attended, [
        {"width": 5},
        {"width": 5, "layers": 3} | DROP,
        {"width": 5, "layers": 2, "sort": True},
        {"width": 5, "layers": 2, "residual": True},
        {"width": 5, "heads": 5},
    ]),
    "linear": (linear, [{}]),
    "mlp": (mlp, [
        {"widths": [7, 5]} | DROP,
        {"widths": [6, 8], "halvings": 2},
        {"widths": [5], "gating": 1, "experts": 2} | DROP,
        {"widths": [6], "gating": 2},
    ]),
    "moe": (mixture, [{} | DROP, {"experts": 3}]),
    "neighbours": (votes, [
        {"neighbours": 2}, {"temperature": 0.5}, {"audio_share": 0.4}, {"smoothing": 2.0},
    ]),
    "recurrent_mlp": (repeated, [
        {"width": 5, "layers": 1},
        {"width": 5, "steps": 4, "cell": "lstm"},
    ]),
    "resnet": (resnet, [
        {"width": 6} | DROP,
        {"width": 6, "tower_blocks": 2, "concat_blocks": 3} | DROP,
        {"width": 8, "rgb_share": 0.625, "gating": True},
        {"width": 6, "hierarchy": True, "gating": True},
    ]),
}  # fmt: skip
