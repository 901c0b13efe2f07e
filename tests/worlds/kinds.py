"""Features by kind, as tests write them: rgb and audio, or four kinds."""

import numpy as np
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


def as_float(features: dict) -> dict[str, np.ndarray]:
    return {name: np.asarray(values, np.float32) for name, values in features.items()}


def as_tensors(features: dict) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.asarray(values)) for name, values in features.items()}
