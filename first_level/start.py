"""Weights to begin with: another run's layers, a new classifier (a model's [start] table).

Benchmark paper, sections 4.1.3 and 5.3: layers trained on YouTube-8M serve Sports-1M (all of it
goes on learning) and ActivityNet (few videos: the old layers stay as they are).

The classifier is what depends on the number of classes or verticals. It is new even where both data
sets have as many: they need not mean the same. All else must fit by name and shape.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from first_level.bundle.manifest import read_manifest, read_trained_on
from first_level.config import EXPORTED, ModelConfig, build
from yt8m.base.cli import InputError
from yt8m.base.digests import stated_digest
from yt8m.base.paths import EXPORT_MANIFEST, EXPORT_WEIGHTS
from yt8m.data.origins import origin_of
from yt8m.data.splits import Splits
from yt8m.data.store import Dims
from yt8m.training.weights import read_state


def files_of(config: ModelConfig, where) -> list[Path]:
    """The files that a model begins with, for its fingerprint. InputError when one is absent."""
    if config.start is None:
        return []
    path = Path(config.start.weights)
    files = [path / EXPORT_MANIFEST, path / EXPORT_WEIGHTS] if config.arch == EXPORTED else [path]
    for file in files:
        if not file.is_file():
            raise InputError(f"{where}: start.weights = {str(path)!r}: {file} is no file")
    return files


def check_unseen(config: ModelConfig, judged: np.ndarray, learnt: str, splits: Splits) -> None:
    """InputError when the weights of [start] have learnt from videos that the model will judge.

    judged: `hashes_of` these; learnt: digest of those that the model learns from. Of weights of
    other data, and of older code, nothing is known.
    """
    path = Path(config.start.weights)
    if config.arch == EXPORTED:
        known = int(np.isin(judged, read_trained_on(path)).sum())
    else:
        origin = origin_of(path)
        same = origin is not None and origin.inputs.get("folds") == splits.digest
        known = len(judged) if same and origin.training != learnt else 0
    if known:
        raise InputError(
            f"{path}: has learnt from {known:,} of {len(judged):,} videos that a model with this "
            "[start] is to judge; give weights of other videos"
        )


def begin(model: nn.Module, config: ModelConfig, dims: Dims, where) -> None:
    """Loads [start] into a new model for data of these dims, and freezes it if that is asked for.

    InputError as `read_weights`.
    """
    loaded = read_weights(model, config, dims, where)
    model.load_state_dict(loaded, strict=False)
    if config.start.freeze:
        freeze(model, model.state_dict().keys() - loaded.keys())


def read_weights(model: nn.Module, config: ModelConfig, dims: Dims, where) -> dict[str, Tensor]:
    """The tensors of [start] for a model of data of these dims: all but the classifier's.

    InputError names the tensor that does not fit.
    """
    path, own = Path(config.start.weights), model.state_dict()
    loaded = _export_weights(config, own) if config.arch == EXPORTED else _weights(path)
    new = classifier_of(config, dims, where)
    if not own.keys() - new:
        raise InputError(f"{where}: {config.arch} is only a classifier; [start] gives nothing")
    for name in sorted((own.keys() | loaded.keys()) - new):
        theirs, ours = (_shape(state.get(name)) for state in (loaded, own))
        if theirs != ours:
            raise InputError(
                f"{path}: {name} is {theirs} there and {ours} in the model of {where}; [start] "
                "takes weights of the same architecture, [model], [inputs] and feature widths"
            )
    return {name: loaded[name] for name in own.keys() - new}


def classifier_of(config: ModelConfig, dims: Dims, where) -> set[str]:
    """Names of the tensors whose shapes depend on the classes or their verticals."""
    more = replace(dims, classes=dims.classes + 1, verticals=dims.verticals + bool(dims.verticals))
    with torch.device("meta"):
        own, larger = (build(config, sizes, where).state_dict() for sizes in (dims, more))
    return {name for name in own if own[name].shape != larger[name].shape}


def freeze(model: nn.Module, learning: set[str]) -> None:
    """Lets only these tensors learn; all layers without one stay in evaluation mode."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in learning)
    asleep = [
        name
        for name, _ in model.named_modules()
        if name and not any(tensor.startswith(name + ".") for tensor in learning)
    ]

    def keep_asleep(module: nn.Module, _) -> None:  # `fit` calls train() before each epoch
        for name in asleep:
            module.get_submodule(name).training = False

    model.register_forward_pre_hook(keep_asleep)


def _weights(path: Path) -> dict[str, Tensor]:
    """Those of a job of ours, or anyone's, which state no checksum."""
    try:
        with open(path, "rb") as file:
            ours = stated_digest(file) is not None
        return read_state(path) if ours else load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error}); no weights") from error


def _export_weights(config: ModelConfig, own: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of an export without its classifiers, which the model does not have."""
    from first_level.bundle.network import load_network  # it imports all networks

    folder = Path(config.start.weights)
    manifest = read_manifest(folder)
    theirs, ours = (i.model_dump() for i in (manifest.inputs, config.inputs))
    different = [f"{k} = {theirs[k]!r}, not {ours[k]!r}" for k in theirs if theirs[k] != ours[k]]
    if different:
        raise InputError(
            f"{folder / EXPORT_MANIFEST}: was trained with [inputs] {'; '.join(different)}; "
            "say the same"
        )
    return {k: v for k, v in load_network(folder, manifest).state_dict().items() if k in own}


def _shape(tensor: Tensor | None) -> str:
    return "absent" if tensor is None else str(tuple(tensor.shape))
