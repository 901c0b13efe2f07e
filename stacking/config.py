"""Settings of the stacking stage: configs/<plan>.toml states differences from these defaults."""

import contextlib
import difflib
import os
from typing import Literal

from pydantic import Field, model_validator

from yt8m.base.cli import InputError
from yt8m.base.config import Config, Precision
from yt8m.training.settings import Noise, Training

ODD = ("nan", "inf", "-inf", "+inf")  # numbers that LightGBM reads and no parameter can have
RankBy = Literal["probability", "logit", "rank"]
# Keys of [booster] that LightGBM does not have under these names.
NOT_LIGHTGBMS = {"max_rounds", "early_stopping_rounds", "quantised", "most_rows", "extra"}


class Booster(Config):
    """Settings of LightGBM. Defaults suit tens of thousands of videos."""

    objective: Literal["cross_entropy", "binary"] = "cross_entropy"
    max_rounds: int = Field(800, ge=1, lt=1 << 31)
    early_stopping_rounds: int = Field(30, ge=1, lt=1 << 31)
    learning_rate: float = Field(0.06, gt=0, le=10)
    num_leaves: int = Field(63, ge=2, le=131_072)  # LightGBM's limit, as the next ones
    min_data_in_leaf: int = Field(50, ge=1, lt=1 << 31)
    lambda_l2: float = Field(1.0, ge=0)
    feature_fraction: float = Field(0.5, gt=0, le=1)
    bagging_fraction: float = Field(1.0, gt=0, le=1)
    max_bin: int = Field(255, ge=3, lt=1 << 16)
    quantised: bool = False  # gradients in few bits: about a quarter less time
    # Above this a booster learns from a sample of the videos. LightGBM takes 40 bytes a row, and up
    # to 1 byte a cell (2 with max_bin > 256): at most 7 GB with 100 columns.
    most_rows: int = Field(50_000_000, ge=1000)
    extra: dict[str, bool | int | float | str] = {}  # other LightGBM parameters, by name


class NetworkTraining(Training):
    """Its batches are of videos, each with all its candidates."""

    epochs: int = Field(8, ge=1)
    batch_size: int = Field(64, ge=1)
    lr: float = Field(5e-3, gt=0)
    precision: Precision = "float32"

    @model_validator(mode="after")
    def _fits_rows(self) -> "NetworkTraining":
        """Its loss is the cross-entropy of rows. It watches no videos, and mixes none."""
        if self.needs_inner or self.mixup or self.loss != "bce" or self.noise != Noise():
            raise ValueError("a network over rows has no mixup, noise, inner split or other loss")
        return self


class RowNetwork(Config):
    """Settings of the network over rows."""

    width: int = Field(96, ge=1)
    layers: int = Field(3, ge=0)
    training: NetworkTraining = NetworkTraining()


class Stacking(Config):
    """One plan's stack."""

    # What scores the candidates: LightGBM's trees, a network over the same columns, or the mean of
    # the logits of both.
    learner: Literal["trees", "network", "both"] = "trees"

    candidates: int = Field(40, ge=1)  # a video; fewer where the models list fewer
    rank_by: RankBy = "probability"  # chooses and orders the candidates
    neighbours: int = Field(10, ge=1)  # strongest candidates: evidence for or against others
    smoothing: float = Field(2.0, ge=1e-6)  # pseudo-videos added to counts of label pairs
    inner_fraction: float = Field(0.1, gt=0, lt=1)  # of a booster's videos, for early stopping
    seed: int = Field(0, ge=0, lt=1 << 31)
    # A video takes 8 bytes a class and 16 a (candidate, feature); larger chunks miss the cache.
    chunk_videos: int = Field(256, ge=1)
    booster: Booster = Booster()
    network: RowNetwork = RowNetwork()

    @property
    def trees(self) -> bool:
        """Whether boosters score candidates."""
        return self.learner != "network"

    @property
    def networks(self) -> bool:
        """Whether networks do."""
        return self.learner != "trees"


def parameters(config: Stacking, threads: int) -> dict:
    """LightGBM's parameters. InputError when one in `extra` is unknown or set by this stage."""
    booster = config.booster
    ours = booster.model_dump(exclude=NOT_LIGHTGBMS) | {
        "metric": "cross_entropy" if booster.objective == "cross_entropy" else "binary_logloss",
        "bagging_freq": int(booster.bagging_fraction < 1),
        "use_quantized_grad": booster.quantised,
        "seed": config.seed,
        "num_threads": threads,
        "num_iterations": booster.max_rounds,
        "early_stopping_round": booster.early_stopping_rounds,
        "deterministic": True,
        "force_col_wise": True,  # the row-wise histograms would add a byte a cell
        "verbosity": -1,
    }
    check_extra(booster.extra, ours)
    return ours | {"bin_construct_sample_cnt": 100_000} | booster.extra


def check_extra(extra: dict, ours) -> None:
    """Refuses misspelt parameters: LightGBM only warns of them, and when quiet not even that."""
    if not extra:
        return
    from lightgbm.basic import _ConfigAliases  # slow to import

    canonical = {}
    for name, aliases in _ConfigAliases._get_all_param_aliases().items():
        canonical.update(dict.fromkeys([name, *aliases], name))
    for key in extra:
        if key not in canonical:
            near = difflib.get_close_matches(key, canonical, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise InputError(f"booster.extra: unknown LightGBM parameter {key!r}{hint}")
        if canonical[key] in ours:
            raise InputError(
                f"booster.extra: {key!r} is set by this stage; use the keys of [booster] "
                f"({', '.join(sorted(Booster.model_fields))})"
            )


def check_booster(config: Stacking, where) -> None:
    """InputError when [booster] says what LightGBM does not know."""
    try:
        parameters(config, threads=1)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if config.booster.extra:
        _try_values(config, where)


def _try_values(config: Stacking, where) -> None:
    """InputError when LightGBM does not take a value: it looks before it learns anything."""
    import lightgbm
    import numpy as np

    for name, value in config.booster.extra.items():
        if abs(value) >= 1 << 31 if isinstance(value, int) else str(value).lower() in ODD:
            text = "not a number that LightGBM takes"
            raise InputError(f"{where}: booster.extra.{name} = {value}: {text}")
    options = parameters(config, threads=1)  # what names columns is left out: those are not known
    options = {name: value for name, value in options.items() if "," not in str(value)}
    try:
        with _silent_errors():
            lightgbm.Booster(options, lightgbm.Dataset(np.eye(2), np.arange(2.0), params=options))
    except lightgbm.basic.LightGBMError as error:
        text = " ".join(str(error).split(" at /")[0].split())
        raise InputError(f"{where}: booster.extra: LightGBM does not take it: {text}") from error


@contextlib.contextmanager
def _silent_errors():
    """Without what a library writes to stderr from C: its exception says the same."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
