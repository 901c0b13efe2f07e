"""Loads an ONNX graph to run on the CPU."""

from pathlib import Path

import onnxruntime

from yt8m.base.cli import InputError


def session_of(path: Path, threads: int | None) -> onnxruntime.InferenceSession:
    """InputError when the file is absent or damaged. threads: None for one a core."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class
        text = " ".join(str(error).split()[:24])
        raise InputError(f"{path}: cannot be loaded ({text}); export again") from error
