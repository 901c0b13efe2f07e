"""The processor and how this process uses it: threads, denormal numbers, freed memory."""

import ctypes
import platform
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def set_threads(n: int) -> None:
    """Lets torch run on `n` threads, and fast; jobs x threads should not exceed the cores."""
    import torch

    flush_denormals()
    torch.set_num_threads(n)
    keep_freed_memory()


def flush_denormals() -> None:
    """Makes numbers below 1e-38 zero, in this thread and in those that it starts from now on.

    Gradients that fade from frame to frame become that small. Some processors take a hundred times
    as long over each. Gain: on an Intel Xeon a float32 step of an LSTM over 300 frames takes 14
    seconds, not 290.
    """
    import torch

    torch.set_flush_denormal(True)


def keep_freed_memory() -> None:
    """Makes glibc's malloc keep large blocks that are freed, and use them again.

    Otherwise each training step gets tens of megabytes from the kernel, which zeroes them. Gain:
    31,000 page faults and a third of the time of a step (width 4,096, batch 256). musl and macOS
    have no such setting.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def name() -> str:
    """The processor's name, such as "Intel(R) Xeon(R) Processor"."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.is_file() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
