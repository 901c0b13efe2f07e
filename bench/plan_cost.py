"""What a plan will take before anyone pays for it: hours, disk and memory of each stage.

    python -m bench.plan_cost paper --videos 5600000 --device h200

Networks are built without memory, and torch counts the floating-point operations of their products.
On a CPU these and the other stages go at what bench/calibration.json measured on one core (write
one of your own machine with `python -m bench.calibrate`). No GPU was measured: --device h200 is an
estimate, from the peak in NVIDIA's data sheet and an assumed share of it.
"""

import math
from dataclasses import dataclass
from pathlib import Path

from bench.flops import gflop_forward
from distill.config import DistillConfig
from distill.extractors import LAYOUTS
from first_level.config import read
from first_level.table import YOUTUBE_8M
from stacking import features, label_features
from stacking.config import Stacking
from yt8m import cli
from yt8m.cli import InputError, log
from yt8m.config import read_toml
from yt8m.files import read_json
from yt8m.settings import Training
from yt8m.tables import table

ROOT = Path(__file__).resolve().parents[1]
CALIBRATION = ROOT / "bench" / "calibration.json"
FOLDS = 5
FRAMES = 230  # of a video on average (../papers/record-format.txt allows 360)
# bf16 without sparsity, TFLOP/s, and the assumed share of it in a training step: not measured.
H200_PEAK, H200_SHARE = 989.0, 0.3
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
        return [
            self.stage,
            f"{self.hours:,.1f}",
            f"{self.disk:,.1f}",
            f"{self.memory:,.1f}",
            self.why,
        ]


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
    rate = speed["training_gflop_per_s"] * cores  # GFLOP/s
    if device == "h200":
        rate = H200_PEAK * H200_SHARE * 1e3
    costs = costs_of(plan, folder, videos, rate, cores, speed)
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


def costs_of(plan: str, folder: Path, videos: int, rate: float, cores: int, speed: dict):
    """The stages' costs; rate: GFLOP/s of networks."""
    models = {path: read(path) for path in sorted(folder.glob("*.toml"))}
    gflops, frame, weights = 0.0, 0, 0.0
    for path, config in models.items():
        forward, level, values = gflop_forward(config, path, FRAMES)
        passes = FOLDS * trained_videos(config.training, videos * (FOLDS - 1) // FOLDS)
        gflops += forward * (3 * passes + FOLDS * videos / FOLDS)
        frame += level == "frame"
        weights = max(weights, values * 16 / 1e9)  # weights, gradients, two moments, float32
    stack = read_toml(ROOT / "stacking" / "configs" / f"{plan}.toml", Stacking)
    return [
        decoding(videos, frame > 0, cores, speed),
        Cost(
            "first_level",
            gflops / rate / 3600,
            len(models) * videos * (4 * 100 + 8) / 1e9,  # 100 classes of a video at most
            weights + 2,
            f"{len(models)} models x {FOLDS} folds, {frame} of them on {FRAMES} frames",
        ),
        *stacking(stack, len(models), videos, cores, speed),
        distilling(plan, videos, rate),
    ]


def trained_videos(training: Training, videos: int) -> float:
    """Videos that a training run sees at most, early stopping left out."""
    if training.steps_per_epoch:
        return training.epochs * training.steps_per_epoch * training.batch_size
    return training.epochs * videos


def decoding(videos: int, frames: bool, cores: int, speed: dict) -> Cost:
    kinds = ("video", "frame") if frames else ("video",)
    seconds = sum(videos / speed[f"decode_{kind}_videos_per_s"] for kind in kinds) / cores
    columns = YOUTUBE_8M.rgb + YOUTUBE_8M.audio
    disk = videos * columns * (2 + FRAMES * frames) / 1e9
    return Cost("decode", seconds / 3600, disk, 0.3 * cores, " and ".join(kinds) + " level")


def stacking(stack: Stacking, models: int, videos: int, cores: int, speed: dict) -> list[Cost]:
    """Rows, then boosters. A value of a row is one column of one candidate."""
    rows = videos * stack.candidates
    known = len(label_features.NAMES)
    columns = models + OTHER_COLUMNS
    values = rows * columns
    rounds = stack.booster.max_rounds
    cells = rows * (FOLDS - 1) / FOLDS * columns * stack.booster.feature_fraction
    boosting = FOLDS * cells * rounds / speed["boosting_cells_per_s"] / cores / 3600
    memory = rows * (FOLDS - 1) / FOLDS * columns / 1e9  # a byte a cell
    return [
        Cost(
            "rows",
            values / speed["row_values_per_s"] / cores / 3600,
            rows * (4 * (columns - known) + 4 * known * FOLDS + 3) / 1e9,
            1.0,
            f"{rows:,} rows of {columns} columns",
        ),
        Cost("boosting", boosting, 0.1, memory, f"{FOLDS} x at most {rounds} rounds"),
    ]


def distilling(plan: str, videos: int, rate: float) -> Cost:
    """Extractors, last layers and the ResNetLike; operations from their numbers of weights."""
    settings = read_toml(ROOT / "distill" / "configs" / f"{plan}.toml", DistillConfig)
    widths = sum(math.prod((2, layout.joint[-1])) / 2 for layout in LAYOUTS.values())
    last = (widths + 1152) * 8192 + 8192 * 6000 + 6000 * YOUTUBE_8M.classes
    values = 247_233_888 * settings.scale**2  # of the whole student (distill/student.py)
    extracting = values - last * settings.scale**2
    resnet = settings.resnet.model
    blocks = resnet.tower_blocks * 2 + resnet.concat_blocks * 4
    resnet_values = resnet.width**2 * (2 * blocks + 2) / 2 + resnet.width * YOUTUBE_8M.classes
    flops = 6 * extracting * trained_videos(settings.extractors, videos)
    flops += (6 * last * settings.scale**2 + 2 * extracting) * trained_videos(
        settings.last_layers, videos
    )
    flops += 6 * resnet_values * trained_videos(settings.resnet.training, videos)
    return Cost(
        "distill",
        flops / 1e9 / rate / 3600,
        values * 2 * 2 / 1e9,
        values * 16 / 1e9 + 1,
        f"student of {values / 1e6:,.0f} M values, and a ResNetLike",
    )


if __name__ == "__main__":
    cli.run(main)
