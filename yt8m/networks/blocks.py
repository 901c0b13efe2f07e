"""Blocks that several frame-level architectures use. None lets padding change a real frame.

mask (B, T) is true where a frame is real; a video's real frames come first.
B videos, T frames (padded), N real frames of all videos, D and W widths, C classes, S directions.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def real_rows(x: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) -> (N, D): the real frames alone, so that what follows neither sees nor pays for
    padding (any BatchNorm1d among it too)."""
    if torch.compiler.is_exporting():  # a graph has no shapes that depend on values: see `padded`
        return x.flatten(0, 1)
    # Not x[mask], whose backward pass is five times slower on a CPU.
    return x.flatten(0, 1).index_select(0, mask.flatten().nonzero()[:, 0])


def pad(rows: Tensor, mask: Tensor, fill: float = 0.0) -> Tensor:
    """The inverse of `real_rows`: (N, D) -> (B, T, D), `fill` in the padding."""
    if torch.compiler.is_exporting():  # then rows of padding are among them
        return rows.unflatten(0, mask.shape).masked_fill(~mask[..., None], fill)
    out = rows.new_full((*mask.shape, rows.shape[1]), fill)
    out[mask] = rows
    return out


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) -> (B, D): the mean over real frames."""
    return torch.einsum("bt,btd->bd", (mask / mask.sum(1, keepdim=True)).to(x.dtype), x)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) -> (B, D): the maximum over real frames."""
    return x.masked_fill(~mask[..., None], -torch.inf).amax(1)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """(B, T, H) -> (B, T, H) float32: weights that add up to 1 over the real frames."""
    return scores.float().masked_fill(~mask[..., None], -torch.inf).softmax(1)


def ramp(x: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D) -> (B, D): the mean of real frames; frame i of n has the weight i / n."""
    weights = torch.arange(1, mask.shape[1] + 1, device=x.device) * mask  # (B, T)
    return torch.einsum("bt,btd->bd", (weights / weights.sum(1, keepdim=True)).to(x.dtype), x)


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm of (B, T, D) with the statistics of real frames; padding becomes 0."""

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return pad(super().forward(real_rows(x, mask)), mask)


