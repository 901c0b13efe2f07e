"""Arrays on disk that grow: the features of a part, written as they are decoded."""

from pathlib import Path

import numpy as np


class Column:
    """A two-dimensional .npy file that grows by rows; its header is written again at the end."""

    def __init__(self, path: Path, width: int, dtype: str):
        self.width, self.dtype, self.rows = int(width), np.dtype(dtype), 0
        self.file = open(path, "wb")
        self._header()

    def append(self, rows: np.ndarray) -> None:
        """rows: (n, W)."""
        self.file.write(np.ascontiguousarray(rows, self.dtype).data)
        self.rows += len(rows)

    def finish(self) -> None:
        self.file.seek(0)
        self._header()

    def _header(self) -> None:
        # numpy leaves room in the header for a first axis of any length.
        shape = (int(self.rows), self.width)
        described = {"descr": self.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self.file, described)
