"""What a data set is called and how large it is: feature names, classes, shards on disk.

The description that is used: an explicit file, else `dataset.toml` beside the records, else the
one in datasets/ whose feature names match the first record. Sizes of features come from the
data; the number of classes from the description, else from the vocabulary file beside the records,
else from the built-in description.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from yt8m.base.cli import InputError
from yt8m.base.config import Config, read_toml
from yt8m.base.paths import DESCRIPTION_FILE
from yt8m.records.framing import read_records
from yt8m.records.messages import Record
from yt8m.records.vocabulary import Vocabulary, read_vocabulary

BUILT_IN = Path(__file__).with_name("datasets")
PATTERNS = ("*.tfrecord", "*.tfrecords", "*.tfrecord.gz", "*.tfrecords.gz")
LEVELS = ("video", "frame")  # of records; their folders
MAX_CLASSES = 65536  # classes are stored as uint16
RATED = "segment"  # folder of frame-level records with rated segments
Names = Annotated[tuple[str, ...], Field(strict=False)]  # a TOML array is a list
# A kind's arrays are <name>.npy and <name>_frames.npy, beside a store's own arrays.
RESERVED = "ids labels labelled groups indptr indices lengths segments num_frames".split()
GROUP = "group"  # the usual name of the source, channel or upload that a video is of


def check_kind(name: str) -> str:
    """The name of a kind of features. ValueError when it cannot be one."""
    remedy = "choose another name"
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        remedy = "take small letters, digits and _, a letter first"
    elif name not in RESERVED and not name.startswith("segment_") and not name.endswith("_frames"):
        return name
    raise ValueError(f"a kind of features cannot be called {name}; {remedy}")


@dataclass(slots=True)  # not frozen: made for every record, in a third of the time
class FeatureKind:
    """Where records hold a kind of features.

    names: accepted ones of its video-level values, the first that a record has counts; frames: of
    its frames; optional: whether a record may lack it, whose values are then zeros.
    """

    names: tuple[str, ...]
    frames: tuple[str, ...]
    optional: bool = False


class FeatureTable(Config):
    """A table [features.<kind>] of a description: see FeatureKind. names: by default the kind's
    name and mean_<kind>, or what the keys `rgb` and `audio` say."""

    names: Names | None = None
    frames: Names | None = None
    optional: bool = False


class Description(Config):
    """Names of features (each a list of accepted ones) and the size of the label space.

    rgb, audio, rgb_frames, audio_frames: the kinds of features that YouTube-8M has; features: more
    kinds, by name.
    """

    name: str = "custom"
    ids: Names = ("id", "video_id")
    labels: Names = ("labels",)
    # Of the group; not in snapshots where it is usual, so that older stores stay as they are.
    groups: Names = Field((GROUP,), exclude_if=lambda names: names == (GROUP,))
    rgb: Names = ("mean_rgb",)
    audio: Names = ("mean_audio",)
    rgb_frames: Names = ("rgb",)
    audio_frames: Names = ("audio",)
    features: dict[Annotated[str, AfterValidator(check_kind)], FeatureTable] = {}
    segment_start_times: Names = ("segment_start_times",)
    segment_end_times: Names = ("segment_end_times",)
    segment_labels: Names = ("segment_labels",)
    segment_scores: Names = ("segment_scores",)
    classes: int | None = Field(None, ge=1, le=MAX_CLASSES)
    vocabulary: str | None = None  # file name, looked for beside the records and one folder up
    max_frames: int = Field(360, ge=1)
    renamed: dict[str, str] = {}  # corrected names of classes, by the names that records state
    scale: float = Field(1.0, gt=0)  # by which a conversion multiplied all values
    cut_frames: bool = Field(False, exclude_if=lambda value: not value)  # to the shortest kind

    @property
    def kinds(self) -> dict[str, FeatureKind]:
        """All kinds of features that records may have, by name: rgb and audio, then the others."""
        found = {
            "rgb": FeatureKind(self.rgb, self.rgb_frames),
            "audio": FeatureKind(self.audio, self.audio_frames),
        }
        for kind, table in self.features.items():
            usual = found.get(kind) or FeatureKind((kind, f"mean_{kind}"), ())
            found[kind] = FeatureKind(
                usual.names if table.names is None else table.names,
                usual.frames if table.frames is None else table.frames,
                table.optional,
            )
        return {name: kind for name, kind in found.items() if kind.names or kind.frames}

    def group_names(self, names: Collection[str]) -> list[str]:
        """Those of `names` that hold a group; not one that a kind of features has."""
        found = [name for name in self.groups if name in names]
        kinds = self.kinds.values() if found else ()
        return [name for name in found if not any(name in kind.names for kind in kinds)]

    def matches(self, names: set[str]) -> bool:
        """Whether a record with these features has any that this description knows."""
        known = {name for kind in self.kinds.values() for name in (*kind.names, *kind.frames)}
        return not names.isdisjoint(known)


@dataclass(frozen=True)
class Dims:
    """Sizes of a data set, or of the part of it that a model sees.

    features: the width of each kind of features by its name, in the data set's order (rgb before
    audio). max_frames: 0 without frames. verticals: the groups of the classes, 0 if unknown.
    frameless: kinds with video-level values only, in a data set where others have frames.
    """

    features: Mapping[str, int]
    classes: int
    max_frames: int
    verticals: int = 0
    frameless: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Of all kinds side by side."""
        return sum(self.features.values())

    @property
    def sizes(self) -> str:
        """The kinds and their widths, for people: "rgb 1024, audio 128"."""
        return ", ".join(f"{name} {width}" for name, width in self.features.items())


