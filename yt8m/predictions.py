"""Sparse predictions: the K best classes of each video, with their ids.

Logits, not probabilities: float16 probabilities lose the ranking near 1, which GAP needs. Dense
ones would be 43 GB a model at 5.6 million videos. Everyone who reads them aligns on ids.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from yt8m.cli import InputError
from yt8m.files import read_npz, write_npz
from yt8m.splits import row_finder


@dataclass(frozen=True)
class Predictions:
    """ids bytes (N,); classes uint16 (N, K); logits float16 (N, K), descending in a row."""

    ids: np.ndarray
    classes: np.ndarray
    logits: np.ndarray
    where: str = "predictions"

    @classmethod
    def read(cls, path: Path) -> "Predictions":
        """Reads a .npz; InputError when absent, damaged, or not predictions."""
        arrays = read_npz(path)
        if set(arrays) != {"ids", "classes", "logits"}:
            raise InputError(f"{path}: holds {sorted(arrays)}, not predictions; delete it")
        return cls(**arrays, where=str(path))

    def write(self, path: Path) -> None:
        """Writes a .npz atomically."""
        write_npz(path, ids=self.ids, classes=self.classes, logits=self.logits)

    @classmethod
    def concatenate(cls, parts: list["Predictions"]) -> "Predictions":
        """All videos of all parts, with the least K of them. Nothing of a single one is copied."""
        if len(parts) == 1:
            return parts[0]
        keep = min(part.classes.shape[1] for part in parts)
        return cls(
            np.concatenate([part.ids for part in parts]),
            np.concatenate([part.classes[:, :keep] for part in parts]),
            np.concatenate([part.logits[:, :keep] for part in parts]),
            parts[0].where,
        )

    def align(self, ids: np.ndarray) -> "Predictions":
        """The predictions of `ids`, in that order; InputError on an absent or doubled id.

        `ids` must differ. Nothing is copied where the predictions have that order already.
        """
        if np.array_equal(self.ids, ids):
            return self
        rows = row_finder(self.ids, self.where)(ids)
        return replace(self, ids=ids, classes=self.classes[rows], logits=self.logits[rows])

    @property
    def scores(self) -> np.ndarray:
        """Probabilities, float32 (N, K)."""
        return sigmoid(self.logits)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-logits)) in float32, without overflow."""
    return (0.5 * (1 + np.tanh(0.5 * logits.astype(np.float32)))).astype(np.float32)


def top_k(logits, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Best k classes of a tensor (B, C): classes uint16 and logits float16, (B, min(k, C))."""
    values, classes = logits.topk(min(k, logits.shape[1]), dim=1)  # (B, K), descending
    limit = np.finfo(np.float16).max  # an overflow to infinity would tie the best classes
    values = values.float().cpu().numpy().clip(-limit, limit)
    return classes.cpu().numpy().astype(np.uint16), values.astype(np.float16)
