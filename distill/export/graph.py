"""The ONNX graph of an export: the names of its outputs, and loading it to run on the CPU.

N videos, C classes.
"""

from pathlib import Path

import onnxruntime

from yt8m.base.cli import InputError

BEST = ("classes", "best_logits")  # of the 20 best: int64 and float32 (N, 20), best first
SCORES, LOGITS = "scores", "logits"  # of the same (N, 20); of all, before any re-ranking (N, C)


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