def find_shards(data: Path) -> dict[str, list[Path]]:
    """The shards of `data`, sorted by name: {"video": [...], "frame": [...]}, one or both.

    `data`: a folder with video/, frame/ and/or segment/ (frame-level too, with rated segments), a
    folder of shards, or one shard; the first record says which kind the latter two are.
    InputError when there are none.
    """
    data = Path(data)
    if data.is_file():
        return {kind_of(data): [data]}
    check_exists(data)
    inside = {kind: _shards_in(data / kind) for kind in LEVELS}
    inside["frame"] += _shards_in(data / RATED)
    found = {kind: shards for kind, shards in inside.items() if shards}
    if found:
        return found
    shards = _shards_in(data)
    if not shards:
        raise InputError(
            f"{data}: no records ({', '.join(PATTERNS)}) here, in video/ or in frame/; "
            "give the folder that holds the shards"
        )
    return {kind_of(shards[0]): shards}


def check_exists(data: Path, name: str = "") -> None:
    """InputError unless `data` is a folder or a file; name: what the text begins with."""
    if not data.exists():
        raise InputError(f"{name}{data}: no such file or folder")
    if not (data.is_file() or data.is_dir()):
        raise InputError(f"{name}{data}: neither a folder nor a file of records; give one of them")


def _shards_in(folder: Path) -> list[Path]:
    files = folder.iterdir() if folder.is_dir() else ()
    files = (path for path in files if is_shard(path) and path.is_file())
    return sorted(path for path in files if not path.name.startswith("."))


def is_shard(path: Path) -> bool:
    return any(path.match(pattern) for pattern in PATTERNS)


def kind_of(shard: Path) -> str:
    """ "frame" if the first record has frame features, else "video"."""
    return "frame" if first_record(shard).lists else "video"


def first_record(shard: Path) -> Record:
    return Record(next(read_records(shard)), f"{shard}: record 0")


def describe(
    data: Path, shards: dict[str, list[Path]], file: Path | None = None
) -> tuple[Description, Vocabulary]:
    """The description of a data set, `classes` filled in, and its class names.

    data, shards: as for and from `find_shards`; file: an explicit description (TOML).
    """
    first = next(iter(shards.values()))[0]
    names = first_record(first).names
    folders = _beside(Path(data), first)
    beside = next((f / DESCRIPTION_FILE for f in folders if (f / DESCRIPTION_FILE).is_file()), None)
    source = file or beside
    built_in = _built_in(names)
    description = read_toml(source, Description) if source else built_in
    if description is None or not description.matches(names):
        raise InputError(
            f"{first}: no known feature among {', '.join(sorted(names)) or 'none'}; name them "
            "in a dataset.toml beside the records (see yt8m/records/datasets) or with --description"
        )
    return _with_classes(description, source, built_in, folders, first)


def _with_classes(description, source, built_in, folders, first):
    name = description.vocabulary
    path = next((f / name for f in folders if (f / name).is_file()), None) if name else None
    if name and source and (path is None or Path(name).name != name):
        raise InputError(f"{source}: vocabulary {name!r} is not beside the records")
    vocabulary = read_vocabulary(path) if path else Vocabulary([])
    explicit = description.classes if source else None
    fallback = description.classes or (built_in.classes if built_in else None)
    classes = explicit or len(vocabulary) or fallback
    if classes is None:
        raise InputError(
            f"{first}: the number of classes is unknown; set `classes` or `vocabulary` in a "
            "dataset.toml beside the records"
        )
    resized = vocabulary.with_classes(classes, path)
    return description.model_copy(update={"classes": classes}), resized


def _built_in(names: set[str]) -> Description | None:
    found = (read_toml(path, Description) for path in sorted(BUILT_IN.glob("*.toml")))
    return next((description for description in found if description.matches(names)), None)


def _beside(data: Path, first: Path) -> list[Path]:
    """Folders that may hold dataset.toml or the vocabulary: `data`, the shards', the one above."""
    folders = [data, first.parent, first.resolve().parent.parent]
    return [folder for folder in folders if folder.is_dir()]
