"""Snapshots of a folder of TOMLs, written as the planner writes them."""

from distill.config import DistillConfig
from first_level.config import check_arguments
from jobs.plans import distill_snapshots, model_snapshots, read_models
from stacking.config import Stacking, check_booster
from yt8m.base.config import read_toml, write_if_changed, write_snapshot

# Of a job of first_level.
WRITTEN = {"training.json", "report.json", "log.jsonl", "weights.safetensors"}
WRITTEN |= {"predictions.safetensors"}


def write_snapshots(plan, out) -> None:
    """Reads and checks the TOMLs of `plan`; writes OUT/<model>/config.json and the like."""
    models = read_models(plan)
    for name, model in models.items():
        check_arguments(model, plan / f"{name}.toml")
    for path, text in model_snapshots(models, out).items():
        write_if_changed(path, text)


def write_stack_snapshot(toml, out) -> None:
    """Reads and checks a TOML of the stack; writes its snapshot."""
    config = read_toml(toml, Stacking)
    check_booster(config, toml)
    write_snapshot(out, config)


def write_distill_snapshots(toml, folder) -> None:
    """Reads a TOML of the students; writes its snapshots into the folder of their stage."""
    for path, text in distill_snapshots(read_toml(toml, DistillConfig), folder).items():
        write_if_changed(path, text)
