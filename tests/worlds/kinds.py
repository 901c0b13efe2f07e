"""Features by kind, as tests write them: rgb and audio, or four kinds."""

import torch

from yt8m.data.store import Dims

FOUR = {"rgb": 6, "audio": 3, "title": 5, "transcript": 4}


def named(rgb, audio) -> dict:
    """Features of YouTube-8M's two kinds."""
    return {"rgb": rgb, "audio": audio}


def random_features(dims: Dims, *shape: int, generator=None) -> dict[str, torch.Tensor]:
    """(*shape, W) of each kind."""
    return {
        name: torch.randn(*shape, width, generator=generator)
        for name, width in dims.features.items()
    }
