"""Which first-level models can be trained again and exported as parts of a student."""

import io
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from first_level.bundle.manifest import Member
from first_level.bundle.network import build_network
from first_level.config import ModelConfig, architecture
from yt8m.base.cli import InputError
from yt8m.data.store import Dims

MOST_PAIRS = (1 << 31) - 1  # of classes; int32


def check_graph(model: ModelConfig, dims: Dims, where: Path) -> None:
    """InputError when a frame-level model has no graph for any number of videos and frames.

    It looks at an untrained model, so that the error comes before the training. So does that of
    more classes than the re-ranker has numbers for pairs of.
    """
    if dims.classes**2 > MOST_PAIRS:
        text = f"a re-ranked student has at most {int(MOST_PAIRS**0.5):,} classes"
        raise InputError(
            f"{where}: cannot be refitted: {text}, and the data {dims.classes:,}; leave [refit] "
            "out of distill/configs"
        )
    if architecture(model.arch, where).level != "frame":
        return
    from distill.export.onnx_graph import write_onnx  # its imports take seconds

    network = build_network([Member(kind="refit", refit=model)], model.inputs, dims)
    frames = model.inputs.dims(dims, "frame").max_frames
    # Before it fails, the exporter prints the whole network.
    with TemporaryDirectory() as folder, redirect_stderr(io.StringIO()):
        try:
            write_onnx(network, replace(dims, max_frames=frames), Path(folder) / "x", "float32")
        except Exception as error:  # of torch's exporter, or of the network as it is traced
            text = " ".join(str(error.__cause__ or error).split()[:24])
            raise InputError(
                f"{where}: {model.arch} cannot be exported as a graph ({text}); take it out of "
                "[refit] models in distill/configs"
            ) from error
