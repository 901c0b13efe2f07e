"""What is done to features before a model sees them. No torch: the planner reads configurations."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import Field, model_validator

from yt8m.base.cli import InputError
from yt8m.base.config import Config
from yt8m.data.store import Dims

Level = Literal["video", "frame"]
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

    # Kinds of features, such as ["rgb"]; all that the data has, where it says nothing. What takes
    # frames (a frame-level model, statistics of frames) sees the kinds that have frames.
    features: Annotated[tuple[str, ...] | None, Field(strict=False, min_length=1)] = None
    skip_frames: int = Field(0, ge=0)  # first frames left out; the last frame always stays
    dynamics: Literal["none", "centred", "high_pass", "pcp"] = "none"  # see yt8m/inputs/dynamics.py
    sampling: Sampling = "stride"  # see yt8m/inputs/sampling.py
    max_frames: int = Field(360, ge=1)  # frames kept of a video, at most
    scene_threshold: float = Field(0.5, gt=0, lt=2)  # cosine distance of frames at a cut
    clusters: int = Field(10_000, ge=2, le=65_536)  # centroids, for sampling = "centroids"
    # Of a video-level model, side by side: the published MS input is ["mean", "std"].
    statistics: Annotated[tuple[Statistic, ...], Field(strict=False, min_length=1)] = ("mean",)
    # Row norms vary sixfold in YouTube-8M; "l2" gives each kind of features (of each frame, or
    # statistic) unit norm, times the square root of its width: elements stay near unit size.
    # "standard" and "whiten" are fitted on the videos outside the holdout: see scaling.py.
    normalise: Literal["none", "l2", "standard", "whiten"] = "l2"
    feature_share: float = Field(1.0, gt=0, le=1)  # of each kind's dimensions, drawn once
    feature_seed: int = 0

    @model_validator(mode="after")
    def _check(self) -> "Inputs":
        if len(set(self.statistics)) < len(self.statistics):
            raise ValueError("statistics: one is named twice")
        if self.sampling == "subset_mean" and self.statistics != ("mean",):
            raise ValueError('statistics: "subset_mean" gives one frame; only ["mean"] fits it')
        return self

    def dims(self, dims: Dims, level: Level) -> Dims:
        """What a model of this level sees of a store's dims."""
        names = self.kinds(dims, level)
        features = {name: self._columns(dims.features[name]) for name in names}
        frames = min(max(dims.max_frames - self.skip_frames, 1), dims.max_frames, self.max_frames)
        if self.sampling == "subset_mean":
            frames = min(frames, 1)
        frameless = tuple(name for name in dims.frameless if name in features)
        return replace(dims, features=features, max_frames=frames, frameless=frameless)

    def kinds(self, dims: Dims, level: Level) -> list[str]:
        """The kinds of features that a model of this level sees, in the data set's order."""
        of_frames = level == "frame" or self.frame_settings()
        absent = dims.frameless if of_frames else ()
        return [name for name in dims.features if name not in absent and self.takes(name)]

    def takes(self, name: str) -> bool:
        """Whether a kind of features is chosen."""
        return self.features is None or name in self.features

    def _columns(self, width: int) -> int:
        """What a model sees of a kind of this width."""
        blocks = sum(BLOCKS.get(name, 1) for name in self.statistics if name != "length")
        return self.share_of(blocks * width + ("length" in self.statistics))

    def share_of(self, columns: int) -> int:
        """How many of a kind's columns `feature_share` keeps; one at least."""
        return max(round(self.feature_share * columns), 1)

    def frame_settings(self) -> list[str]:
        """Settings, as a TOML says them, for which a video-level model needs frames."""
        names = ("skip_frames", "dynamics", "sampling", "max_frames", "statistics")
        kept = {name: getattr(self, name) for name in names}
        defaults = type(self).model_fields
        return [name for name, value in kept.items() if value != defaults[name].default]

    def check(self, level: Level, dims: Dims, where) -> None:
        """InputError when a model of this level, or data of these dims, cannot have them."""
        known = self.model_copy(update={"features": None}).kinds(dims, level)
        for name in self.features or ():
            if name not in known:
                lacks = "has no frames of" if name in dims.features else "lacks"
                raise InputError(
                    f"{where}: inputs.features names {name!r}, which the data {lacks}; "
                    f"it has {', '.join(known) or 'none'}; take the model out of the plan"
                )
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
