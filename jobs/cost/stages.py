"""The cost of each stage of a plan: hours, disk and memory.

Networks are built without memory, and torch counts the floating-point operations of their products.
The other stages go at the speeds that bench/calibration.json has of one core.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from distill.config import DistillConfig
from first_level.config import YOUTUBE_8M, PlannedModel, architecture, build
from jobs.cost.flops import gflop_forward
from jobs.plans import Plan
from stacking import features, label_features
from stacking.config import Stacking
from yt8m.data.splits import NUM_FOLDS
from yt8m.networks.extractors import LAYOUTS, Extractor, WithHead
from yt8m.networks.resnet import ResNetLike
from yt8m.networks.student import Student
from yt8m.training.settings import Training

CALIBRATION = Path(__file__).resolve().parents[2] / "bench" / "calibration.json"
FOLDS = NUM_FOLDS
FRAMES = 230  # of a video on average
# Of a row beside the models' logits: agreement, the video's norms and frames, labels of others.
OTHER_COLUMNS = len(features.names([], {})) + 3 + len(label_features.NAMES)


@dataclass(frozen=True)
class Cost:
    """hours on the device, or of one core where only the CPU works; disk, memory in GB."""

    stage: str
    hours: float
    disk: float
    memory: float
    why: str

    def row(self) -> list[str]:
        numbers = (f"{x:,.{0 if x >= 10 else 2}f}" for x in (self.hours, self.disk, self.memory))
        return [self.stage, *numbers, self.why]


@dataclass(frozen=True)
class Speed:
    """Of networks: 10^9 operations of products a second, and parameters updated a second."""

    gflop: float
    updates: float

    def training(self, settings: Training, network: "Counted", videos: int) -> float:
        """Hours: forward and twice as much backward for each video, an update for each batch."""
        seen = trained_videos(settings, videos)
        updates = network.values * seen / settings.batch_size
        return (3 * network.gflop * seen / self.gflop + updates / self.updates) / 3600


@dataclass(frozen=True)
class Counted:
    """A network. gflop: of a forward pass of a video; values: parameters that are trained."""

    gflop: float
    level: str
    values: int

    def gigabytes(self) -> float:
        """Of training it: weights, gradients and two moments in float32."""
        return self.values * 16 / 1e9 + 1


@dataclass(frozen=True)
class ModelCost(Counted):
    """A first-level model of the plan."""

    config: PlannedModel


def costs_of(plan: Plan, videos: int, device: Speed, cores: int, speed: dict) -> list[Cost]:
    """The stages' costs."""
    models = {name: model_cost(model, name) for name, model in plan.models.items()}
    inside = videos * (FOLDS - 1) // FOLDS
    hours = FOLDS * sum(device.training(m.config.training, m, inside) for m in models.values())
    predicted = sum(model.gflop for model in models.values()) * videos  # by the fold's own model
    frame = sum(model.level == "frame" for model in models.values())
    stack, settings = plan.stack, plan.distill
    costs = [
        decoding(videos, frame > 0, cores, speed),
        Cost(
            "first_level",
            hours + predicted / device.gflop / 3600,
            len(models) * videos * (4 * 100 + 8) / 1e9,  # 100 classes of a video at most
            max(model.gigabytes() for model in models.values()),
            f"{len(models)} models x {FOLDS} folds, {frame} of them on {FRAMES} frames",
        ),
        *stacking(stack, len(models), FOLDS, videos, cores, speed),
    ]
    if not settings.refit.models:
        return [*costs, of_student(settings, videos, device), of_resnet(settings, videos, device)]
    again = of_refit(settings, models, videos, device)
    network = stack.model_copy(update={"learner": "network"})
    last = stacking(network, len(settings.refit.models), 1, videos, cores, speed)
    last = [replace(cost, stage=f"re-ranker: {cost.stage}") for cost in last]
    return [*costs, again, *last, of_resnet(settings, videos, device)]


def model_cost(config: PlannedModel, where: str) -> ModelCost:
    """A model of a plan, and what one video costs it."""
    dims = YOUTUBE_8M
    seen = config.inputs.dims(dims, architecture(config.arch, where).level)
    return ModelCost(*gflop_forward(lambda: build(config, dims, where), seen, FRAMES), config)


def trained_videos(training: Training, videos: int) -> float:
    """Videos that a training run sees at most, early stopping left out."""
    if training.steps_per_epoch:
        return training.epochs * training.steps_per_epoch * training.batch_size
    return max(training.epochs * videos, training.least_steps * training.batch_size)


def decoding(videos: int, frames: bool, cores: int, speed: dict) -> Cost:
    kinds = ("video", "frame") if frames else ("video",)
    seconds = sum(videos / speed[f"decode_{kind}_videos_per_s"] for kind in kinds) / cores
    disk = videos * YOUTUBE_8M.width * (2 + FRAMES * frames) / 1e9
    return Cost("decode", seconds / 3600, disk, 0.3 * cores, " and ".join(kinds) + " level")


