"""What the tests of frame-level architectures share: a padded batch, models, loops over videos."""

import torch
from kinds import random_features
from torch import nn

from first_level.config import ModelConfig, build
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch

DIMS = Dims({"rgb": 6, "audio": 4}, classes=9, max_frames=12)
LENGTHS = torch.tensor([12, 5, 1, 8])
MASK = torch.arange(12) < LENGTHS[:, None]


def model_of(arch: str, dims: Dims = DIMS, **arguments) -> nn.Module:
    """In evaluation mode, its batch statistics no longer zeros and ones."""
    torch.manual_seed(0)
    model = build(ModelConfig(arch=arch, model=arguments), dims, "x.toml").eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return model


def padded_batch() -> Batch:
    """Padding is not zero: a model must mask it by itself."""
    generator = torch.Generator().manual_seed(1)
    return Batch(random_features(DIMS, 4, 12, generator=generator), MASK)


def videos_of(x: torch.Tensor) -> list[torch.Tensor]:
    """(B, T, D) -> each video's real frames (T, D)."""
    return [video[:length] for video, length in zip(x, LENGTHS, strict=True)]
