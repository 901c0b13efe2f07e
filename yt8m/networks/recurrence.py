"""An LSTM layer with the largest possible matrix products, for training in bf16 on a CPU.

nn.LSTM under autocast adds each frame's gradient to the weights by itself, which walks through all
weights for a few videos. Here only h W_hh and its gradient go from frame to frame. Gain: at 16
videos a step is 1.9 times as fast as with nn.LSTM (docs/speed.md).
B videos, T frames, D inputs, W width. Gates in PyTorch's order: input, forget, cell, output.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from yt8m.networks.linear import weight_gradient

_sigmoid_backward = torch.ops.aten.sigmoid_backward
_tanh_backward = torch.ops.aten.tanh_backward


class FastLSTM(nn.LSTM):
    """nn.LSTM of one layer and direction, batch first; a drop-in by `use_fast_layers`."""

    def forward(self, x: Tensor, state=None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        rounded = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if state is not None or not (self.training and rounded):
            return super().forward(x, state)
        bias = self.bias_ih_l0 + self.bias_hh_l0
        tensors = (x, self.weight_ih_l0, self.weight_hh_l0, bias)
        dtype = torch.get_autocast_dtype("cpu")
        out, cell = LSTMFunction.apply(*(tensor.to(dtype) for tensor in tensors))
        return out, (out[None, :, -1], cell[None])


class LSTMFunction(torch.autograd.Function):
    """x (B, T, D), w_ih (4W, D), w_hh (4W, W), bias (4W,) -> outputs (B, T, W), last cell (B, W).

    All have one type but the cell, which is always float32. Cell and outputs start at zero.
    """

    @staticmethod
    def forward(ctx, x: Tensor, w_ih: Tensor, w_hh: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        steps, width = x.transpose(0, 1).contiguous(), w_hh.shape[1]  # (T, B, D)
        gates = F.linear(steps, w_ih, bias)  # (T, B, 4W); a frame's become its activations
        hidden = gates.new_empty(*gates.shape[:2], width)
        cells = hidden.new_empty(hidden.shape, dtype=torch.float32)
        for t, gate in enumerate(gates):
            if t:
                gate += F.linear(hidden[t - 1], w_hh)
            gate[:, : 2 * width].sigmoid_()
            gate[:, 2 * width : 3 * width].tanh_()
            gate[:, 3 * width :].sigmoid_()
            i, f, g, o = gate.float().split(width, 1)
            torch.mul(i, g, out=cells[t])
            if t:
                cells[t].addcmul_(f, cells[t - 1])
            hidden[t].copy_(o * cells[t].tanh())
        ctx.save_for_backward(steps, w_ih, w_hh, gates, cells, hidden)
        return hidden.transpose(0, 1), cells[-1].clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, of_outputs: Tensor, of_cell: Tensor) -> tuple[Tensor, ...]:
        steps, w_ih, w_hh, gates, cells, hidden = ctx.saved_tensors
        of_outputs, width = of_outputs.transpose(0, 1), w_hh.shape[1]
        of_gates, back = torch.empty_like(gates), w_hh.t().contiguous()
        frame = cells.new_empty(cells.shape[1], 4 * width)  # of_gates[t] before rounding
        of_i, of_f, of_g, of_o = frame.split(width, 1)
        of_hidden = torch.zeros_like(of_cell)
        for t in reversed(range(len(gates))):
            i, f, g, o = gates[t].float().split(width, 1)
            tanh = cells[t].tanh()
            of_hidden = of_hidden + of_outputs[t]
            of_cell = of_cell + _tanh_backward(of_hidden * o, tanh)
            of_i.copy_(_sigmoid_backward(of_cell * g, i))
            of_f.copy_(_sigmoid_backward(of_cell * cells[t - 1], f) if t else of_cell.new_zeros(()))
            of_g.copy_(_tanh_backward(of_cell * i, g))
            of_o.copy_(_sigmoid_backward(of_hidden * tanh, o))
            of_gates[t].copy_(frame)
            of_hidden, of_cell = F.linear(of_gates[t], back).float(), of_cell * f
        rows, later = of_gates.flatten(0, 1), of_gates[1:].flatten(0, 1)
        return (
            F.linear(of_gates, w_ih.t()).transpose(0, 1),
            weight_gradient(rows, steps.flatten(0, 1)),
            weight_gradient(later, hidden[:-1].flatten(0, 1)),
            rows.sum(0),
        )
