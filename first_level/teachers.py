"""Soft labels by other models of the plan: a second round (a model's [teachers] table).

Main paper, table 1, row 2: ResNetLike on soft labels joins the ensemble that is stacked. Its soft
labels were out-of-fold predictions, and those leak: the teacher of a video of fold j has learnt
fold k, the student learns its function, and what it then says of fold k is no prediction any more
(measured: docs/distill.md). So here the teachers of the job that never sees fold k are that fold's
own models, which never saw it either. They label what the student is given, mixtures included
("Knowledge distillation: a good teacher is patient and consistent", Beyer et al., 2022).
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from first_level.config import ModelConfig, architecture, build
from yt8m.base import device as devices
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.files import require
from yt8m.base.paths import CONFIG, WEIGHTS
from yt8m.data.store import Dims
from yt8m.inputs.batch import Batch, Targets
from yt8m.training.weights import load_weights

KEPT = 64  # classes of a video that the teachers speak of; the others are taught as 0


def files_of(config: ModelConfig, out: Path) -> list[Path]:
    """The teachers' weights, for the job that writes to `out`; InputError when one is absent.

    out: .../<model>/fold<k>; a teacher's are at .../<teacher>/fold<k>/weights.safetensors.
    """
    names = config.teachers.models if config.teachers else ()
    paths = [out.parent.parent / name / out.name / WEIGHTS for name in names]
    return [require(path, "a model of [teachers]; run `make first_level`") for path in paths]


def teaching(
    config: ModelConfig, dims: Dims, paths: list[Path]
) -> Callable[[Batch, Targets], Targets] | None:
    """What turns the targets of a batch into (1 - weight) x labels + weight x mean of the teachers.

    None without teachers. InputError when a teacher has other inputs or another level.
    """
    if not paths:
        return None
    device, weight, models = devices.pick(), config.teachers.weight, []
    level = architecture(config.arch, "teachers").level
    for path in paths:
        theirs = read_snapshot(path.parent.parent / CONFIG, ModelConfig)
        where = path.parent.parent.name
        if theirs.inputs != config.inputs:
            raise InputError(f"teachers: {where} has other [inputs]; they must be the student's")
        model = build(theirs, dims, where)
        if model.level != level:
            raise InputError(f"teachers: {where} is {model.level}-level, the student {level}-level")
        load_weights(model, path)
        models.append(model.to(device).eval().requires_grad_(False))

    def teach(batch: Batch, labels: Targets) -> Targets:
        with torch.no_grad(), devices.autocast(device, config.training.precision):
            means = torch.stack([model(batch).float().sigmoid() for model in models]).mean(0)
        scores, classes = means.topk(min(KEPT, means.shape[1]), dim=1)  # (B, K)
        rows = torch.arange(len(means), device=device)[:, None].expand_as(classes)
        own = replace(labels, values=labels.values * (1 - weight))
        return own.plus(rows.flatten(), classes.flatten(), scores.flatten() * weight)

    return teach
