"""Frame-level architectures: (weights, a video's real frames, options) -> logits (C,)."""

import numpy as np
from plain import DROPOUT, joined, log_odds, ramp, relu, sigmoid, softmax


def attention_net(w, video, layers=3, heads=1, dropout=0.0, **_):
    x = joined(video)
    for number in range(layers):
        v = relu(w.linear(f"values.{number}", x))
        weights = softmax(w.linear(f"scores.{number}", v))  # (T, heads)
        parts = zip(weights.T, np.split(v, heads, 1), strict=True)
        summary = np.concatenate([share @ part for share, part in parts])
        x = np.concatenate([x, np.tile(summary, (len(x), 1))], 1)
    return head_of(w, w.norm("head.0", x.mean(0)), 2, dropout, first=1)


def head_of(w, x, layers, dropout, first=0, norm=False):
    """Dense layers and a classifier."""
    x = w.dense("head", x, layers, dropout, first, norm)
    return w.linear(f"head.{first + layers * (3 + norm)}", x)


def bag(w, video, projection=8192, hidden=(1024,), gating=False, experts=0, dropout=0.0):
    """DBoF, and BoF_4096 without a projection: dropout of the input and of all but the last FC."""
    x = joined(video)
    if projection:
        x = w.norm("frame.2", relu(w.linear("frame.0", x))).max(0)
    else:
        x = w.norm("frame.0", x).max(0) * (1 + dropout)
    for number in range(len(hidden)):
        last = number == len(hidden) - 1 and not projection
        x = w.dense("head", x, 1, 0.0 if last else dropout, 4 * number, norm=True)
    end = 4 * len(hidden) - (not projection)
    x = w.gating(f"head.{end}", x) if gating else x
    return w.classify(f"head.{end + 1}", x, experts)


def combinations(w, video, combinations=5, **options):
    seen = {}
    for name, frames in video.items():
        weights = w[f"towers.of_{name}.weights"]
        sums = [sum(weights[t, n] * x for t, x in enumerate(frames)) for n in range(combinations)]
        seen[name] = np.concatenate(sums) / len(frames)
    return w.under("trunk").resnet(seen, **without_width(options))


def without_width(options):
    return {key: value for key, value in options.items() if key != "width"}


