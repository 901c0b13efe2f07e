"""Settings that several stages' configurations share. No torch: make reads configurations often."""

from dataclasses import replace
from typing import Literal

from pydantic import Field

from yt8m.config import Config
from yt8m.store import Dims

Level = Literal["video", "frame"]
Precision = Literal["auto", "bf16", "float32"]


class Inputs(Config):
    """What is done to features before a model sees them."""

    modalities: Literal["both", "rgb", "audio"] = "both"
    # Row norms vary sixfold in YouTube-8M; "l2" gives each modality (of each frame) unit norm,
    # times the square root of its width, so that elements stay near unit size.
    normalise: Literal["none", "l2"] = "l2"
    max_frames: int = Field(360, ge=1)  # a longer video is strided down to this many frames

    def dims(self, dims: Dims) -> Dims:
        """What a model sees of a store's dims: an unused modality has width 0."""
        rgb = 0 if self.modalities == "audio" else dims.rgb
        audio = 0 if self.modalities == "rgb" else dims.audio
        return replace(dims, rgb=rgb, audio=audio, max_frames=min(dims.max_frames, self.max_frames))


class Training(Config):
    """How a network is trained. Defaults suit tens of thousands of videos."""

    epochs: int = Field(10, ge=0)
    batch_size: int = Field(512, ge=2)
    optimizer: Literal["adamw", "rmsprop"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.01, ge=0)  # of matrices only
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup: float = Field(0.1, ge=0, lt=1)  # share of all steps in which lr rises linearly
    clip: float = Field(10.0, gt=0)  # gradient norm
    ema: float = Field(0.0, ge=0, lt=1)  # decay of averaged weights; 0: off
    precision: Precision = "auto"
    loss: Literal["bce", "soft_ranking", "bce_soft_ranking"] = "bce"  # a function of yt8m/losses.py
    mixup: float = Field(0.0, ge=0)  # alpha; 0: off
    patience: int = Field(0, ge=0)  # epochs without a better inner GAP; 0: fixed schedule
    inner: float = Field(0.05, gt=0, lt=0.5)  # share of training videos kept for `patience`
    seed: int = 0
