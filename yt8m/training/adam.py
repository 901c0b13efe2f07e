"""Adam and AdamW by torch's fused kernels, without torch.optim.Optimizer.

That class imports torch._dynamo when it is made, 0.9 seconds, of which a job that trains a small
network for two would spend a third. The numbers are the same.
"""

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class Adam:
    """What the training loop uses of a torch.optim.Adam(groups, lr, fused=True)."""

    def __init__(self, groups: list[dict], lr: float, decoupled: bool):
        """groups: dicts of "params" and "weight_decay"; decoupled: AdamW's weight decay."""
        self.param_groups = [group | {"lr": lr} for group in groups]
        self.decoupled = decoupled
        self.states = [[_State(p) for p in group["params"]] for group in groups]

    @torch.no_grad()
    def step(self) -> None:
        """Updates every parameter that has a gradient."""
        for group, states in zip(self.param_groups, self.states, strict=True):
            given = zip(group["params"], states, strict=True)
            there = [(p, state) for p, state in given if p.grad is not None]
            if not there:
                continue
            adam(
                [p for p, _ in there],
                [p.grad for p, _ in there],
                *([getattr(state, name) for _, state in there] for name in ("mean", "square")),
                [],
                [state.steps for _, state in there],
                fused=True,
                decoupled_weight_decay=self.decoupled,
                amsgrad=False,
                beta1=0.9,
                beta2=0.999,
                lr=group["lr"],
                weight_decay=group["weight_decay"],
                eps=1e-8,
                maximize=False,
            )

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    def state_dict(self) -> list[list[dict[str, Tensor]]]:
        """The moments and the number of steps of each parameter."""
        return [[vars(state) for state in states] for states in self.states]

    def load_state_dict(self, saved: list[list[dict[str, Tensor]]]) -> None:
        """Goes on from what `state_dict` gave for the same parameters."""
        for states, given in zip(self.states, saved, strict=True):
            for state, values in zip(states, given, strict=True):
                for name, value in values.items():
                    getattr(state, name).copy_(value)


class _State:
    """Of one parameter: means of its gradients and of their squares, and how many there were."""

    def __init__(self, parameter: nn.Parameter):
        self.mean, self.square = (torch.zeros_like(parameter.detach()) for _ in range(2))
        self.steps = torch.zeros((), device=parameter.device)
