"""An ONNX graph in a file, loaded to be run on the CPU."""

from pathlib import Path

import onnxruntime

from yt8m.base.cli import InputError


def session_of(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """InputError when the file is absent or damaged. threads: None, as many as there are cores."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a class for each way to fail, and no common one
        text = " ".join(str(error).split()[:24])
        raise InputError(f"{path}: cannot be loaded ({text}); export again") from error
