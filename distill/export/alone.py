"""Labels of items from their features, by model.onnx beside this file: numpy and onnxruntime only.

    python predict.py features.npz labels.csv              arrays by their names, `ids`, `lengths`
    python predict.py rgb=rgb.npy audio=audio.npy labels.csv --ids ids.txt
    python predict.py clips.parquet labels.csv             columns by their names (needs pyarrow)
    python predict.py train00.tfrecord labels.csv          video-level records (needs tfrecord)

labels.csv has a line for each item and class: id, class, name, score, yes (1 if the score reaches
the threshold of its class). Best first, --top of an item. In your own code:

    from predict import Model
    found = Model("this folder").predict({"rgb": rgb, "audio": audio})
    found.names, found.scores, found.yes                   (N, 20) each, best first
"""

import argparse
import csv
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnxruntime

TOGETHER = 512  # items of a batch
UNFIT = 65520  # features from here on are no float16, and none was trained on
RECORD_KEYS = "mean_{}", "{}"  # what records call a kind of features
HEADER = ["id", "class", "name", "score", "yes"]


class Found(NamedTuple):
    """The best classes of N items, best first, (N, K) each: numbers, names, scores, yes or no."""

    classes: np.ndarray
    names: np.ndarray
    scores: np.ndarray
    yes: np.ndarray


class Model:
    """The graph of a folder. kinds: width of each kind of features, by name; framed: those that
    it takes of each frame, (N, T, width), with `lengths` (N,), how many frames of T are real."""

    def __init__(self, folder=Path(__file__).parent, threads: int = 0):
        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 3, threads
        path = Path(folder) / "model.onnx"
        if not path.is_file():
            raise ValueError(f"{path}: not there; give the folder of an export that has a graph")
        _check_sum(path)
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        about = self.session.get_modelmeta().custom_metadata_map
        inputs = json.loads(about["inputs"])
        self.kinds = {kind["name"]: kind["width"] for kind in inputs}
        self.framed = {kind["name"] for kind in inputs if kind["frames"]}
        self.names = np.array(json.loads(about["class_names"]))
        self.thresholds = np.array(json.loads(about["thresholds"]))

    def predict(self, features: dict, top: int = 20, lengths=None, start: int = 0) -> Found:
        """The best classes of (N, width) arrays by kind. ValueError says what does not fit.

        start: the number of the first item, for messages.
        """
        feed = {name: self._check(name, features, start) for name in self.kinds}
        if unknown := sorted(features.keys() - self.kinds.keys()):
            raise ValueError(f"{unknown[0]}: the model does not take it; it takes {self._takes()}")
        counts = {name: len(values) for name, values in feed.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"as many items of each kind are needed, not {counts}")
        if self.framed:
            frames = feed[min(self.framed)]
            whole = np.full(len(frames), frames.shape[1])
            feed["lengths"] = np.asarray(whole if lengths is None else lengths, np.int64)
        classes, logits, every = self.session.run(["classes", "best_logits", "logits"], feed)
        if not (fine := np.isfinite(every).all(1)).all():
            item = start + int(np.flatnonzero(~fine)[0])
            raise ValueError(f"item {item}: its logits are not finite")
        classes, logits = classes[:, :top], logits[:, :top].astype(np.float64)
        scores = 1 / (1 + np.exp(-logits))
        return Found(classes, self.names[classes], scores, scores >= self.thresholds[classes])

    def _takes(self) -> str:
        return ", ".join(f"{name} ({width} values)" for name, width in self.kinds.items())

    def _check(self, name: str, features: dict, start: int) -> np.ndarray:
        """Float32 of one kind, in the shape that the graph takes."""
        if name not in features:
            raise ValueError(f"{name}: absent; the model takes {self._takes()}")
        values, width = np.ascontiguousarray(features[name], np.float32), self.kinds[name]
        shape = "(N, T, {})" if name in self.framed else "(N, {})"
        if values.ndim != shape.count(",") + 1 or values.shape[-1] != width:
            raise ValueError(f"{name}: of shape {values.shape}, not {shape.format(width)}")
        fine = (np.abs(values) < UNFIT).reshape(len(values), -1).all(1)  # NaN is not
        if not fine.all():
            item = start + int(np.flatnonzero(~fine)[0])
            raise ValueError(f"{name}: item {item} has a value that is not finite or beyond 65504")
        return values


