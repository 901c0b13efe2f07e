"""The decoded records: mapped arrays (base/arrays.py), read by rows. Written by folds/decode.py.

    store/manifest.json          sizes, verticals, parts; written last: without it, no store
    store/about.json             what depends on no feature: names of classes, the description, and
                                 the content of the records (yt8m/records/content.py)
    store/rows-<key>/*.npy       ids, labels and, for each row, where its features are
    store/<level>/<part>/*.npy   features of a group of shards, of records at level "video" or
                                 "frame": <kind>.npy and <kind>_frames.npy
    store/derived/               what is computed from them once: see yt8m/inputs/derived.py

A row is a video: in the order of the shards, of video/ where there are both kinds (then the rows
are the videos that both have). N videos, W width of a kind of features, T frames, S segments, n
rows asked for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from yt8m.base.checksums import open_checked
from yt8m.base.cli import InputError
from yt8m.base.files import read_json
from yt8m.base.paths import ABOUT, MANIFEST
from yt8m.data.feature_files import SEGMENT_TYPES, FeatureFiles
from yt8m.records.description import Description, Dims
from yt8m.records.labels import Labels

VERSION = 2
DERIVED = "derived"  # folder of what is computed from a store: see yt8m/inputs/derived.py
Features = dict[str, np.ndarray]  # by kind, in the order of Dims.features


@dataclass(frozen=True)
class Segments:
    """Rated segments of several videos, in the order asked for; each array (S,).

    rows: the store's row, int64; start, end: seconds, int32; label: the class that was rated,
    uint16; score: what the raters said, float32, above 0 = the segment shows it.
    """

    rows: np.ndarray
    start: np.ndarray
    end: np.ndarray
    label: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: np.ndarray) -> "Segments":
        """Some of them."""
        return Segments(*(getattr(self, field.name)[index] for field in fields(self)))


@dataclass(eq=False)
class Videos:
    """Videos with their labels; features stay on disk until rows are asked for.

    folder: where what is computed from them belongs; ids: (N,) bytes; labels: Labels (N rows);
    labelled: bool (N,), false where the record has no labels field; num_frames: int32 (N,), 0 =
    none; vertical_of: the number of each class's vertical, int64 (C,), -1 where it has none; kinds:
    by "video" and "frame", where the features are.
    """

    folder: Path
    dims: Dims
    ids: np.ndarray
    labels: Labels
    labelled: np.ndarray
    num_frames: np.ndarray
    vertical_of: np.ndarray
    kinds: dict[str, "FeatureFiles"]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def has_frames(self) -> bool:
        """Whether the records have frame-level features."""
        return "frame" in self.kinds

    def video(self, rows: np.ndarray, names: Iterable[str] | None = None) -> Features:
        """Video-level features of `rows`, in that order: float16 (n, W) of each kind.

        names: of the kinds that are wanted; all by default. Where records have frames only, they
        are the means of the dequantised frames.
        """
        parts = self.kinds["video" if "video" in self.kinds else "frame"]
        widths = self.dims.features
        names = widths if names is None else names
        return {name: parts.gather(name, rows, widths[name]) for name in names}

    def frames(
        self, rows: np.ndarray, names: Iterable[str] | None = None
    ) -> tuple[Features, np.ndarray]:
        """Frames of `rows`, one video after the other in that order: uint8 (sum of T, W) of each
        kind that has frames, or of those that are named; lengths int32 (n,). InputError without
        frames.
        """
        lengths = self.num_frames[rows]
        return self.spans(rows, 0, lengths, names), lengths

    def spans(
        self, rows, start: np.ndarray | int, count: np.ndarray, names: Iterable[str] | None = None
    ) -> Features:
        """`count` frames from frame `start` on of each of `rows`, one span after the other: uint8
        (sum of counts, W) of each kind. The spans must lie in their videos."""
        parts, dims = self._frame_parts(), self.dims
        if names is None:
            names = [name for name in dims.features if name not in dims.frameless]
        return {
            name: parts.gather_runs(f"{name}_frames", rows, count, dims.features[name], start)
            for name in names
        }

    def segments(self, rows: np.ndarray) -> Segments:
        """The rated segments of `rows`; none where the records have none."""
        if not self.has_frames:
            nothing = (np.zeros(0, kind) for kind in SEGMENT_TYPES.values())
            return Segments(np.zeros(0, np.int64), *nothing)
        rows = np.asarray(rows, np.int64)
        owner, columns = self._frame_parts().segments(rows)
        return Segments(rows[owner], *columns)

    def _frame_parts(self) -> "FeatureFiles":
        if not self.has_frames:
            raise InputError(
                f"{self.folder}: has no frames; frame-level models need frame-level records "
                "(DATA with a frame/ folder); take a plan of video-level models"
            )
        return self.kinds["frame"]


class Store(Videos):
    """A complete store on disk. Beside what Videos has:

    class_names: list[str] (C,); verticals: list[str] (C,), [] when unknown; description:
    Description of the records; groups: what records say of the group, bytes (N,), b"" for nothing,
    or None when none says any; held_out: whether a video is of the records of HOLDOUT, bool (N,),
    or None without such records.
    """

    def __init__(self, folder: Path):
        """InputError when the store is missing, incomplete or of another version."""
        manifest = _read_manifest(Path(folder))
        about = read_json(Path(folder) / ABOUT)
        try:
            self.description = Description.model_validate(about["description"])
            self.class_names: list[str] = about["class_names"]
            self.verticals: list[str] = manifest["verticals"]
            known = sorted(set(self.verticals) - {""})
            super().__init__(**_columns(Path(folder), manifest, known))
            rows = Path(folder) / manifest["rows"]
        except InputError:
            raise
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            where = f"{Path(folder) / MANIFEST}, {ABOUT}"
            text = " ".join(str(error).split()[:9])
            raise InputError(f"{where}: not a store's ({text}); delete them, run `make`") from error
        self.groups, self.held_out = (
            open_checked(path) if path.is_file() else None
            for path in (rows / f"{name}.npy" for name in ("groups", "held_out"))
        )


def _read_manifest(folder: Path) -> dict:
    if not (folder / MANIFEST).is_file():
        raise InputError(
            f"{folder}: no complete store here; run `make folds`, or "
            "`python -m folds.decode DATA STORE`"
        )
    manifest = read_json(folder / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("version") != VERSION:
        raise InputError(f"{folder}: written by another version; delete it and run `make`")
    return manifest


def _columns(folder: Path, manifest: dict, known: list[str]) -> dict:
    """The fields of Videos. known: names of the verticals, sorted."""

    def load(name: str) -> np.ndarray:
        return open_checked(folder / manifest["rows"] / f"{name}.npy")

    kinds = {}
    for kind, parts in manifest["parts"].items():
        folders = [folder / kind / part["name"] for part in parts]
        kinds[kind] = FeatureFiles(
            folders, [part["videos"] for part in parts], load(f"{kind}_rows")
        )
    sizes = manifest["dims"] | {"frameless": tuple(manifest["dims"]["frameless"])}
    numbers = [known.index(name) if name else -1 for name in manifest["verticals"]]
    return {
        "folder": folder,
        "dims": Dims(**sizes, verticals=len(known)),
        "ids": load("ids"),
        "labels": Labels(load("indptr"), load("indices")),
        "labelled": load("labelled"),
        "num_frames": load("num_frames"),
        "vertical_of": np.array(numbers, np.int64),
        "kinds": kinds,
    }