def dense(sizes: list[int], dropout: float, batch_norm: bool = False) -> list[nn.Module]:
    """Linear, BatchNorm (if asked for), ReLU, Dropout from each size to the next."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        norm = [nn.BatchNorm1d(outputs)] if batch_norm else []
        layers += [nn.Linear(inputs, outputs), *norm, nn.ReLU(), nn.Dropout(dropout)]
    return layers


class ContextGating(nn.Module):
    """x * sigmoid(Linear(x)) (Miech et al. 2017, 1706.06905); with `reduction` > 1 through
    W / reduction units, as squeeze-and-excitation does (NeXtVLAD). (B, W) -> (B, W)."""

    def __init__(self, width: int, reduction: int = 1):
        super().__init__()
        inner = max(1, width // reduction)
        squeeze = [nn.Linear(width, inner), nn.BatchNorm1d(inner), nn.ReLU()]
        self.gate = nn.Sequential(*(squeeze if reduction > 1 else []), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x).sigmoid()


class MixtureOfExperts(nn.Module):
    """E experts per class, and a dummy expert that says "absent" (benchmark paper, 4.3.3).

    p(c) = sum_e softmax(gates)_ce sigmoid(experts)_ce. The dummy's gate has the logit 0; its share
    adds nothing to p. The result is logits, computed in log space: (B, W) -> (B, C).
    """

    def __init__(self, width: int, classes: int, experts: int, dropout: float = 0.0):
        super().__init__()
        self.num_experts = experts
        self.dropout = nn.Dropout(dropout)
        self.gates = nn.Linear(width, classes * experts)
        self.experts = nn.Linear(width, classes * experts)
        nn.init.constant_(self.gates.bias, -4.0)  # most classes are absent

    def forward(self, x: Tensor) -> Tensor:
        x = self.dropout(x)
        experts = self.experts(x).float().unflatten(1, (self.num_experts, -1))  # (B, E, C)
        gates = self.gates(x).float().unflatten(1, (self.num_experts, -1))
        shares = F.log_softmax(F.pad(gates, (0, 0, 0, 1)), dim=1)  # (B, E + 1, C), the dummy last
        present = torch.logsumexp(shares[:, :-1] + F.logsigmoid(experts), dim=1)
        absent = torch.cat([shares[:, :-1] + F.logsigmoid(-experts), shares[:, -1:]], dim=1)
        return present - torch.logsumexp(absent, dim=1)


def classifier(width: int, classes: int, experts: int) -> nn.Module:
    """(B, W) -> logits (B, C): a linear layer, or a mixture of experts if `experts` is not 0."""
    if experts:
        return MixtureOfExperts(width, classes, experts)
    return nn.Linear(width, classes)


class Recurrent(nn.Module):
    """One recurrent layer: (B, T, D) -> outputs (B, T, S W), 0 in the padding, and last states.

    The states are those at each video's last frame: h (B, S W) of a GRU, h and c of an LSTM.

    The net runs over the padding too. One more input says where padding is. Its weights are
    constants that shut the gates, so that padding keeps the state. On a CPU (one thread, W 256,
    float32 and bf16) this is 1.0 to 2.6 times as fast as packed sequences with 120 frames, 0.7 (one
    bf16 LSTM layer) to 1.9 times with 60, both three quarters real, and 0.9 to 1.2 with 10.
    """

    # Times the width, in PyTorch's order of gates. LSTM: input, forget, cell, output; GRU: reset,
    # update, new. sigmoid(+-1000) is 1 and 0 in every precision.
    HOLD = {"lstm": (-1000.0, 1000.0, 0.0, 0.0), "gru": (0.0, 1000.0, 0.0)}

    def __init__(self, cell: str, inputs: int, width: int, bidirectional: bool = False):
        super().__init__()
        if cell not in self.HOLD:
            raise ValueError(f"cell = {cell!r}; allowed: {', '.join(self.HOLD)}")
        net = {"lstm": nn.LSTM, "gru": nn.GRU}[cell]
        self.nets = nn.ModuleList(
            net(inputs + 1, width, batch_first=True) for _ in range(1 + bidirectional)
        )
        self.cell = cell

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        steps = torch.cat([x, ~mask[..., None]], 2)
        ends = mask.sum(1, keepdim=True) - 1  # (B, 1)
        forwards = torch.arange(mask.shape[1], device=x.device).expand_as(mask)
        # Reversed inside its own length, so that padding is at the end again.
        backwards = torch.where(mask, ends - forwards, forwards)
        outputs, states = [], []
        for net, order in zip(self.nets, (None, backwards), strict=False):
            out, state = self._run(net, steps if order is None else _reorder(steps, order))
            h = _reorder(out, ends)[:, 0] if isinstance(net, nn.LSTM) else state[0]
            states += [h, state[1][0]] if isinstance(net, nn.LSTM) else [h]
            outputs.append(out if order is None else _reorder(out, order))
        return torch.cat(outputs, 2) * mask[..., None], torch.cat(states, 1)

    def _hold(self, net: nn.Module) -> Tensor:
        """The constant last column of the net's weights, (gates x W,).

        It is no buffer, since an export holds only parameters and batch statistics.
        """
        hold = torch.tensor(self.HOLD[self.cell], device=net.weight_ih_l0.device)
        return hold.repeat_interleave(net.hidden_size)

    def _run(self, net: nn.Module, steps: Tensor) -> tuple[Tensor, tuple[Tensor, ...] | Tensor]:
        """Runs `net` on (B, T, D + 1).

        In an ONNX graph it is one node: torch.export would write out a fixed number of steps.
        """
        if torch.onnx.is_in_onnx_export():
            return self._node(net, steps)
        with torch.no_grad():  # weight decay has shrunk the constants
            net.weight_ih_l0[:, -1] = self._hold(net)
        return net(steps)

    def _node(self, net: nn.Module, steps: Tensor) -> tuple[Tensor, tuple[Tensor, ...] | Tensor]:
        """`net` as an ONNX node: time first, another order of gates, an axis for the direction."""
        lstm = isinstance(net, nn.LSTM)
        inputs = torch.cat([net.weight_ih_l0[:, :-1], self._hold(net)[:, None]], 1)
        order = (0, 3, 1, 2) if lstm else (1, 0, 2)
        weights = [
            torch.cat([part.chunk(len(order))[gate] for gate in order])[None]
            for part in (inputs, net.weight_hh_l0, net.bias_ih_l0, net.bias_hh_l0)
        ]
        state = (1, steps.shape[0], net.hidden_size)
        shapes = [(steps.shape[1], *state), *[state] * (1 + lstm)]
        out, *states = torch.onnx.ops.symbolic_multi_out(
            "LSTM" if lstm else "GRU",
            [steps.transpose(0, 1), *weights[:2], torch.cat(weights[2:], 1)],
            {"hidden_size": net.hidden_size} | ({} if lstm else {"linear_before_reset": 1}),
            dtypes=[steps.dtype] * len(shapes),
            shapes=shapes,
        )
        return out[:, 0].transpose(0, 1), tuple(states) if lstm else states[0]


def _reorder(x: Tensor, order: Tensor) -> Tensor:
    """(B, T, D), frame numbers (B, t) -> (B, t, D)."""
    first = torch.arange(x.shape[0], device=x.device)[:, None] * x.shape[1]
    rows = x.flatten(0, 1).index_select(0, (first + order).flatten())
    return rows.unflatten(0, order.shape)
