"""Settings that several stages' configurations share. No torch: make reads configurations often."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from yt8m.cli import InputError
from yt8m.config import Config
from yt8m.store import Dims

Level = Literal["video", "frame"]
Precision = Literal["auto", "bf16", "float32"]
# Arguments of architectures: the size of a layer, and how many of something that may be absent.
Size, Count = Annotated[int, Field(ge=1)], Annotated[int, Field(ge=0)]
Sampling = Literal[
    "stride",
    "first",
    "subsequence",
    "random_stride",
    "random",
    "bootstrap",
    "segments",
    "scenes",
    "centroids",
    "subset_mean",
]
Statistic = Literal["mean", "std", "median", "min", "max", "mode", "top5", "length"]
BLOCKS = {"top5": 5}  # columns of a statistic for each dimension, where not one


class Inputs(Config):
    """What is done to features before a model sees them.

    Frames: skip -> dynamics -> sampling; a video-level model: statistics of what is left; then
    normalise, then the share of the dimensions. With the defaults a video-level model takes the
    data's own video-level features.
    """

    modalities: Literal["both", "rgb", "audio"] = "both"
    skip_frames: int = Field(0, ge=0)  # first frames left out; the last frame always stays
    dynamics: Literal["none", "centred", "high_pass", "pcp"] = "none"  # see yt8m/dynamics.py
    sampling: Sampling = "stride"  # see yt8m/sampling.py
    max_frames: int = Field(360, ge=1)  # frames kept of a video, at most
    scene_threshold: float = Field(0.5, gt=0, lt=2)  # cosine distance of frames at a cut
    clusters: int = Field(10_000, ge=2, le=65_536)  # centroids, for sampling = "centroids"
    # Of a video-level model, side by side: the published MS input is ["mean", "std"].
    statistics: Annotated[tuple[Statistic, ...], Field(strict=False, min_length=1)] = ("mean",)
    # Row norms vary sixfold in YouTube-8M; "l2" gives each modality (of each frame, or statistic)
    # unit norm, times the square root of its width, so that elements stay near unit size.
    # "standard" and "whiten" are fitted on the videos outside the holdout: see yt8m/scaling.py.
    normalise: Literal["none", "l2", "standard", "whiten"] = "l2"
    feature_share: float = Field(1.0, gt=0, le=1)  # of each modality's dimensions, drawn once
    feature_seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> "Inputs":
        if len(set(self.statistics)) < len(self.statistics):
            raise ValueError("statistics: one is named twice")
        if self.sampling == "subset_mean" and self.statistics != ("mean",):
            raise ValueError('statistics: "subset_mean" gives one frame; only ["mean"] fits it')
        return self

    def dims(self, dims: Dims) -> Dims:
        """What a model sees of a store's dims: an unused modality has width 0."""
        rgb, audio = (self._columns(width) for width in self.widths(dims))
        frames = min(max(dims.max_frames - self.skip_frames, 1), dims.max_frames, self.max_frames)
        if self.sampling == "subset_mean":
            frames = min(frames, 1)
        return replace(dims, rgb=rgb, audio=audio, max_frames=frames)

    def widths(self, dims: Dims) -> tuple[int, int]:
        """Features of a frame, of rgb and of audio; 0 of an unused one."""
        rgb = 0 if self.modalities == "audio" else dims.rgb
        return rgb, 0 if self.modalities == "rgb" else dims.audio

    def _columns(self, width: int) -> int:
        """What a model sees of a modality of this width."""
        blocks = sum(BLOCKS.get(name, 1) for name in self.statistics if name != "length")
        return self.share_of(blocks * width + ("length" in self.statistics and width > 0))

    def share_of(self, columns: int) -> int:
        """How many of a modality's columns `feature_share` keeps; one at least."""
        return max(round(self.feature_share * columns), min(columns, 1))

    def frame_settings(self) -> list[str]:
        """Settings, as a TOML says them, for which a video-level model needs frames."""
        names = ("skip_frames", "dynamics", "sampling", "max_frames", "statistics")
        kept = {name: getattr(self, name) for name in names}
        defaults = type(self).model_fields
        return [name for name, value in kept.items() if value != defaults[name].default]

    def check(self, level: Level, dims: Dims, where) -> None:
        """InputError when a model of this level, or data of these dims, cannot have them."""
        if level == "frame" and self.statistics != ("mean",):
            raise InputError(
                f"{where}: inputs.statistics are for video-level models and this one takes frames; "
                "leave them out"
            )
        if level == "video" and self.frame_settings() and not dims.max_frames:
            raise InputError(
                f"{where}: inputs.{', inputs.'.join(self.frame_settings())} need frames and the "
                "data has none; give DATA a frame/ folder or take the model out of the plan"
            )


