"""The folder that a conversion writes: shards, dataset.toml, vocabulary.csv; and what it holds
already, where videos are added to it."""

import contextlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from folds.conversion.converter import PUBLISHED, Converter, frames_name
from folds.conversion.label_files import LabelFile
from folds.conversion.sources import FeatureSource
from yt8m.base.cli import InputError
from yt8m.base.config import read_toml
from yt8m.base.files import working_in, writing
from yt8m.base.paths import DESCRIPTION_FILE
from yt8m.records.content import check_vocabularies
from yt8m.records.description import PATTERNS, Description, FeatureTable, describe, find_shards
from yt8m.records.framing import write_records
from yt8m.records.reader import dims_of, stream
from yt8m.records.vocabulary import Vocabulary, find_difference, read_vocabulary, write_vocabulary

VOCABULARY_FILE = "vocabulary.csv"
MAX_FRAMES = Description().max_frames
TITLE = "# Written by folds/conversion/convert.py; feature names are YouTube-8M's."


@contextlib.contextmanager
def _new_folder(folder: Path):
    """A folder that takes the place of `folder` when the block ends well. InputError if that holds
    records which no conversion wrote, or more than one did."""
    for path in sorted(path for pattern in PATTERNS for path in folder.glob(pattern)):
        if not path.name.startswith("converted-"):
            text = "was not written by a conversion; choose another folder"
            raise InputError(f"{path}: {text}")
        if not re.match(r"converted-\d", path.name):
            raise InputError(f"{path}: was added and would be lost; choose another folder")
    with writing(folder) as temporary:
        temporary.mkdir()
        yield temporary


