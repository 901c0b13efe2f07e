"""Adam and AdamW by torch's fused kernels, without torch.optim.Optimizer.

torch.optim.Optimizer imports torch._dynamo. Gain: 0.9 seconds a job, a third of one that trains a
small network for two seconds. The updates are the same bits as torch's.
"""

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class Adam:
    """The part of torch.optim.Adam(groups, lr, fused=True) that training uses."""

    def __init__(self, groups: list[dict], lr: float, decoupled: bool):
        """groups: dicts of "params" and "weight_decay"; decoupled: AdamW's weight decay."""
        self.param_groups = [group | {"lr": lr} for group in groups]
        self.decoupled = decoupled
        self.states = [[_State(p) for p in group["params"]] for group in groups]

    @torch.no_grad()
    def step(self) -> None:
        """Updates every parameter that has a gradient."""
        for group, states in zip(self.param_groups, self.states, strict=True):
            pairs = zip(group["params"], states, strict=True)
            pairs = [(p, state) for p, state in pairs if p.grad is not None]
            if not pairs:
                continue
            adam(
                [p for p, _ in pairs],
                [p.grad for p, _ in pairs],
                [state.mean for _, state in pairs],
                [state.square for _, state in pairs],
                [],
                [state.steps for _, state in pairs],
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
        """Copies what `state_dict` returned for the same parameters."""
        for states, group in zip(self.states, saved, strict=True):
            for state, values in zip(states, group, strict=True):
                for name, value in values.items():
                    getattr(state, name).copy_(value)


class _State:
    """Of one parameter: running means of gradients and of their squares; the number of steps."""

    def __init__(self, parameter: nn.Parameter):
        self.mean, self.square = (torch.zeros_like(parameter.detach()) for _ in range(2))
        self.steps = torch.zeros((), device=parameter.device)