Loss = Literal[  # functions of yt8m/losses.py
    "bce",
    "soft_ranking",
    "soft_ranking_batch",
    "bce_soft_ranking",
    "sigmoid_ranking",
    "hinge_ranking",
    "lsep",
    "hinge",
    "mse",
    "balanced_bce",
    "rank_weighted_bce",
]


class Noise(Config):
    """What is done about wrong labels; published as without strong effect (main paper, section 3).

    Only the training labels and the loss are touched; figures are always on the labels as they are.
    """

    smoothing: float = Field(0.0, ge=0, lt=1)  # label y -> (1 - s) y + s x the class's frequency
    drop: float = Field(0.0, ge=0, lt=1)  # share of the labels left out, drawn anew each time
    add: float = Field(0.0, ge=0)  # false labels for each true one, by class frequency, drawn anew
    by_accuracy: bool = False  # drop and add more where a class's cross-validation accuracy is low
    confidence: float = Field(0.0, ge=0)  # penalty on a class's score, times 1 - its accuracy
    # With a noise matrix for each class, P(label | truth), from the precision and recall of the
    # labels: here those of YouTube-8M against human raters (benchmark paper).
    correction: Literal["none", "forward", "backward"] = "none"
    label_precision: float = Field(0.788, gt=0, le=1)
    label_recall: float = Field(0.145, gt=0, le=1)
    adaptation: bool = False  # the same, learnt beside the model and dropped for predictions
    adaptation_dropout: float = Field(0.1, ge=0, lt=1)  # of its weights
    test_passes: int = Field(0, ge=0)  # predictions averaged with dropout on; 0: dropout off

    @property
    def needs_accuracies(self) -> bool:
        """Whether the classes' cross-validation accuracies are used."""
        return self.confidence > 0 or self.by_accuracy

    @model_validator(mode="after")
    def _check(self) -> "Noise":
        if self.by_accuracy and not (self.drop or self.add):
            raise ValueError("by_accuracy says which labels to drop and add; set drop or add")
        if self.adaptation and self.correction != "none":
            raise ValueError("adaptation learns what correction is given; choose one")
        return self


class Training(Config):
    """How a network is trained. Defaults suit tens of thousands of videos."""

    epochs: int = Field(10, ge=0)
    steps_per_epoch: int = Field(0, ge=0)  # batches of an endless shuffled stream; 0: all rows once
    batch_size: int = Field(512, ge=2)
    optimizer: Literal["adamw", "adam", "rmsprop", "adagrad"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    # Of matrices only: apart from the gradient with adamw, else added to it (0 in what was
    # published with adam and rmsprop).
    weight_decay: float = Field(0.01, ge=0)
    # "plateau" halves lr when the GAP of the inner split has not risen for more than
    # `plateau_patience` epochs: torch's ReduceLROnPlateau, as in all published configurations.
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    plateau_patience: int = Field(1, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)  # share of all steps in which lr rises linearly
    clip: float = Field(10.0, gt=0)  # gradient norm
    ema: float = Field(0.0, ge=0, lt=1)  # decay of averaged weights; 0: off
    precision: Precision = "auto"
    loss: Loss = "bce"
    vertical_weight: float = Field(1.0, ge=0)  # of the verticals' loss, in models that have them
    mixup: float = Field(0.0, ge=0)  # alpha; 0: off
    patience: int = Field(0, ge=0)  # epochs without a better inner GAP; 0: fixed schedule
    inner: float = Field(0.05, gt=0, lt=0.5)  # share of training videos kept for these two
    seed: int = 0
    noise: Noise = Noise()

    @property
    def needs_inner(self) -> bool:
        """Whether an inner split of the training videos decides anything."""
        return self.patience > 0 or self.schedule == "plateau"

    @field_validator("noise")
    @classmethod
    def _fits_the_loss(cls, noise: Noise, others: ValidationInfo) -> Noise:
        changes_bce = noise.smoothing or noise.correction != "none" or noise.adaptation
        if changes_bce and others.data.get("loss", "bce") != "bce":
            raise ValueError('smoothing, correction and adaptation need loss = "bce"')
        return noise
