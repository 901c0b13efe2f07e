"""What a plan will take before anyone pays for it: hours, disk and memory of each stage.

    python -m jobs.cost.plan paper --videos 5600000 --device h200

On a CPU the stages go at what bench/calibration.json measured on one core (write one of your own
machine with `python -m bench.calibrate`). No GPU was measured: --device h200 is an estimate, from
the peak in NVIDIA's data sheet and an assumed share of it.
"""

from collections import Counter
from pathlib import Path

from jobs.cost.stages import CALIBRATION, Cost, Speed, costs_of
from jobs.graph import graph_of
from jobs.plans import Plan
from jobs.settings import Settings
from yt8m.base import cli
from yt8m.base.cli import InputError, log
from yt8m.base.files import read_json
from yt8m.base.tables import table

# bf16 without sparsity, TFLOP/s, and the assumed share of it in a training step: not measured.
H200_PEAK, H200_SHARE = 989.0, 0.3
# Its memory moves so many bytes a second; a step reads and writes of each parameter: itself, its
# gradient and two moments in float32, and its bf16 copy.
H200_BYTES, UPDATE_BYTES = 4.8e12 * 0.5, 34
TITLES = ["stage", "hours", "disk GB", "memory GB", "why"]


def main(plan: str, *, videos: int = 5_600_000, device: str = "cpu", cores: int = 1) -> None:
    """Prints the cost of PLAN (a name below first_level/configs) for --videos of YouTube-8M.

    --device: cpu or h200; --cores: of the CPU, which decoding, rows and LightGBM share.
    """
    read = Plan.read(plan)
    if videos < 1 or cores < 1 or device not in ("cpu", "h200"):
        raise InputError("--videos and --cores: 1 or more; --device: cpu or h200")
    if not CALIBRATION.is_file():
        raise InputError(f"{CALIBRATION}: no such file; `python -m bench.calibrate` writes it")
    speed = read_json(CALIBRATION)
    device_speed = Speed(speed["training_gflop_per_s"] * cores, speed["updates_per_s"] * cores)
    if device == "h200":
        device_speed = Speed(H200_PEAK * H200_SHARE * 1e3, H200_BYTES / UPDATE_BYTES)
    costs = costs_of(read, videos, device_speed, cores, speed)
    total = Cost("all", *(sum(getattr(c, k) for c in costs) for k in ("hours", "disk")), 0.0, "")
    total = Cost("all", total.hours, total.disk, max(c.memory for c in costs), "")
    log("\n".join(table(TITLES, [cost.row() for cost in [*costs, total]])))
    log(jobs_of(read))
    log(f"{videos:,} videos; decoding, rows and LightGBM on {cores} cores of the calibration")
    log(f"calibration: {speed['machine']}, {speed['date']}, commit {speed['commit']}")
    if device == "h200":
        log(
            f"ESTIMATE, NOT MEASURED: no GPU was at hand; {H200_SHARE:.0%} of {H200_PEAK:,.0f} "
            "TFLOP/s is assumed in training and prediction (one GPU)"
        )


def jobs_of(plan: Plan) -> str:
    """How many jobs `make all` has, of each stage."""
    settings = Settings(plan.name, Path("artifacts", plan.name), {"DATA": "records"}, {})
    jobs = graph_of(plan, settings).of_goal("all")
    stages = Counter(job.stage for job in jobs)
    return f"{len(jobs)} jobs: " + ", ".join(f"{n} of {stage}" for stage, n in stages.items())


if __name__ == "__main__":
    cli.run(main)
