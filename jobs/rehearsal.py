"""A plan made small: `make rehearse PLAN=paper` runs all of it on generated records in an hour.

The rehearsal of plan `paper` is a plan of its own, `paper_rehearsal`. It has no TOMLs: it is made
of the plan's, by one rule, so that a new TOML is rehearsed as it is. Layers, options, losses,
inputs, schedules and teachers stay. Smaller are:

- every whole number among an architecture's arguments, defaults included, as `shrink_size` says;
- the students' scale, and the numbers of clusters and leaves;
- batches, epochs, batches of an epoch, and trees: at most those below.

Learning rates follow: Adam's best rate grows as widths shrink (in proportion: Yang et al. 2022,
arXiv 2203.03466) and falls with the root of the batch (Malladi et al. 2022, arXiv 2205.10287).
"""

import inspect
import math
from collections.abc import Iterable

from distill.config import DistillConfig
from first_level.config import EXPORTED, PlannedModel, architecture
from stacking.config import Stacking
from yt8m.training.settings import Training

FRACTION = 16  # of a width, one part
SMALLEST = 16  # a number up to this is a number of layers, heads, steps or blocks, and stays
EPOCHS, STEPS, BATCH, TREES, RATE = 8, 20, 128, 200, 0.02  # at most


def shrink_size(size: int, parts: Iterable[int] = ()) -> int:
    """A sixteenth of a size, at least 16. What divided the size, of 2 and `parts` (the numbers of
    heads or groups), still does."""
    if size <= SMALLEST:
        return size
    step = math.lcm(*(part for part in (2, *parts) if size % part == 0))
    return max(round(size / FRACTION / step) * step, -(-SMALLEST // step) * step)


def shrink_model(config: PlannedModel) -> PlannedModel:
    """The same model with fewer units. Weights of [start] fit the full size: it begins anew."""
    inputs = config.inputs.model_copy(update={"clusters": shrink_size(config.inputs.clusters)})
    changes = {
        "model": config.model | small_arguments(config),
        "inputs": inputs,
        "training": shrink_training(config.training),
        "start": config.start if config.arch == EXPORTED else None,
    }
    return config.model_copy(update=changes)


def small_arguments(config: PlannedModel) -> dict[str, int | list[int]]:
    """The sizes among an architecture's arguments that shrink, as they are then."""
    parameters = inspect.signature(architecture(config.arch, "rehearsal")).parameters
    values = {name: parameter.default for name, parameter in parameters.items()} | config.model
    sizes = {name: value for name, value in values.items() if type(value) is int}
    lists = {name: value for name, value in values.items() if isinstance(value, list | tuple)}
    parts = [value for value in sizes.values() if 0 < value <= SMALLEST]
    small = {name: shrink_size(value, parts) for name, value in sizes.items()}
    small |= {name: [shrink_size(size, parts) for size in value] for name, value in lists.items()}
    return {name: value for name, value in small.items() if value != values[name]}


def shrink_training(training: Training) -> Training:
    """The same training, of fewer and smaller batches."""
    batch = min(training.batch_size, BATCH)
    rate = training.lr * FRACTION * math.sqrt(batch / training.batch_size)
    changes = {
        "epochs": min(training.epochs, EPOCHS),
        "steps_per_epoch": min(training.steps_per_epoch, STEPS),
        "batch_size": batch,
        "lr": min(float(f"{rate:.3g}"), max(training.lr, RATE)),
    }
    return training.model_copy(update=changes)


def shrink_stack(stack: Stacking) -> Stacking:
    """The same stack of fewer and smaller trees."""
    booster = stack.booster
    changes = {
        "max_rounds": min(booster.max_rounds, TREES),
        "num_leaves": shrink_size(booster.num_leaves),
        "min_data_in_leaf": shrink_size(booster.min_data_in_leaf),
    }
    return stack.model_copy(update={"booster": booster.model_copy(update=changes)})


def shrink_students(config: DistillConfig) -> DistillConfig:
    """The same students with fewer units."""
    resnet = config.resnet
    width = {"width": shrink_size(resnet.model.width)}
    changes = {
        "model": resnet.model.model_copy(update=width),
        "training": shrink_training(resnet.training),
    }
    trained = ("extractors", "last_layers", "fine_tune")
    return config.model_copy(
        update={
            "scale": config.scale / FRACTION,
            "resnet": resnet.model_copy(update=changes),
            **{name: shrink_training(getattr(config, name)) for name in trained},
        }
    )
