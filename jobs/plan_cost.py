"""What a plan will take before anyone pays for it: hours, disk and memory of each stage.

    python -m jobs.plan_cost paper --videos 5600000 --device h200

Networks are built without memory, and torch counts the floating-point operations of their products.
On a CPU these and the other stages go at what bench/calibration.json measured on one core (write
one of your own machine with `python -m bench.calibrate`). No GPU was measured: --device h200 is an
estimate, from the peak in NVIDIA's data sheet and an assumed share of it.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from distill.config import DistillConfig
from first_level.config import YOUTUBE_8M, PlannedModel, architecture, build, read
from jobs.flops import gflop_forward
from stacking import features, label_features
from stacking.config import Stacking
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.config import read_toml
from yt8m.base.files import read_json
from yt8m.base.tables import table
from yt8m.networks.extractors import LAYOUTS, Extractor, WithHead
from yt8m.networks.resnet import ResNetLike
from yt8m.networks.student import Student
from yt8m.training.settings import Training

ROOT = Path(__file__).resolve().parents[1]
CALIBRATION = ROOT / "bench" / "calibration.json"
FOLDS = 5
FRAMES = 230  # of a video on average
# bf16 without sparsity, TFLOP/s, and the assumed share of it in a training step: not measured.
H200_PEAK, H200_SHARE = 989.0, 0.3
# Its memory moves so many bytes a second; a step reads and writes of each parameter: itself, its
# gradient and two moments in float32, and its bf16 copy.
H200_BYTES, UPDATE_BYTES = 4.8e12 * 0.5, 34
# Of a row beside the models' logits: agreement, the video's norms and frames, labels of others.
OTHER_COLUMNS = len(features.names([], {})) + 3 + len(label_features.NAMES)
TITLES = ["stage", "hours", "disk GB", "memory GB", "why"]


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


def main(plan: str, *, videos: int = 5_600_000, device: str = "cpu", cores: int = 1) -> None:
    """Prints the cost of PLAN (a name below first_level/configs) for --videos of YouTube-8M.

    --device: cpu or h200; --cores: of the CPU, which decoding, rows and LightGBM share.
    """
    folder = ROOT / "first_level" / "configs" / plan
    if not folder.is_dir():
        plans = ", ".join(sorted(path.name for path in folder.parent.iterdir()))
        raise InputError(f"{plan}: no such plan; plans: {plans}")
    if videos < 1 or cores < 1 or device not in ("cpu", "h200"):
        raise InputError("--videos and --cores: 1 or more; --device: cpu or h200")
    if not CALIBRATION.is_file():
        raise InputError(f"{CALIBRATION}: no such file; `python -m bench.calibrate` writes it")
    speed = read_json(CALIBRATION)
    device_speed = Speed(speed["training_gflop_per_s"] * cores, speed["updates_per_s"] * cores)
    if device == "h200":
        device_speed = Speed(H200_PEAK * H200_SHARE * 1e3, H200_BYTES / UPDATE_BYTES)
    costs = costs_of(plan, folder, videos, device_speed, cores, speed)
    total = Cost("all", *(sum(getattr(c, k) for c in costs) for k in ("hours", "disk")), 0.0, "")
    total = Cost("all", total.hours, total.disk, max(c.memory for c in costs), "")
    log("\n".join(table(TITLES, [cost.row() for cost in [*costs, total]])))
    log(f"{videos:,} videos; decoding, rows and LightGBM on {cores} cores of the calibration")
    log(f"calibration: {speed['machine']}, {speed['date']}, commit {speed['commit']}")
    if device == "h200":
        log(
            f"ESTIMATE, NOT MEASURED: no GPU was at hand; {H200_SHARE:.0%} of {H200_PEAK:,.0f} "
            "TFLOP/s is assumed in training and prediction (one GPU)"
        )


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
class Planned(Counted):
    """A first-level model of the plan."""

    config: PlannedModel


def costs_of(plan: str, folder: Path, videos: int, device: Speed, cores: int, speed: dict):
    """The stages' costs."""
    models = {path.stem: planned(path) for path in sorted(folder.glob("*.toml"))}
    inside = videos * (FOLDS - 1) // FOLDS
    hours = FOLDS * sum(device.training(m.config.training, m, inside) for m in models.values())
    predicted = sum(model.gflop for model in models.values()) * videos  # by the fold's own model
    frame = sum(model.level == "frame" for model in models.values())
    stack = read_toml(ROOT / "stacking" / "configs" / f"{plan}.toml", Stacking)
    settings = read_toml(ROOT / "distill" / "configs" / f"{plan}.toml", DistillConfig)
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
    last = stacking(stack, len(settings.refit.models), 1, videos, cores, speed)
    last = [replace(cost, stage=f"re-ranker: {cost.stage}") for cost in last]
    return [*costs, again, *last, of_resnet(settings, videos, device)]


