"""What is computed once for a data set: in folders of the store, read by every job that needs it.

    store/derived/<what>-<key>/arrays/*.npy     memory-mapped; the folder is complete or absent

Its key is a hash of the store's manifest, of the settings that matter and, for what is fitted, of
the videos that it is fitted on: of the folds, never of the holdout, and without their labels. Two
jobs that need the same do not both compute it: the second waits. A folder may be deleted; the next
job that needs it makes it again.

frames (dynamics = "pcp"), clusters (sampling = "centroids"), statistics (of video-level models
whose sampling is not random) and scaling (normalise = "standard" and "whiten").
N videos, S frames of all of them, W width of a kind of features, K centroids.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from yt8m.base import device as devices
from yt8m.base.arrays import create
from yt8m.base.checksums import CheckedRows, open_checked, open_rows, write_sums
from yt8m.base.cli import InputError, log
from yt8m.base.digests import SEALED
from yt8m.base.files import fingerprint, working_in, writing
from yt8m.base.paths import MANIFEST
from yt8m.base.receipts import note_derived
from yt8m.data.splits import Splits
from yt8m.data.store import DERIVED, Videos
from yt8m.inputs.batch import Source
from yt8m.inputs.clusters import Clusters, fit_centroids, nearest
from yt8m.inputs.frames import Runs, StoredFrames
from yt8m.inputs.sampling import RANDOM, thin
from yt8m.inputs.scaling import Moments, Scaling
from yt8m.inputs.settings import Inputs, Level

VERSION = 1  # of what the code computes: part of every key
LISTING = "files.txt"  # names of the arrays beside it
BLOCK = 64  # videos in memory at a time
# Fitted on no more than this: 30 frames a video and 100 a centroid for k-means, else videos.
CLUSTER_FRAMES, FRAMES_PER_CLUSTER = 30, 100
FITTED_VIDEOS: dict[Level, int] = {"video": 100_000, "frame": 10_000}
# Settings that decide what comes out of each step.
MOVING = ("skip_frames", "dynamics")
SAMPLED = (*MOVING, "sampling", "max_frames", "scene_threshold", "clusters", "statistics")


def source_of(store: Videos, level: Level, inputs: Inputs, splits: Splits) -> Source:
    """A Source for any inputs; computes what it needs and nobody has computed before."""
    source = Source(store, level, inputs)
    takes_frames = level == "frame" or bool(inputs.frame_settings())
    if takes_frames and inputs.dynamics == "pcp":
        source = replace(source, made=replace(source.made, frames=_frames(source)))
    if takes_frames and inputs.sampling == "centroids":
        clusters = _clusters(source, splits.training)
        source = replace(source, made=replace(source.made, clusters=clusters))
    if level == "video" and takes_frames and inputs.sampling not in RANDOM:
        statistics = _statistics(source, splits.training)
        source = replace(source, made=replace(source.made, statistics=statistics))
    if inputs.normalise in ("standard", "whiten"):
        scaling = _scaling(source, splits.training)
        source = replace(source, made=replace(source.made, scaling=scaling))
    return source


def made_once(store: Videos, what: str, depends_on: list, make: Callable[[Path], None]) -> Path:
    """The folder that `make` filled once for this store and these JSON values."""
    key = fingerprint(store.folder / MANIFEST, json.dumps([VERSION, depends_on], sort_keys=True))
    folder = store.folder / DERIVED / f"{what}-{key}"
    arrays = folder / "arrays"
    note_derived(arrays)
    if _is_complete(arrays):
        return arrays
    with working_in(folder):
        if not _is_complete(arrays):
            log(f"[inputs] computing {what} once for this data set: {folder}")
            started = time.monotonic()
            with writing(arrays) as temporary:
                temporary.mkdir()
                make(temporary)
                write_sums(temporary)
                names = sorted(path.name for path in temporary.iterdir())
                (temporary / LISTING).write_text("\n".join(names))
            size = sum(path.stat().st_size for path in arrays.iterdir()) / 1e6
            log(f"[inputs] {what}: {size:,.1f} MB in {time.monotonic() - started:,.0f} s")
    return arrays


def _is_complete(arrays: Path) -> bool:
    """Whether the folder has all files that were made, none of them deleted since, nor of the small
    ones changed; a change in a large one is found when it is read."""
    if not (arrays / LISTING).is_file():
        return False
    paths = [arrays / name for name in (arrays / LISTING).read_text().split()]
    if not paths or not all(path.is_file() for path in paths):
        return False
    try:
        for path in paths:
            if path.suffix == ".npy" and path.stat().st_size <= SEALED:
                open_checked(path)
        return True
    except InputError as error:
        log(f"warning: {str(error).partition(';')[0]}; making it again")
        return False


def _frames(source: Source) -> StoredFrames:
    """Frames after the dynamics."""
    runs, widths = Runs.of(source.store, source.inputs), _widths(source)

    def make(folder: Path) -> None:
        arrays = _create(folder, runs.total, widths)
        for rows in _blocks(np.arange(len(source.store)), BLOCK // 4):  # pcp needs much memory
            frames, places = source.after_dynamics(rows, devices.pick()), runs.find(rows)[0]
            _fill(arrays, places, frames.features)

    folder = made_once(source.store, "frames", [_settings(source, MOVING)], make)
    return StoredFrames(_open(folder, widths), runs)


def _clusters(source: Source, training: np.ndarray) -> Clusters:
    store, count = source.store, source.inputs.clusters
    runs, device = Runs.of(store, source.inputs), devices.pick()
    per_video = min(CLUSTER_FRAMES, float(runs.lengths[training].mean()))
    sample = _spread(training, int(FRAMES_PER_CLUSTER * count / per_video) + 1)

    def make(folder: Path) -> None:
        order = np.random.default_rng(0).permutation(sample)
        batches = (source.after_dynamics(rows, device).on(device) for rows in _blocks(order))
        joined = (thin(frames, CLUSTER_FRAMES).joined for frames in batches)
        centroids = fit_centroids(joined, count, store.folder)
        np.save(folder / "centroids.npy", centroids)
        out = create(folder / "nearest.npy", "u2", (runs.total, 1))
        centroids = torch.from_numpy(centroids).to(device)
        for rows in _blocks(np.arange(len(store))):
            found = nearest(source.after_dynamics(rows, device).on(device).joined, centroids)
            out[runs.find(rows)[0], 0] = found.cpu().numpy()

    depends_on = [_settings(source, (*MOVING, "clusters")), _hash(sample)]
    folder = made_once(store, "clusters", depends_on, make)
    centroids = torch.from_numpy(open_checked(folder / "centroids.npy").copy()).to(device)
    nearest_ones = open_checked(folder / "nearest.npy")[:, 0]
    return Clusters(centroids, nearest_ones, _widths(source), runs)


def _statistics(source: Source, training: np.ndarray) -> dict[str, CheckedRows]:
    """Statistics of all videos, before they are normalised."""
    store, whole = source.store, source.inputs.model_copy(update={"feature_share": 1.0})
    columns = whole.dims(store.dims, "video").features

    def make(folder: Path) -> None:
        arrays = _create(folder, len(store), columns)
        for rows in _blocks(np.arange(len(store))):
            _fill(arrays, rows, source.raw(rows, devices.pick())[0])

    depends_on = [_settings(source, SAMPLED), _centroids_hash(source, training)]
    folder = made_once(store, "statistics", depends_on, make)
    return _open(folder, columns)


def _scaling(source: Source, training: np.ndarray) -> dict[str, Scaling]:
    """Fitted on what a model sees when it predicts."""
    inputs, device = source.inputs, devices.pick()
    sample = _spread(training, FITTED_VIDEOS[source.level])
    names = inputs.kinds(source.store.dims, source.level)

    def make(folder: Path) -> None:
        moments = {name: Moments(inputs.normalise) for name in names}
        for rows in _blocks(sample):
            for name, part in source.raw(rows, device)[0].items():
                moments[name].add(part.float())
        for name, one in moments.items():
            one.scaling().write(folder, name)

    settings = _settings(source, (*SAMPLED, "normalise"))
    depends_on = [source.level, settings, _hash(sample), _centroids_hash(source, training)]
    folder = made_once(source.store, "scaling", depends_on, make)
    return {name: Scaling.read(folder, name, device) for name in names}


def _settings(source: Source, names: tuple[str, ...]) -> dict:
    kinds = source.inputs.kinds(source.store.dims, source.level)
    return source.inputs.model_dump(mode="json", include=set(names)) | {"features": kinds}


def _widths(source: Source) -> dict[str, int]:
    """Of the kinds of features that a frame of the source has."""
    dims = source.store.dims
    return {name: dims.features[name] for name in source.inputs.kinds(dims, "frame")}


def _create(folder: Path, rows: int, widths: dict[str, int]) -> dict[str, np.ndarray]:
    """An array (rows, W) to fill for each kind of features."""
    return {n: create(folder / f"{n}.npy", "f2", (rows, width)) for n, width in widths.items()}


def _fill(arrays: dict[str, np.ndarray], rows: np.ndarray, features: dict[str, Tensor]) -> None:
    for name, part in features.items():
        arrays[name][rows] = part.cpu().numpy()


def _open(folder: Path, names: Iterable[str]) -> dict[str, CheckedRows]:
    return {name: open_rows(folder / f"{name}.npy") for name in names}


def _spread(rows: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spread."""
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _hash(rows: np.ndarray) -> str:
    return hashlib.blake2b(rows.astype("<i8").tobytes(), digest_size=8).hexdigest()


def _centroids_hash(source: Source, training: np.ndarray) -> str:
    """Of the videos that the centroids come from, where there are any."""
    return _hash(training) if source.made.clusters else ""


def _blocks(rows: np.ndarray, size: int = BLOCK) -> Iterator[np.ndarray]:
    for start in range(0, len(rows), size):
        yield rows[start : start + size]
