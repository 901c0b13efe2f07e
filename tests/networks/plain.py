"""Networks written out in numpy, by the names of a model's tensors: what definitions are made of.

Dropout here is a factor 1 + p in place of the random mask (`mark_dropout`), so that a definition
says where it is, and which one.
"""

import numpy as np
import torch
from frame_world import MASK
from kinds import random_features
from torch import nn

from first_level.config import ModelConfig, build
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch

DIMS = Dims({"rgb": 6, "audio": 4}, classes=9, max_frames=12, verticals=3)
DROPOUT = 0.25


def mark_dropout(monkeypatch) -> None:
    monkeypatch.setattr(nn.Dropout, "forward", lambda self, x: x * (1 + self.p))


def randomised(model: nn.Module) -> nn.Module:
    """In evaluation mode; no bias is 0 and no batch statistics are those of the start."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def build_model(arch: str, **options) -> nn.Module:
    return build(ModelConfig(arch=arch, model=options), DIMS, "x.toml")


def random_model(arch: str, **options) -> nn.Module:
    return randomised(build_model(arch, **options))


def random_batch(level: str) -> Batch:
    """Four videos; padding is not 0."""
    frame = level == "frame"
    return Batch(random_features(DIMS, *((4, 12) if frame else (4,))), MASK if frame else None)


def videos_in(batch: Batch) -> list[dict[str, np.ndarray]]:
    """Each video's features by name, (W,) or those of its real frames (T, W)."""
    arrays = {name: x.double().numpy() for name, x in batch.features.items()}
    rows = range(len(batch))
    real = [slice(None) if batch.mask is None else batch.mask[row].numpy() for row in rows]
    return [{name: x[row][real[row]] for name, x in arrays.items()} for row in rows]


def assert_equals(model: nn.Module, batch: Batch, define) -> None:
    """`define` maps a model's weights and a video's features to its logits."""
    weights = Weights(model)
    expected = np.stack([define(weights, video) for video in videos_in(batch)])
    np.testing.assert_allclose(model(batch).detach().numpy(), expected, rtol=1e-3, atol=2e-5)


def relu(x):
    return np.maximum(x, 0)


def leaky(x, slope=0.01):
    return np.where(x > 0, x, slope * x)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def log_odds(p):
    return np.log(p / (1 - p))


def softmax(x, axis=0):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def joined(video: dict) -> np.ndarray:
    return np.concatenate(list(video.values()), -1)


def ramp(outputs):
    """Frame i of n weighs i / n; the mean."""
    n = len(outputs)
    weights = [(i + 1) / n for i in range(n)]
    return sum(w * x for w, x in zip(weights, outputs, strict=True)) / sum(weights)