def convolutions(w, video, rgb_channels=(), channels=(), kernel=3, dropout=0.1, **_):
    def block(at, x, pool):
        rows = np.pad(x, ((kernel // 2,) * 2, (0, 0)))
        weight, bias = w[f"{at}.convolution.weight"], w[f"{at}.convolution.bias"]  # (O, D, k)
        y = [sum(weight[:, :, k] @ rows[t + k] for k in range(kernel)) for t in range(len(x))]
        y = w.norm(f"{at}.norm", relu(np.stack(y) + bias))
        return np.stack([y[t : t + 2].max(0) for t in range(0, len(y), 2)]) if pool else y

    sides = []
    for name, x in video.items():
        for number in range(len(rgb_channels)):
            x = block(f"towers.of_{name}.{number}", x, pool=True)
        sides.append(x)
    x = np.concatenate(sides, 1)
    for number in range(len(channels)):
        x = block(f"both.{number}", x, pool=number < len(channels) - 1)
    return w.linear("classifier", x.max(0) * (1 + dropout))


def logistic(w, video):
    return log_odds(sigmoid(w.linear("classifier", joined(video))).mean(0))


def dense_max(w, video, **options):
    def pool(at, frames):
        return relu(w.norm(f"{at}.1", w.linear(f"{at}.0", frames))).max(0)

    seen = {name: pool(f"towers.of_{name}", frames) for name, frames in video.items()}
    blocks = {"tower_blocks": 2, "concat_blocks": 2}
    return w.under("trunk").resnet(seen, **blocks | without_width(options))


def dense_sorting(w, video, length=16, hidden=32, **options):
    frame = w.under("frame")
    frames = [dict(zip(video, parts, strict=True)) for parts in zip(*video.values(), strict=True)]
    scores = np.stack([frame.resnet(x, **without_width(options)) for x in frames])  # (T, C)
    places, logits = np.linspace(0, len(scores) - 1, length), []
    for column in scores.T:
        read = np.interp(places, np.arange(len(column)), np.sort(column)[::-1])
        logits.append(read.mean() + w.linear("layers.2", relu(w.linear("layers.0", read)))[0])
    return np.array(logits)


def lstm(w, video, cell="lstm", layers=2, bidirectional=False, residual=False, batch_norm=False,
         layer_dropout=0.0, readout="last", hidden=(2048,), dropout=0.1, **_):  # fmt: skip
    x, states = joined(video), []
    if batch_norm:
        x = w.norm("norm", x)
    for number in range(layers):
        out, state = w.directions(f"layers.{number}", x, cell, bidirectional)
        if residual:
            projected = f"shortcuts.{number}.weight" in w
            out = out + (w.linear(f"shortcuts.{number}", x) if projected else x)
        x = out * (1 + layer_dropout)
        states.append(state)
    read = np.concatenate(states) if readout == "last" else ramp(x)
    return head_of(w, read, len(hidden), dropout)


def lstm_attention(w, video, hidden=(4096, 4096), dropout=0.0, **_):
    sides = []
    for name, frames in video.items():
        at = f"towers.of_{name}"
        x = relu(w.linear(f"{at}.project.0", frames))
        x = np.concatenate([x, w.directions(f"{at}.lstm", x, bidirectional=True)[0]], 1)
        sides.append(softmax(w.linear(f"{at}.score", x))[:, 0] @ x)
    return head_of(w, w.norm("head.0", np.concatenate(sides)), len(hidden), dropout, first=1)


def lstm_moe(w, video, active=4, dropout=0.4, **_):
    x = w.directions("first", w.norm("norm", joined(video)))[0] * (1 + dropout)
    mixed = []
    for row in x:
        gates = w.linear("experts.gate", row)
        best = np.argsort(-gates)[:active]
        shares, total = softmax(gates[best]), 0
        for expert, share in zip(best, shares, strict=True):
            h = relu(row @ w["experts.into"][expert] + w["experts.into_bias"][expert])
            total = total + share * (h @ w["experts.out"][expert] + w["experts.out_bias"][expert])
        mixed.append(total)
    out = w.directions("second", np.stack(mixed))[0] * (1 + dropout)
    return w.linear("classifier", ramp(out))


def netvlad(w, video, groups=0, gating=0, experts=0, dropout=0.5, **_):
    sides = []
    for name, frames in video.items():
        own = w.under(f"towers.of_{name}")
        parts = (groups + 1) // 2 if name == "audio" else groups
        centres = own["centres"]  # (K, F)
        vectors = np.zeros_like(centres)
        for x in own.linear("expand", frames) if groups else frames:
            scores = own.norm("assign.1", own.linear("assign.0", x))
            weights = sigmoid(own.linear("attention", x)) if groups else [1.0]
            for group in range(max(1, parts)):
                shares = weights[group] * softmax(np.split(scores, max(1, parts))[group])
                vectors += shares[:, None] * (np.split(x, max(1, parts))[group] - centres)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        sides.append(vectors.ravel() if groups else vectors.ravel() / np.linalg.norm(vectors))
    x = np.concatenate(sides)
    x = (w.norm("head.0", x) if groups else x) * (1 + dropout)
    x = w.norm("head.3", w.linear("head.2", x))
    x = x if groups else relu(x)
    return w.classify("head.6", w.gating("head.5", x, gating) if gating else x, experts)


def transformer(w, video, width=512, layers=1, heads=1, positions=False, dropout=0.0, **_):
    x = w.linear("project", joined(video))
    for t in range(len(x) if positions else 0):
        angles = t / 10000 ** (np.arange(0, width, 2) / width)
        x[t] += np.concatenate([np.sin(angles), np.cos(angles)])
    for number in range(layers):
        own, seen = w.under(f"layers.{number}"), []
        parts = np.split(own.linear("project", own.layer_norm("before_attention", x)), 3, 1)
        for q, k, v in zip(*(np.split(part, heads, 1) for part in parts), strict=True):
            seen.append(softmax(q @ k.T / np.sqrt(q.shape[1]), 1) @ v)
        x = x + own.linear("merge", np.concatenate(seen, 1)) * (1 + dropout)
        h = relu(own.linear("inner.0", own.layer_norm("before_inner", x))) * (1 + dropout)
        x = x + own.linear("inner.3", h) * (1 + dropout)
    return w.linear("classifier", w.layer_norm("norm", x).mean(0))


def vlad_bow(w, video, dropout=0.1, **options):
    """BOW(k) = sum over frames of softmax_k(relu(W x + b)^p); p = softplus(raw power) > 0."""
    bags = {}
    for name, frames in video.items():
        power = np.log1p(np.exp(w[f"towers.of_{name}.raw_power"]))
        words = relu(w.linear(f"towers.of_{name}.project", frames)) ** power
        bags[name] = sum(softmax(y) for y in words) * (1 + dropout)
    options = {key: value for key, value in options.items() if key.endswith("blocks")}
    return w.under("trunk").resnet(bags, dropout=dropout, **options)


DROP = {"dropout": DROPOUT}
TRUNK = {"width": 4, "tower_blocks": 3, "concat_blocks": 0} | DROP
DEFINITIONS = {
    "attention_net": (attention_net, [
        {"width": 6, "hidden": 7} | DROP, {"width": 6, "layers": 1, "heads": 2, "hidden": 7},
    ]),
    "dbof": (bag, [
        {"projection": 7, "hidden": [6, 5]} | DROP,
        {"projection": 7, "hidden": [6], "gating": True, "experts": 2},
        {"projection": 0, "hidden": [6, 5]} | DROP,
        {"projection": 0, "hidden": [6], "gating": True, "experts": 2},
    ]),
    "frame_combinations": (combinations, [TRUNK, {"combinations": 2, "width": 4}]),
    "frame_convolutions": (convolutions, [
        {"rgb_channels": [5, 4], "audio_channels": [3, 2], "channels": [6, 7], "kernel": k} | DROP
        for k in (3, 5)
    ]),
    "frame_logistic": (logistic, [{}]),
    "frame_max": (dense_max, [{"width": 4} | DROP, TRUNK]),
    "frame_sorting": (dense_sorting, [TRUNK, {"width": 4, "length": 5, "hidden": 3}]),
    "lstm": (lstm, [
        {"width": 4, "hidden": [5, 6]} | DROP,
        {"width": 4, "hidden": [5], "cell": "gru", "layers": 3, "bidirectional": True},
        {"width": 4, "hidden": [5], "bidirectional": True},
        {"width": 4, "hidden": [], "readout": "ramp", "bidirectional": True,
         "layer_dropout": DROPOUT},
        {"width": 4, "hidden": [], "readout": "ramp", "batch_norm": True, "residual": True},
    ]),
    "lstm_attention": (lstm_attention, [
        {"width": 4, "audio_width": 3, "hidden": [5]} | DROP, {"width": 3, "hidden": [5, 6]},
    ]),
    "lstm_moe": (lstm_moe, [{"width": 4, "experts": 5, "active": 2, "expert_width": 3} | DROP]),
    "netvlad": (netvlad, [
        {"clusters": 4, "hidden": 8} | DROP,
        {"clusters": 4, "hidden": 8, "gating": 1, "experts": 2},
        {"clusters": 4, "hidden": 8, "gating": 2, "groups": 4, "expansion": 4} | DROP,
    ]),
    "transformer": (transformer, [
        {"width": 8, "layers": 2, "heads": 2, "inner": 5} | DROP,
        {"width": 8, "inner": 5, "positions": True},
    ]),
    "vlad_bow": (vlad_bow, [
        {"words": 5, "width": 4, "power": 2.0} | DROP,
        {"words": 5, "width": 4, "tower_blocks": 2, "concat_blocks": 0},
    ]),
}  # fmt: skip
