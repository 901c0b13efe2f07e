"""How a network is trained. No torch: the planner reads configurations."""

from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from yt8m.base.config import Config, Precision

Loss = Literal[  # functions of yt8m/training/losses.py
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
    """Measures against wrong labels. The main paper (section 3) found no strong effect.

    They change only the training labels and the loss. Figures always use the labels as they are.
    """

    smoothing: float = Field(0.0, ge=0, lt=1)  # label y -> (1 - s) y + s x the class's frequency
    drop: float = Field(0.0, ge=0, lt=1)  # share of labels left out, drawn anew each time
    # False labels for each true one, by class frequency, drawn anew.
    add: float = Field(0.0, ge=0, le=1000)
    by_accuracy: bool = False  # drop and add more where a class's cross-validation accuracy is low
    confidence: float = Field(0.0, ge=0)  # penalty on a class's score, times 1 - its accuracy
    # By a noise matrix for each class, P(label | truth), from the precision and recall of the
    # labels. Defaults: YouTube-8M's labels against human raters (benchmark paper).
    correction: Literal["none", "forward", "backward"] = "none"
    label_precision: float = Field(0.788, gt=0, le=1)
    label_recall: float = Field(0.145, gt=0, le=1)
    adaptation: bool = False  # the matrix is learnt with the model, and unused in predictions
    adaptation_dropout: float = Field(0.1, ge=0, lt=1)  # of its weights
    test_passes: int = Field(0, ge=0)  # predictions averaged with dropout on; 0: dropout off

    @property
    def needs_accuracies(self) -> bool:
        """Whether the classes' cross-validation accuracies are used."""
        return self.confidence > 0 or self.by_accuracy

    @model_validator(mode="after")
    def _check(self) -> "Noise":
        if self.by_accuracy and not (self.drop or self.add):
            raise ValueError("by_accuracy chooses which labels to drop and add; set drop or add")
        if self.adaptation and self.correction != "none":
            raise ValueError("adaptation and correction exclude each other; choose one")
        return self


class Training(Config):
    """How a network is trained. Defaults suit tens of thousands of videos."""

    epochs: int = Field(10, ge=0)
    steps_per_epoch: int = Field(0, ge=0)  # batches of an endless shuffled stream; 0: all rows once
    # With few videos an epoch goes over them several times, so that all epochs together have as
    # many batches as this. In snapshots only if it is set.
    least_steps: int = Field(0, ge=0, exclude_if=lambda value: not value)
    batch_size: int = Field(512, ge=2)
    optimizer: Literal["adamw", "adam", "rmsprop", "adagrad"] = "adamw"
    lr: float = Field(1e-3, gt=0)
    # Of matrices only. adamw applies it apart from the gradient; the others add it to the gradient.
    # Models published with adam and rmsprop have 0.
    weight_decay: float = Field(0.01, ge=0)
    # "plateau" halves lr when the GAP of the inner split has not risen for more than
    # `plateau_patience` epochs, as torch's ReduceLROnPlateau and all published configurations do.
    schedule: Literal["cosine", "constant", "plateau"] = "cosine"
    plateau_patience: int = Field(1, ge=0)
    warmup: float = Field(0.1, ge=0, lt=1)  # share of all steps in which lr rises linearly
    clip: float = Field(10.0, gt=0)  # gradient norm
    ema: float = Field(0.0, ge=0, lt=1)  # decay of averaged weights; 0: off
    precision: Precision = "auto"
    loss: Loss = "bce"
    vertical_weight: float = Field(1.0, ge=0)  # of the verticals' loss, in models that have them
    mixup: float = Field(0.0, ge=0, le=1000)  # alpha; 0: off
    patience: int = Field(0, ge=0)  # epochs without a better inner GAP; 0: fixed schedule
    inner: float = Field(0.05, gt=0, lt=0.5)  # share of training videos kept for these two
    seed: int = 0
    noise: Noise = Noise()

    @property
    def needs_inner(self) -> bool:
        """Whether training looks at an inner split of the training videos."""
        return self.patience > 0 or self.schedule == "plateau"

    @field_validator("noise")
    @classmethod
    def _fits_the_loss(cls, noise: Noise, others: ValidationInfo) -> Noise:
        changes_bce = noise.smoothing or noise.correction != "none" or noise.adaptation
        if changes_bce and others.data.get("loss", "bce") != "bce":
            raise ValueError('smoothing, correction and adaptation need loss = "bce"')
        return noise
