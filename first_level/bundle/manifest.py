"""model.json: what an export is. No torch: an export predicts without it, too."""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from first_level.bundle.sums import check_sums
from first_level.config import EXPORTED, ModelConfig
from yt8m.base.cli import InputError
from yt8m.base.config import Config, validate
from yt8m.base.files import read_json
from yt8m.base.paths import EXPORT_GRAPH, EXPORT_MANIFEST, EXPORT_TRAINED_ON, EXPORT_WEIGHTS
from yt8m.data.origins import digest_of_hashes, read_hashes
from yt8m.data.store import Dims
from yt8m.inputs.settings import Inputs

FORMAT = 4


class ResnetModel(Config):
    """Arguments of yt8m.networks.resnet.ResNetLike."""

    width: int = Field(1024, ge=4)
    tower_blocks: int = Field(1, ge=0)
    concat_blocks: int = Field(1, ge=0)
    dropout: float = Field(0.4, ge=0, lt=1)


class Member(Config):
    """The student at a scale, a ResNetLike, or a copy of a refitted model with its own inputs."""

    kind: Literal["student", "resnet", "refit"]
    scale: float = 1.0
    resnet: ResnetModel | None = None
    name: str | None = None
    refit: ModelConfig | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Member":
        """An architecture that reads another export's folder is never part of one."""
        if self.refit is not None and self.refit.arch == EXPORTED:
            raise ValueError(f"arch {EXPORTED!r} reads files outside the export")
        return self


class RerankerAbout(Config):
    """Arguments of yt8m.networks.reranker.Reranker, and the names of its columns."""

    kept: list[int]
    candidates: int
    rank_by: str
    evidence: int
    smoothing: float
    videos: int
    columns: list[str]
    width: int
    layers: int


class ExportedKind(Config):
    """A kind of raw features that an export takes."""

    name: str
    width: int
    frames: bool  # of each frame, not of the whole video


class MadeFrom(Config):
    """The training videos (`digest_of_videos`), and digests of what an export was made from."""

    training: str
    inputs: dict[str, str | None]


class Expected(Config):
    """What saying yes from the thresholds on gives: by the given labels, out of fold.

    precision, recall: of `threshold`, over all classes; precisions, recalls: of each class's own.
    """

    aim: Literal["f1", "precision"]
    precision: float
    recall: float
    precisions: list[float]
    recalls: list[float]


class Manifest(Config):
    """model.json."""

    format: int
    plan: str
    revision: str | None  # of the code that wrote it
    features: list[ExportedKind]  # in the order in which the networks take them
    classes: int
    class_names: list[str]
    inputs: Inputs
    members: list[Member]
    dtype: str
    values: int
    frames: int = 0  # the most of a video that it takes; 0: the mean over them
    # The score from which on a class counts as said: for all together, and for each class.
    threshold: float = 0.5
    thresholds: list[float] = []
    expected: Expected | None = None
    reranker: RerankerAbout | None = None  # of a re-ranked student
    made_from: MadeFrom | None = None  # exports of older code do not say it

    @property
    def dims(self) -> Dims:
        widths = {kind.name: kind.width for kind in self.features}
        frameless = tuple(kind.name for kind in self.features if not kind.frames)
        return Dims(widths, self.classes, self.frames, frameless=frameless)


def read_manifest(folder: Path) -> Manifest:
    """What an export folder says of itself. InputError when it is not one."""
    if not (folder / EXPORT_MANIFEST).is_file():
        raise InputError(f"{folder}: not an export (no {EXPORT_MANIFEST}); run `make export`")
    for name in (EXPORT_MANIFEST, EXPORT_WEIGHTS, EXPORT_GRAPH):
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{folder / name}: is a link out of the export; copy the file here")
    check_sums(folder, EXPORT_MANIFEST)
    values = read_json(folder / EXPORT_MANIFEST)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{folder}: not an export of format {FORMAT}; export again with this code")
    manifest = validate(values, Manifest, folder / EXPORT_MANIFEST)
    counts = len(manifest.class_names), len(manifest.thresholds) or manifest.classes
    if counts != (manifest.classes, manifest.classes):
        raise InputError(
            f"{folder / EXPORT_MANIFEST}: {counts[0]} class_names and {counts[1]} thresholds for "
            f"{manifest.classes} classes; export again"
        )
    return manifest


def read_trained_on(folder: Path) -> np.ndarray:
    """`hashes_of` the videos that an export learnt from, ascending uint64 (N,).

    Empty where an export of older code does not say it. InputError when the file is not the
    manifest's.
    """
    stated, path = read_manifest(folder).made_from, folder / EXPORT_TRAINED_ON
    if stated is None:
        return np.zeros(0, np.uint64)
    found = read_hashes(path)
    if digest_of_hashes(found) != stated.training:
        raise InputError(f"{path}: is not what {EXPORT_MANIFEST} says; export again")
    return found


def groups_of(descriptions: list[Member]) -> tuple[list[str], list[int]]:
    """Names of the models, and of each member the place of its own; copies share their name."""
    names = [one.name or one.kind for one in descriptions]
    different = list(dict.fromkeys(names))
    return different, [different.index(name) for name in names]