def planned(path: Path) -> Planned:
    """A model of a plan, and what one video costs it."""
    config, dims = read(path), YOUTUBE_8M
    seen = config.inputs.dims(dims, architecture(config.arch, path).level)
    return Planned(*gflop_forward(lambda: build(config, dims, path), seen, FRAMES), config)


def trained_videos(training: Training, videos: int) -> float:
    """Videos that a training run sees at most, early stopping left out."""
    if training.steps_per_epoch:
        return training.epochs * training.steps_per_epoch * training.batch_size
    return training.epochs * videos


def decoding(videos: int, frames: bool, cores: int, speed: dict) -> Cost:
    kinds = ("video", "frame") if frames else ("video",)
    seconds = sum(videos / speed[f"decode_{kind}_videos_per_s"] for kind in kinds) / cores
    disk = videos * YOUTUBE_8M.width * (2 + FRAMES * frames) / 1e9
    return Cost("decode", seconds / 3600, disk, 0.3 * cores, " and ".join(kinds) + " level")


def stacking(
    stack: Stacking, models: int, boosters: int, videos: int, cores: int, speed: dict
) -> list[Cost]:
    """Rows, then boosters. A value of a row is one column of one candidate."""
    rows = videos * stack.candidates
    known = len(label_features.NAMES)
    columns = models + OTHER_COLUMNS
    rounds = stack.booster.max_rounds
    learnt = rows * (FOLDS - 1) / FOLDS if boosters > 1 else rows
    learnt = min(learnt, stack.booster.most_rows)
    cells = learnt * columns * stack.booster.feature_fraction
    boosting = boosters * cells * rounds / speed["boosting_cells_per_s"] / cores / 3600
    disk = rows * (4 * (columns - known) + 4 * known * FOLDS + 3) / 1e9
    about = f"{rows:,} rows of {columns} columns"
    seconds = rows * columns / speed["row_values_per_s"] / cores
    return [
        Cost("rows", seconds / 3600, disk, 1.0, about),
        Cost(
            "boosting",
            boosting,
            0.1,
            learnt * (columns + 40) / 1e9,
            f"{boosters} x {rounds} rounds",
        ),
    ]


def of_student(settings: DistillConfig, videos: int, device: Speed) -> Cost:
    """The paper's student: extractors, each under a classifier, then layers over all of them."""
    dims, scale = settings.inputs.dims(YOUTUBE_8M, "video"), settings.scale
    classes = dims.classes
    hours = forward = frozen = 0.0
    for letter in LAYOUTS:
        extractor = partial(Extractor, letter, dims, scale)
        alone = Counted(*gflop_forward(extractor, dims, 1))
        headed = Counted(*gflop_forward(lambda x=extractor: WithHead(x(), classes, 0.0), dims, 1))
        hours += device.training(settings.extractors, headed, videos)
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
    settings: DistillConfig, models: dict[str, Planned], videos: int, device: Speed
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


if __name__ == "__main__":
    cli.run(main)
