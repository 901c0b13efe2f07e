"""An export, loaded: one folder with all that predicting needs, wherever it was copied.

model.json (what the network is, its inputs, class names), model.safetensors (its weights),
model.onnx (the same as a graph, not read here). Letters: N videos, R rgb, A audio, C classes.
"""

from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from distill.build import Member, Network, build_network
from yt8m.cli import InputError
from yt8m.config import Config, validated
from yt8m.files import read_json
from yt8m.settings import Inputs
from yt8m.store import Dims

FORMAT = 1
STEP = ".step"  # ends the name of what one unit of a row of an int8 matrix stands for
DTYPES = {"float16": torch.float16, "float32": torch.float32, "int8": torch.float16}  # of vectors
WEIGHTS, GRAPH, MANIFEST = "model.safetensors", "model.onnx", "model.json"


class Manifest(Config):
    """model.json."""

    format: int
    plan: str
    revision: str | None  # of the code that wrote it
    rgb: int  # width of the raw features; 0: absent
    audio: int
    classes: int
    class_names: list[str]
    inputs: Inputs
    members: list[Member]
    dtype: str
    values: int

    @property
    def dims(self) -> Dims:
        return Dims(self.rgb, self.audio, self.classes, 0)

    def network(self) -> Network:
        """The network, without memory for its values: those come with `load_rounded`."""
        with torch.device("meta"):
            return build_network(self.members, self.inputs, self.dims)


def read_manifest(folder: Path) -> Manifest:
    """What an export folder says of itself. InputError when it is not one."""
    if not (folder / MANIFEST).is_file():
        raise InputError(f"{folder}: not an export (no {MANIFEST}); `make export` writes one")
    values = read_json(folder / MANIFEST)
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(f"{folder}: not an export of format {FORMAT}; export again with this code")
    return validated(values, Manifest, folder / MANIFEST)


class Exported:
    """The network of an export folder, in float32. InputError when the folder is not one."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        self.network = self.manifest.network()
        load_rounded(self.network, self.folder / WEIGHTS)

    @torch.inference_mode()
    def logits(self, rgb: np.ndarray, audio: np.ndarray) -> torch.Tensor:
        """Raw features (N, R) and (N, A) -> (N, C) float32."""
        self._check("rgb", rgb.shape[1], self.manifest.rgb)
        self._check("audio", audio.shape[1], self.manifest.audio)
        rgb, audio = (torch.from_numpy(np.ascontiguousarray(x, np.float32)) for x in (rgb, audio))
        return self.network(rgb, audio)

    def top(self, rgb: np.ndarray, audio: np.ndarray, k: int = 20):
        """(classes int64 (N, k), scores float64 (N, k)) of the k best classes, best first.

        In float64 scores near 1 stay apart.
        """
        logits = self.logits(rgb, audio)
        best, classes = logits.topk(min(k, logits.shape[1]), dim=1)
        return classes.numpy(), best.double().sigmoid().numpy()

    def _check(self, name: str, width: int, expected: int) -> None:
        if width != expected:
            raise InputError(f"{self.folder}: takes {name} of {expected} values, not {width}")


def rounded_state(network: torch.nn.Module, dtype: str) -> dict[str, torch.Tensor]:
    """Its values as `dtype` (a key of DTYPES), to be stored.

    int8: a matrix as bytes and, for each of its rows, the float32 step `<name>.step` that one unit
    stands for; all else float16. BatchNorm's step counters are left out: nothing reads them.
    """
    state = {k: v.detach().cpu() for k, v in network.state_dict().items() if v.is_floating_point()}
    rounded = {}
    for name, value in state.items():
        if dtype == "int8" and value.ndim == 2:
            step = value.abs().amax(dim=1).clamp_min(1e-12) / 127  # (rows,)
            rounded[name] = torch.round(value / step[:, None]).to(torch.int8)
            rounded[name + STEP] = step
        else:
            rounded[name] = value.to(DTYPES[dtype]).contiguous()
            assert torch.isfinite(rounded[name]).all(), f"{name} does not fit {dtype}; use float32"
    return rounded


def load_rounded(network: torch.nn.Module, path: Path) -> None:
    """Loads what `rounded_state` gave, in float32. InputError when it does not fit the network."""
    try:
        state = load_file(path)
        steps = {name: state.pop(name) for name in list(state) if name.endswith(STEP)}
        for name in state:
            state[name] = state[name].float()  # one by one: never all values three times
            if name + STEP in steps:
                state[name] *= steps[name + STEP][:, None]
        for name in network.state_dict():
            if name.endswith("num_batches_tracked"):
                state[name] = torch.tensor(0)
        network.load_state_dict(state, assign=True)
    except (OSError, RuntimeError, ValueError, SafetensorError) as error:
        text = " ".join(str(error).split()[:24])
        raise InputError(f"{path}: does not fit {MANIFEST} ({text}); export again") from error
