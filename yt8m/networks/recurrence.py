"""An LSTM layer whose products are as large as they can be, for training in bf16 on a CPU.

B videos, T frames, D inputs, W width; gates in PyTorch's order: input, forget, cell, output.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from yt8m.networks.linear import of_weight

_sigmoid_backward = torch.ops.aten.sigmoid_backward
_tanh_backward = torch.ops.aten.tanh_backward


class LSTM(torch.autograd.Function):
    """x (B, T, D), w_ih (4W, D), w_hh (4W, W), bias (4W,) -> outputs (B, T, W), last cell (B, W).

    All of one type but the cell, which is float32 throughout; it starts at zero, as the outputs do.

    Of the products only h W_hh and its gradient go from frame to frame. nn.LSTM under autocast adds
    each frame's gradient to the weights by itself, a walk through all of them for a few videos.
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
            of_weight(rows, steps.flatten(0, 1)),
            of_weight(later, hidden[:-1].flatten(0, 1)),
            rows.sum(0),
        )
