"""Mixup: convex combinations of two videos and of their labels (main paper, "Mixup").

x = l x_i + (1 - l) x_j, y = l y_i + (1 - l) y_j. Each sample draws l ~ Beta(alpha, alpha) once, for
all kinds of features and for the labels. Published alphas are 0.2 (the default there) to 1.0.
"""

from dataclasses import replace

import torch

from yt8m.inputs.batch import Batch, Targets


def mixup(batch: Batch, targets: Targets, alpha: float) -> tuple[Batch, Targets]:
    """Mixes every video with another of its batch, by torch's global random state.

    Of frames, frame t is mixed with frame t. Where only one of the two videos has a frame, the mix
    has that frame unchanged; otherwise longer videos would fade out.
    """
    size = len(batch)
    share = torch.distributions.Beta(alpha, alpha).sample((size,)).to(batch.device)  # (B,)
    other = torch.randperm(size).to(batch.device)
    return mix(batch, targets, share, other)


def mix(batch: Batch, targets: Targets, share: torch.Tensor, other: torch.Tensor):
    """`mixup` with given shares l (B,) and partners (B,)."""
    if batch.mask is None:
        weight = partner = share[:, None]  # (B, 1)
        partner = 1 - weight
        mask = None
    else:
        mine, theirs = batch.mask, batch.mask[other]
        weight = torch.where(theirs, share[:, None], 1.0) * mine  # (B, T)
        partner = torch.where(mine, 1 - share[:, None], 1.0) * theirs
        weight, partner, mask = weight[..., None], partner[..., None], mine | theirs
    both = batch.map(lambda x: weight * x + partner * x[other])
    return replace(both, mask=mask), _mix_targets(targets, share, other)


def _mix_targets(targets: Targets, share: torch.Tensor, other: torch.Tensor) -> Targets:
    """l y_i + (1 - l) y_j, still sparse."""
    receiver = torch.empty_like(other)
    receiver[other] = torch.arange(len(other), device=other.device)  # the row that row j goes to
    to = receiver[targets.rows]
    own = replace(targets, values=targets.values * share[targets.rows])
    return own.plus(to, targets.classes, targets.values * (1 - share[to]))
