"""What each model of a plan needs of the data. Networks are built without memory."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from distill.config import member_of
from distill.refittable import check_graph
from first_level import start
from first_level.bundle.network import build_member, level_of
from first_level.bundle.rounding import least_mb
from first_level.config import PlannedModel, architecture, build
from first_level.segments.windows import check_segments
from jobs.plans import FIRST_LEVEL, Plan
from yt8m.base.cli import InputError, log
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Dims, Store
from yt8m.inputs.derived import CLUSTER_FRAMES
from yt8m.inputs.frames import Runs
from yt8m.inputs.settings import Level
from yt8m.networks.student import num_values
from yt8m.training.noise import dropouts


@dataclass(frozen=True)
class PlanFit:
    """A plan beside the data that it is to be trained on."""

    plan: Plan
    data: Store
    splits: Splits
    segments: bool = False  # whether they are wanted now; else a line says what will be wrong

    def checks(self) -> dict[str, Callable[[], dict | None]]:
        """By what is checked, a function that says what it takes, or raises InputError."""
        refit = self.plan.distill.refit.models
        found = {name: partial(self.check_model, name) for name in self.plan.models}
        found |= {f"{name} in [refit]": partial(self.check_refit, name) for name in refit}
        return found | {"students": self.check_students}

    def check_model(self, name: str) -> dict:
        """A first-level model: its inputs, its network, what it begins with and learns from."""
        model, where, dims = self.plan.models[name], self._where(name), self.data.dims
        with torch.device("meta"):
            network = build(model, dims, where)
        if model.training.noise.test_passes:
            dropouts(network, where)
        if model.start is not None:
            start.files_of(model, where)
            start.read_weights(network, model, dims, where)
        for teacher in model.teachers.models if model.teachers else ():
            level = architecture(self.plan.models[teacher].arch, where).level
            if level != network.level:
                text = f"is {level}-level, this model {network.level}-level; choose others"
                raise InputError(f"{where}: teachers.models: {teacher!r} {text}")
        self._check_clusters(model, where)
        if model.segments is not None:
            self._check_segments(model, network.level, where)
        return about(network, model.inputs.dims(dims, network.level))

    def check_refit(self, name: str) -> None:
        """A first-level model that is to be exported."""
        check_graph(self.plan.models[name].as_model(), self.data.dims, self._where(name))

    def check_students(self) -> dict:
        """The students on all training videos."""
        settings, where, seen = self.plan.distill, self._where_students, self._seen
        settings.inputs.check("video", self.data.dims, where)
        trained = ["resnet"] if settings.refit.models else ["resnet", "student"]
        with torch.device("meta"):
            networks = {kind: build_member(member_of(kind, settings), seen) for kind in trained}
        return {kind: about(network, seen) for kind, network in networks.items()}

    def check_export(self, budget_mb: float, dtype: str) -> None:
        """Whether what is exported can be within its budget. All else was checked."""
        settings, refit, values = self.plan.distill, self.plan.distill.refit, 0
        kinds = ("student", "resnet") if settings.export == "both" else (settings.export,)
        with torch.device("meta"):
            for kind in kinds if not refit.models or "resnet" in kinds else ():
                values += num_values(build_member(member_of(kind, settings), self._seen))
            for name in refit.models if "student" in kinds else ():
                network = build(self.plan.models[name], self.data.dims, self._where(name))
                values += num_values(network) * (NUM_FOLDS if name in refit.folds else refit.copies)
        least = least_mb(values, dtype or settings.dtype)
        if least > budget_mb:
            raise InputError(
                f"{self._where_students}: its export takes {least:,.1f} MB at least, over the "
                f"budget of {budget_mb:,.1f} MB; raise BUDGET_MB, set DTYPE=int8, or choose "
                "smaller students"
            )

    @property
    def _seen(self) -> Dims:
        """What the students see of the data."""
        return self.plan.distill.inputs.dims(self.data.dims, "video")

    @property
    def _where_students(self) -> Path:
        return Path("distill/configs") / f"{self.plan.name}.toml"

    def _where(self, name: str) -> Path:
        return FIRST_LEVEL / self.plan.name / f"{name}.toml"

    def _check_segments(self, model: PlannedModel, level: Level, where: Path) -> None:
        try:
            check_segments(model, level, self.data, where)
        except InputError as error:
            if self.segments:
                raise
            log(f"[fit] make segments will be refused: {error}")

    def _check_clusters(self, model: PlannedModel, where: Path) -> None:
        inputs = model.inputs
        if inputs.sampling == "centroids":
            lengths = Runs.of(self.data, inputs).lengths[self.splits.training]
            frames = int(np.minimum(lengths, CLUSTER_FRAMES).sum())
            if frames < inputs.clusters:
                text = f"inputs.clusters = {inputs.clusters:,} and {frames:,} frames"
                raise InputError(f"{where}: {text}; give fewer clusters")


def about(network: nn.Module, seen: Dims) -> dict:
    """What a network takes of the data, and its size."""
    level = level_of(network)
    return {
        "level": level,
        "features": dict(seen.features),
        "frames": seen.max_frames if level == "frame" else 0,
        "parameters": sum(p.numel() for p in network.parameters()),
    }