def write_new(out: Path, converter: Converter, shard_videos: int) -> None:
    """Writes all that OUT holds."""
    with working_in(out), _new_folder(out / converter.level) as folder:
        shards = -(-len(converter.rows) // shard_videos)
        for shard in range(shards):
            name = f"converted-{shard:05d}-of-{shards:05d}.tfrecord"
            write_records(folder / name, converter.take(shard_videos))
        description = Description(name=out.resolve().name, scale=converter.scale)
        _write_description(out, _extend(description, converter))
        if len(converter.known.vocabulary):
            write_vocabulary(out / VOCABULARY_FILE, converter.known.vocabulary)


def _extend(description: Description, converter: Converter) -> Description:
    """With the sizes and kinds of features of what was converted."""
    known, features = converter.known, dict(description.features)
    known_optional = {kind for kind, table in features.items() if table.optional}
    for kind in sorted(converter.widths, key=(*PUBLISHED, *converter.widths).index):
        framed = kind in converter.source.frames and kind not in PUBLISHED
        optional = kind in converter.optional or kind in known_optional
        table = features.get(kind) or FeatureTable(frames=(frames_name(kind),) if framed else None)
        if framed or optional or kind not in PUBLISHED:
            features[kind] = table.model_copy(update={"optional": optional})
    changes = {"features": features}
    changes["max_frames"] = max(description.max_frames, converter.longest)
    if len(known.vocabulary):  # it says how many classes there are, so that one file says all
        changes |= {"vocabulary": description.vocabulary or VOCABULARY_FILE, "classes": None}
    else:
        changes["classes"] = max(known.classes, description.classes or 0) or None
    return description.model_copy(update=changes)


def _write_description(out: Path, description: Description) -> None:
    values = description.model_dump(mode="json", exclude_defaults=True)
    tables = {"": values, **{f"[features.{k}]": t for k, t in values.pop("features", {}).items()}}
    lines = [TITLE]
    for title, table in tables.items():
        lines += [title] if title else []
        lines += [f"{key} = {_toml(value)}" for key, value in table.items()]
    with writing(out / DESCRIPTION_FILE) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value) -> str:
    """A text, a number, or a list or table of texts, in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(text)}" for key, text in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True)
class DataFolder:
    """What a folder holds that videos are added to. vocabulary: empty where classes have no names;
    widths: by kind of features; framed: the kinds that have frames."""

    path: Path
    level: str
    shards: list[Path]
    description: Description
    vocabulary: Vocabulary
    widths: dict[str, int]
    framed: set[str]

    @classmethod
    def read(cls, path: Path) -> "DataFolder":
        """InputError unless a conversion wrote all of it."""
        found = find_shards(path)
        every = [shard for shards in found.values() for shard in shards]
        foreign = [shard for shard in every if not shard.name.startswith("converted-")]
        if len(found) > 1 or foreign or not (path / DESCRIPTION_FILE).is_file():
            odd = foreign[0] if foreign else path
            raise InputError(f"{odd}: was not written by a conversion; --add needs one that was")
        ((level, shards),) = found.items()
        description, vocabulary = describe(path, found)
        check_vocabularies(found, description, vocabulary)
        named = description.vocabulary is not None
        dims = dims_of(shards, description)
        framed = set(dims.features) - set(dims.frameless) if level == "frame" else set()
        names = vocabulary if named else Vocabulary([])
        return cls(path, level, shards, description, names, dict(dims.features), framed)

    def go_on(self, path: Path | None) -> Vocabulary:
        """The folder's vocabulary, or that of a file. InputError unless it goes on from it."""
        if path is None:
            return self.vocabulary
        found = read_vocabulary(path)
        at = find_difference(self.vocabulary.names, found.names)
        if at is not None or not len(self.vocabulary):
            own = repr(self.vocabulary.names[at]) if at is not None else "without names"
            text = f"class {at or 0} of {self.path} is {own}"
            raise InputError(f"{path}: {text}; keep its classes, and put new ones behind them")
        return found

    def check_source(self, source: FeatureSource, scale: float | None) -> float:
        """The folder's scale. InputError for other kinds of features, another scale, or a video
        that is there."""
        if scale not in (None, self.description.scale):
            text = f"was converted with --scale {self.description.scale:g}; leave --scale out"
            raise InputError(f"{self.path}: {text}")
        kinds = self.description.kinds
        required = {kind for kind in self.widths if not kinds[kind].optional}
        fits = required <= source.kinds <= self.widths.keys()
        if not fits or source.frames != source.kinds & self.framed:
            ours, theirs = (", ".join(sorted(names)) for names in (self.widths, source.kinds))
            text = f"has {ours} ({self.level} level), not {theirs}; give the same kinds of features"
            raise InputError(f"{self.path}: {text}")
        new = set(source.ids.tolist())
        both = [v.id for v in stream(self.shards, self.description) if v.id in new]
        if both:
            first = both[0].decode(errors="replace")
            text = (
                f"has {first!r} already, and {len(both):,} of these videos in all; leave them out"
            )
            raise InputError(f"{self.path}: {text}")
        return self.description.scale

    def check_labels(self, known: LabelFile) -> None:
        """InputError for names of classes where the folder has numbers alone."""
        if len(known.vocabulary) and not len(self.vocabulary):
            text = "has classes without names; give their numbers as labels"
            raise InputError(f"{self.path}: {text}")

    def add(self, converter: Converter) -> None:
        """Writes one more shard. Its name appears last, so that a kill leaves the folder as it was,
        but perhaps for names of classes, at the end, that no video has."""
        batch = sum(not re.match(r"converted-\d", shard.name) for shard in self.shards)
        shard = self.shards[0].with_name(f"converted-added-{batch:05d}.tfrecord")
        converter.widths = dict(self.widths)
        with writing(shard) as temporary:
            write_records(temporary, converter.take(len(converter.rows)))
            current = read_toml(self.path / DESCRIPTION_FILE, Description)
            description = _extend(current, converter)
            if description != current:
                _write_description(self.path, description)
            if len(converter.known.vocabulary) > len(self.vocabulary):
                write_vocabulary(self.path / description.vocabulary, converter.known.vocabulary)
