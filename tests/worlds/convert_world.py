"""The same videos in every form that a conversion takes."""

import numpy as np
import pyarrow
import pyarrow.parquet
from record_bytes import videos_of

from folds.conversion import convert

LENGTHS = np.array([3, 1, 4, 2, 5])
IDS = ["b1", "a22", "c", "dd", "e"]
LABELS = "id,labels\na22,7 0\nc,\ne,3\nb1,7\nstranger,2\n"
EXPECTED = {"b1": [7], "a22": [0, 7], "c": [], "dd": None, "e": [3]}


def write_parquet(path, **columns):
    pyarrow.parquet.write_table(pyarrow.table(columns), path)


def nested(rows):
    return [[list(frame) for frame in row.tolist()] for row in rows]


def converted(folder, out="out", **options):
    """Paths are names in `folder`."""
    paths = ("rgb", "audio", "ids", "lengths", "table", "labels", "vocabulary")
    options = {k: folder / v if k in paths and v else v for k, v in options.items()}
    convert.main(folder / out, **options)
    ((kind, videos),) = videos_of(folder / out).items()
    return kind, {video.id.decode(): video for video in videos}


BOTH = {"rgb": "rgb.npy", "audio": "audio.npy"}
VIDEO = [
    {**BOTH, "ids": "ids.txt"},
    {**BOTH, "ids": "ids.npy"},
    {"rgb": "rgb_means.npz", "audio": "audio_means.npz"},
    {"table": "means.parquet"},
]
FRAMES = {"rgb": "rgb_frames.npy", "audio": "audio_frames.npy", "ids": "ids.txt"}
FRAME = [
    {**FRAMES, "lengths": "lengths.npy"},
    {**FRAMES, "lengths": "lengths.txt"},
    {"rgb": "rgb.npz", "audio": "audio.npz"},
    {"table": "frames.parquet"},
]
NAMED = "id,label\n" + "a22,Tree house\na22,Ball\nc,\ne,Cat\nb1,Tree house\n"


def write_forms(folder) -> dict:
    """Writes the same videos in every form; returns their features by name."""
    rng = np.random.default_rng(5)
    means = {"rgb": rng.normal(size=(5, 6)), "audio": rng.normal(size=(5, 3))}
    means = {name: values.astype(np.float32) for name, values in means.items()}
    total = int(LENGTHS.sum())
    frames = {n: rng.uniform(-1.9, 1.9, (total, v.shape[1])) for n, v in means.items()}
    frames = {name: values.astype(np.float32) for name, values in frames.items()}
    split = {n: np.split(v, np.cumsum(LENGTHS)[:-1]) for n, v in frames.items()}
    for name in means:
        np.save(folder / f"{name}.npy", means[name])
        np.save(folder / f"{name}_frames.npy", frames[name])
        np.savez(folder / f"{name}.npz", **dict(zip(IDS, split[name], strict=True)))
        np.savez(folder / f"{name}_means.npz", **dict(zip(IDS, means[name], strict=True)))
    (folder / "ids.txt").write_text("\n".join(IDS) + "\n")
    np.save(folder / "ids.npy", np.array(IDS))
    np.save(folder / "lengths.npy", LENGTHS)
    (folder / "lengths.txt").write_text("".join(f"{n}\n" for n in LENGTHS))
    lists = {n: list(v) for n, v in means.items()}
    write_parquet(folder / "means.parquet", id=IDS, **lists)
    write_parquet(folder / "frames.parquet", id=IDS, **{n: nested(v) for n, v in split.items()})
    (folder / "labels.csv").write_text(LABELS)
    return {"means": means, "frames": split}
