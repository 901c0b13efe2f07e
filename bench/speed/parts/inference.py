"""The student's predictions as exported, against eager float32: a video at a time, and 256.

On one core: two spinning thread pools would disturb one another.
"""

from pathlib import Path

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save_file

from bench.speed.measure import Result, in_turns, ratio
from distill.export.graph import session_of
from distill.export.onnx_graph import write_onnx
from first_level.bundle.network import Member, build_network
from first_level.bundle.rounding import load_rounded, rounded_state
from yt8m.data.store import Dims
from yt8m.inputs.settings import Inputs

FORMS = {"float32": 2.0, "int8": 4.0}  # goal: times faster


def figures(toy: bool, folder: Path) -> list[Result]:
    """The student of six extractors at half width (untrained: speed does not depend on it)."""
    dims = Dims({"rgb": 1024, "audio": 128}, 200 if toy else 3862, 0)
    torch.manual_seed(0)
    network = build_network([Member(kind="student", scale=0.05 if toy else 0.5)], Inputs(), dims)
    network.eval()
    torch.set_num_threads(1)
    forms = {"int8": 4.0} if toy else FORMS  # writing a graph takes seconds
    sessions = {form: session(network, dims, folder, form) for form in forms}
    found = []
    for batch in (1, 256):
        rng = np.random.default_rng(0)
        feed = {n: rng.standard_normal((batch, w), np.float32) for n, w in dims.features.items()}
        contestants = {"eager": lambda feed=feed: eager(network, feed)}
        for form, one in sessions.items():
            contestants[form] = lambda one=one, feed=feed: one.run(["logits"], feed)
        timings = in_turns(contestants, 0.1 if toy else 10)
        for form, goal in forms.items():
            name = f"ONNX {form} / eager float32, batch {batch}"
            found.append(ratio(name, timings, form, "eager", goal))
    return found


@torch.inference_mode()
def eager(network, features: dict[str, np.ndarray]) -> torch.Tensor:
    return network({name: torch.from_numpy(values) for name, values in features.items()})


def session(network, dims: Dims, folder: Path, form: str) -> onnxruntime.InferenceSession:
    """The graph as the export writes it, loaded as its users load it."""
    path = folder / f"{form}.onnx"
    save_file(rounded_state(network, form), folder / f"{form}.safetensors")
    load_rounded(network, folder / f"{form}.safetensors")  # int8: the values that a row can hold
    write_onnx(network.eval(), dims, path, form)
    return session_of(path, threads=1)