def stacking(
    stack: Stacking, models: int, learners: int, videos: int, cores: int, speed: dict
) -> list[Cost]:
    """Rows, then what learns from them. A value of a row is one column of one candidate."""
    rows = videos * stack.candidates
    known = len(label_features.NAMES)
    columns = models + OTHER_COLUMNS
    learnt = rows * (FOLDS - 1) / FOLDS if learners > 1 else rows
    disk = rows * (4 * (columns - known) + 4 * known * FOLDS + 3) / 1e9
    about = f"{rows:,} rows of {columns} columns"
    seconds = rows * columns / speed["row_values_per_s"] / cores
    costs = [Cost("rows", seconds / 3600, disk, 1.0, about)]
    if stack.trees:
        costs.append(boosting(stack, learnt, columns, learners, cores, speed))
    if stack.networks:
        costs.append(network_of_rows(stack, learnt, columns, learners, cores, speed))
    return costs


def boosting(
    stack: Stacking, learnt: float, columns: int, boosters: int, cores: int, speed: dict
) -> Cost:
    """LightGBM on so many rows each."""
    learnt, rounds = min(learnt, stack.booster.most_rows), stack.booster.max_rounds
    cells = boosters * learnt * columns * stack.booster.feature_fraction
    hours = cells * rounds / speed["boosting_cells_per_s"] / cores / 3600
    memory = learnt * (columns + 40) / 1e9
    return Cost("boosting", hours, 0.1, memory, f"{boosters} x {rounds} rounds")


def network_of_rows(
    stack: Stacking, learnt: float, columns: int, networks: int, cores: int, speed: dict
) -> Cost:
    """The network over so many rows; 6 operations a weight and row, at the rate of training."""
    width, layers = stack.network.width, stack.network.layers
    weights = columns * width + (layers - 1) * width**2 + width
    epochs = stack.network.training.epochs
    gflop = 6 * weights * learnt * epochs * networks / 1e9
    hours = gflop / speed["training_gflop_per_s"] / cores / 3600
    return Cost("network", hours, 0.001, 1.0, f"{networks} x {epochs} epochs")


def of_student(settings: DistillConfig, videos: int, device: Speed) -> Cost:
    """The paper's student: extractors, each under a classifier, then layers over all of them."""
    dims, scale = settings.inputs.dims(YOUTUBE_8M, "video"), settings.scale
    classes = dims.classes
    hours = forward = frozen = 0.0
    # Copies learn from four of five folds each.
    learnt = videos * FOLDS if settings.extractor_videos == "folds" else videos
    for letter in LAYOUTS:
        extractor = partial(Extractor, letter, dims, scale)
        alone = Counted(*gflop_forward(extractor, dims, 1))
        headed = Counted(*gflop_forward(lambda x=extractor: WithHead(x(), classes, 0.0), dims, 1))
        hours += device.training(settings.extractors, headed, learnt)
        forward, frozen = forward + alone.gflop, frozen + alone.values
    whole = Counted(*gflop_forward(partial(Student, dims, scale), dims, 1))
    last = Counted(whole.gflop - forward, whole.level, whole.values - frozen)
    hours += device.training(settings.last_layers, last, videos)
    hours += forward * trained_videos(settings.last_layers, videos) / device.gflop / 3600
    hours += device.training(settings.fine_tune, whole, videos)
    about = f"{whole.values / 1e6:,.0f} M values"
    memory = max(whole.gigabytes(), exporting(whole.values))
    return Cost("student", hours, whole.values * 2 * 2 / 1e9, memory, about)


def of_refit(
    settings: DistillConfig, models: dict[str, ModelCost], videos: int, device: Speed
) -> Cost:
    """The models of [refit], trained again on all folds or handed over as they are."""
    refit, hours, values = settings.refit, 0.0, 0
    for name in refit.models:
        model, handed = models[name], name in refit.folds
        values += model.values * (FOLDS if handed else refit.copies)
        if not handed:
            hours += device.training(model.config.training, model, videos) * refit.copies
    size = {"float32": 4, "float16": 2, "int8": 1}[settings.dtype]
    about = f"{len(refit.models)} models, {len(refit.folds)} of them as their fold models"
    memory = max(exporting(values), *(models[name].gigabytes() for name in refit.models))
    return Cost("refit", hours, values * size * 2 / 1e9, memory, about)


def exporting(values: int) -> float:
    """GB while an export is made: three copies in float32, of them the graph and its rounding."""
    return values * 12 / 1e9 + 0.5


def of_resnet(settings: DistillConfig, videos: int, device: Speed) -> Cost:
    """The single ResNetLike, which every plan trains."""
    dims, resnet = settings.inputs.dims(YOUTUBE_8M, "video"), settings.resnet
    model = Counted(*gflop_forward(lambda: ResNetLike(dims, **dict(resnet.model)), dims, 1))
    hours = device.training(resnet.training, model, videos)
    about = f"{model.values / 1e6:,.0f} M values"
    return Cost("ResNetLike", hours, model.values * 4 / 1e9, model.gigabytes(), about)