def _check_sum(path: Path) -> None:
    """ValueError unless the file is as SHA256SUMS beside it says, if there is such a list."""
    sums = path.with_name("SHA256SUMS")
    if sums.is_file():
        with open(path, "rb") as file:
            found = f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {path.name}"
        if found not in sums.read_text().splitlines():
            raise ValueError(f"{path}: is not as SHA256SUMS says; copy the folder again")


def read(paths: list[str], kinds: dict) -> tuple[dict, list[str] | None]:
    """Features by kind, and ids where the file has them."""
    if all("=" in path for path in paths):
        return {
            n: np.load(p, mmap_mode="r") for n, p in (path.split("=", 1) for path in paths)
        }, None
    if len(paths) > 1 and not all(_is_record(path) for path in paths):
        raise ValueError("give one .npz or .parquet, records, or kind=file.npy for each kind")
    if paths[0].endswith(".npz"):
        arrays = dict(np.load(paths[0]))
        ids = arrays.pop("ids", None)
        return arrays, None if ids is None else [_text(one) for one in ids.tolist()]
    if paths[0].endswith(".parquet"):
        from pyarrow import parquet

        present = parquet.read_schema(paths[0]).names
        columns = [name for name in [*kinds, "id"] if name in present]
        table = parquet.read_table(paths[0], columns=columns)
        ids = [_text(one) for one in table["id"].to_pylist()] if "id" in columns else None
        return {n: np.array(table[n].to_pylist()) for n in kinds if n in columns}, ids
    if _is_record(paths[0]):
        return read_records(paths, kinds)
    raise ValueError(f"{paths[0]}: not .npz, .parquet, .tfrecord or kind=file.npy")


def read_records(paths: list[str], kinds: dict) -> tuple[dict, list[str]]:
    """Video-level records: tf.train.Example with an id and each kind's values."""
    from tfrecord.reader import tfrecord_loader

    rows, ids = {name: [] for name in kinds}, []
    for path in paths:
        for record in tfrecord_loader(path, None):
            ids.append(_text(bytes(record["id"])))
            for name in kinds:
                keys = [key.format(name) for key in RECORD_KEYS if key.format(name) in record]
                if not keys:
                    raise ValueError(
                        f"{path}: {ids[-1]} has no {name}; records of frames and of "
                        "other data sets need the project's distill.predict"
                    )
                rows[name].append(record[keys[0]])
    return {name: np.array(values) for name, values in rows.items()}, ids


def _is_record(path: str) -> bool:
    return ".tfrecord" in Path(path).name


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def write(model: Model, features: dict, ids: list[str] | None, out: Path, top: int) -> int:
    """Writes the lines of all items, under a temporary name until all are written."""
    count = max(map(len, features.values()), default=0)
    if ids is not None and len(ids) != count:
        raise ValueError(f"{len(ids)} ids of {count} items; give one for each")
    if out.exists() and not out.read_bytes()[:64].startswith(",".join(HEADER).encode()):
        raise ValueError(f"{out}: exists and is no older result; choose another name")
    temporary = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        with open(temporary, "w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(HEADER)
            for start in range(0, count, TOGETHER):
                part = {name: x[start : start + TOGETHER] for name, x in features.items()}
                found = model.predict(part, top, part.pop("lengths", None), start)
                for item, row in enumerate(zip(*found, strict=True), start):
                    name = item if ids is None else ids[item]
                    for number, label, score, yes in zip(*row, strict=True):
                        lines.writerow([name, number, label, f"{score:.4g}", int(yes)])
        os.replace(temporary, out)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def main() -> None:
    """Reads the command line; an error is one line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("features", nargs="+")
    parser.add_argument("out", type=Path)
    parser.add_argument("--ids", help="a text file with an id a line, in the order of the arrays")
    parser.add_argument("--top", type=int, default=20, help="classes of an item, 20 at most")
    parser.add_argument("--threads", type=int, default=0, help="0: one a core")
    options = parser.parse_args()
    try:
        model = Model(threads=options.threads)
        features, ids = read(options.features, model.kinds)
        if options.ids:
            ids = Path(options.ids).read_text(encoding="utf-8-sig").split("\n")
            ids = ids[:-1] if not ids[-1] else ids
        count = write(model, features, ids, options.out, options.top)
    except (ValueError, OSError, KeyError, ImportError) as error:
        sys.exit(f"predict.py: {error}")
    print(f"{options.out}: {count} items")


if __name__ == "__main__":
    main()
