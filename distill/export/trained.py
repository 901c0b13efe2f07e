"""The trained student of a run, in float32, and what its export says of itself."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distill.config import DistillConfig, check_inputs, check_refittable, member_of
from distill.export.reranking import REMEDY, add_reranker
from distill.export.thresholds import Thresholds, choose_thresholds
from distill.job import check_student, rows_of
from first_level.bundle.manifest import FORMAT, Expected, ExportedKind, MadeFrom, Manifest, Member
from first_level.bundle.network import Network, build_network
from first_level.config import ModelConfig
from yt8m.base.cli import InputError
from yt8m.base.config import read_snapshot
from yt8m.base.digests import digest_of
from yt8m.base.files import require
from yt8m.base.paths import CONFIG, FIRST_LEVEL, WEIGHTS, Artifacts
from yt8m.base.receipts import commit
from yt8m.data.origins import check_origin, digest_of_videos, origin_of, without
from yt8m.data.predictions import Predictions
from yt8m.data.splits import NUM_FOLDS, Splits
from yt8m.data.store import Store
from yt8m.networks.student import num_values
from yt8m.training.weights import load_weights

JUDGED = 100_000  # videos that thresholds are chosen by: their candidates lie in memory


@dataclass(frozen=True)
class Trained:
    """What a run has trained. distill: the stage's folder."""

    distill: Path
    settings: DistillConfig
    data: Store
    splits: Splits
    soft_labels: Path

    def read(self, chosen: str, dtype: str, plan: str) -> tuple[Network, Manifest]:
        """The chosen students with their trained float32 weights, and their manifest."""
        data, settings = self.data, self.settings
        parts = parts_of(self.distill, chosen, settings)
        members = [member for member, _ in parts]
        reranked = any(member.kind == "refit" for member in members)
        dims = data.dims  # the norms of all kinds are columns of a re-ranker
        if not reranked:
            kinds = settings.inputs.kinds(dims, "video")
            dims = replace(dims, features={name: dims.features[name] for name in kinds})
        network = build_network(members, settings.inputs, dims)
        by_frame = any(network.by_frame)
        for model, (_, folder) in zip(network.members, parts, strict=True):
            load_weights(model, self.weights_in(folder))
        training = self.splits.training
        about = add_reranker(network, self.distill.parent, data, training) if reranked else None
        overall, each = self.thresholds()
        manifest = Manifest(
            format=FORMAT,
            plan=plan,
            revision=commit(),
            features=[
                ExportedKind(name=name, width=width, frames=by_frame and name not in dims.frameless)
                for name, width in dims.features.items()
            ],
            classes=dims.classes,
            class_names=list(data.class_names),
            inputs=settings.inputs,
            members=members,
            dtype=dtype,
            values=num_values(network),
            frames=settings.inputs.dims(dims, "frame").max_frames if by_frame else 0,
            threshold=_round(overall.at)[0],
            thresholds=_round(each.at),
            expected=_expect(settings.thresholds.aim, overall, each),
            reranker=about,
            made_from=self.made_from([folder / WEIGHTS for _, folder in parts]),
        )
        return network, manifest

    def weights_in(self, folder: Path) -> Path:
        """A file of weights. InputError when there are none, or when they learnt from other videos
        than those that the folds of now give them."""
        path, splits, ids = require(folder / WEIGHTS, REMEDY), self.splits, self.data.ids
        if folder.parents[1].name != FIRST_LEVEL:
            part = {"student": "last"}.get(folder.name, "resnet")
            learnt = digest_of_videos(ids, rows_of(part, self.settings, splits))
            check_student(path, learnt, splits.digest)
            return path
        origin, fold = origin_of(path), int(folder.name.removeprefix("fold"))
        if origin is not None:  # of older code, whose fingerprint said as much
            made_by = f"{FIRST_LEVEL}/{folder.parent.name}"
            check_origin(origin, path, made_by, fold, without(fold, splits, ids))
        return path

    def made_from(self, weights: list[Path]) -> MadeFrom:
        """What the export is made from: whatever has learnt from labels is of the training
        videos."""
        inputs = {"folds": self.splits.digest, "soft_labels": digest_of(self.soft_labels)}
        inputs |= {str(p.parent.relative_to(self.distill.parent)): digest_of(p) for p in weights}
        return MadeFrom(training=without(None, self.splits, self.data.ids), inputs=inputs)

    def thresholds(self) -> tuple[Thresholds, Thresholds]:
        """For all classes together, and for each: from the soft labels of training videos, evenly
        spread where there are more than JUDGED."""
        data, rows = self.data, self.splits.training
        rows = rows[:: -(-len(rows) // JUDGED) or 1]
        soft = Predictions.read(require(self.soft_labels, REMEDY)).align(data.ids[rows])
        aim = self.settings.thresholds
        precision = aim.precision if aim.aim == "precision" else None
        return choose_thresholds(soft, data.labels.take(rows), data.dims.classes, precision)


def _expect(aim: str, overall: Thresholds, each: Thresholds) -> Expected:
    return Expected(
        aim=aim,
        precision=_round(overall.precision)[0],
        recall=_round(overall.recall)[0],
        precisions=_round(each.precision),
        recalls=_round(each.recall),
    )


def _round(values: np.ndarray) -> list[float]:
    return [round(float(value), 4) for value in values]


def parts_of(distill: Path, chosen: str, settings: DistillConfig) -> list[tuple[Member, Path]]:
    """What the chosen student(s) are made of, and the folders of their weights."""
    if chosen not in ("student", "resnet", "both"):
        raise InputError(f"--name {chosen}: not a student; allowed: student, resnet, both")
    if chosen == "both" and settings.refit.models:
        raise InputError("--name both: re-ranked students have no mean; allowed: student, resnet")
    if chosen == "student" and settings.refit.models:
        return [
            (refit_member(distill, name, settings), folder)
            for name in settings.refit.models
            for folder in versions(distill, name, settings)
        ]
    kinds = ("student", "resnet") if chosen == "both" else (chosen,)
    return [(member_of(kind, settings), distill / kind) for kind in kinds]


def versions(distill: Path, name: str, settings: DistillConfig) -> list[Path]:
    """The folders of a model's weights: of its copies, or of its fold models."""
    files = Artifacts.of_run(distill.parent)
    if name in settings.refit.folds:
        return [files.model_fold(name, k) for k in range(NUM_FOLDS)]
    return [files.refit(name, copy) for copy in range(settings.refit.copies)]


def refit_member(distill: Path, name: str, settings: DistillConfig) -> Member:
    """A refitted model, or one of its fold models, as its own snapshot describes it."""
    where = Artifacts.of_run(distill.parent).model(name) / CONFIG
    model = read_snapshot(require(where, REMEDY), ModelConfig)
    if name in settings.refit.folds:
        check_inputs(model, where)
    else:
        check_refittable(model, where)
    return Member(kind="refit", name=name, refit=model)