class Weights(dict):
    """A model's tensors by name, float64. `at` is the name of a layer."""

    def __init__(self, model: nn.Module):
        super().__init__((k, v.double().numpy()) for k, v in model.state_dict().items())

    def under(self, prefix: str) -> "Weights":
        """Those of a part, by their names in it."""
        part = Weights(nn.Identity())
        part.update(
            (k[len(prefix) + 1 :], v) for k, v in self.items() if k.startswith(f"{prefix}.")
        )
        return part

    def linear(self, at: str, x):
        return x @ self[f"{at}.weight"].T + self.get(f"{at}.bias", 0.0)

    def norm(self, at: str, x):
        """BatchNorm by its running statistics."""
        x = (x - self[f"{at}.running_mean"]) / np.sqrt(self[f"{at}.running_var"] + 1e-5)
        return x * self[f"{at}.weight"] + self[f"{at}.bias"]

    def layer_norm(self, at: str, x):
        x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)
        return x * self[f"{at}.weight"] + self[f"{at}.bias"]

    def dense(self, at: str, x, count: int, dropout: float, first: int = 0, norm: bool = False):
        """`count` times Linear, BatchNorm if `norm`, ReLU, Dropout; numbered from `first` on."""
        for number in range(first, first + count * (3 + norm), 3 + norm):
            x = self.linear(f"{at}.{number}", x)
            x = relu(self.norm(f"{at}.{number + 1}", x) if norm else x) * (1 + dropout)
        return x

    def gating(self, at: str, x, reduction: int = 1):
        seen = x
        if reduction > 1:
            seen = relu(self.norm(f"{at}.gate.1", self.linear(f"{at}.gate.0", x)))
        return x * sigmoid(self.linear(f"{at}.gate.{3 if reduction > 1 else 0}", seen))

    def classify(self, at: str, x, experts: int):
        """Logits: linear, or of a mixture of `experts` and one that says "absent"."""
        prefix = f"{at}." if at else ""
        if not experts:
            return self.linear(at, x)
        gates = self.linear(f"{prefix}gates", x).reshape(experts, -1)
        shares = np.exp(gates) / (1 + np.exp(gates).sum(0))
        p = (shares * sigmoid(self.linear(f"{prefix}experts", x).reshape(experts, -1))).sum(0)
        return log_odds(p)

    def fc(self, at: str, x, dropout: float):
        return leaky(self.norm(f"{at}.1", self.linear(f"{at}.0", x))) * (1 + dropout)

    def block(self, at: str, x, dropout: float):
        inner = self.fc(f"{at}.layers.0", x, dropout)
        return leaky(x + self.linear(f"{at}.layers.1", inner))

    def resnet(self, video: dict, tower_blocks=1, concat_blocks=1, dropout=0.5, **options):
        """ResNetLike: figure 3 of the main paper, with its gate and its hierarchy."""
        sides = []
        for name, x in video.items():
            x = self.fc(f"towers.of_{name}.0", x, dropout)
            for number in range(tower_blocks):
                x = self.block(f"towers.of_{name}.{1 + number}", x, dropout)
            sides.append(x)
        x = np.concatenate(sides, -1)
        for number in range(concat_blocks):
            x = self.block(f"concat.{number}", x, dropout)
        x = self.fc(f"concat.{concat_blocks}", x, dropout)
        if options.get("hierarchy"):
            x = np.concatenate([x, sigmoid(self.linear("vertical_head", x))], -1)
        logits = self.linear("classifier", x)
        if options.get("gating"):
            logits = logits * sigmoid(self.norm("gate.1", self.linear("gate.0", logits)))
        return logits

    def recurrent(self, at: str, frames, cell: str = "lstm", layer: int = 0):
        """(T, D) -> outputs (T, W), last states (h, c) or (h,). One input more says "padding"."""
        step = lstm_step if cell == "lstm" else gru_step
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        w_x, w_h, b_x, b_h = (self[f"{at}.{name}_l{layer}"] for name in names)
        w_x = w_x[:, : frames.shape[1]]
        state = tuple(np.zeros(w_h.shape[1]) for _ in range(1 + (cell == "lstm")))
        outputs = []
        for x in frames:
            state = step(w_x @ x + b_x, w_h @ state[0] + b_h, state)
            outputs.append(state[0])
        return np.stack(outputs), state

    def directions(self, at: str, frames, cell: str = "lstm", bidirectional: bool = False):
        """(T, D) -> outputs (T, S W), last states of both directions side by side."""
        out, state = self.recurrent(f"{at}.nets.0", frames, cell)
        if bidirectional:
            back, state_back = self.recurrent(f"{at}.nets.1", frames[::-1], cell)
            out, state = np.concatenate([out, back[::-1]], 1), state + state_back
        return out, np.concatenate(state)


def lstm_step(of_x, of_h, state):
    """Gates: input, forget, cell, output."""
    i, f, g, o = np.split(of_x + of_h, 4)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(of_x, of_h, state):
    """Gates: reset, update, new."""
    (r, z, n), (r_h, z_h, n_h) = np.split(of_x, 3), np.split(of_h, 3)
    r, z = sigmoid(r + r_h), sigmoid(z + z_h)
    return ((1 - z) * np.tanh(n + r * n_h) + z * state[0],)
