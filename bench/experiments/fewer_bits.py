"""What fewer bits for the weights of an export would cost: GAP@20 on the holdout, over MB.

    python -m bench.experiments.fewer_bits EXPORT STORE FOLDS

EXPORT: in float16 or float32. The classifiers (matrices with a row for each class) and the memories
(matrices with a row for each remembered video) are rounded to a few bits in blocks of BLOCK values
that share a float16 step, or by a codebook of 16 values a matrix (k-means). All else has 8 bits. It
is a simulation: products are made in float32, and no graph is written.
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import KMeans
from torch import Tensor

from distill.export.run import Exported, best_of
from first_level.bundle.rounding import EXACT
from yt8m.base import cli, processor
from yt8m.base.tables import publish, table
from yt8m.data.splits import Splits
from yt8m.data.store import Store
from yt8m.training.metrics import gap

BLOCK, SAMPLE = 32, 20_000
FORMS = ("8", "6", "5", "4", "3", "codebook of 16")


def main(export: Path, store: Path, folds: Path, *, threads: int = 1) -> None:
    """Prints a line for each form of classifiers, of memories and of both; writes it as EXPORT's
    sibling fewer_bits.md."""
    processor.set_threads(threads)
    data = Store(store)
    rows = Splits.read(folds, data.ids).holdout
    labels, lines = data.labels.take(rows), []
    exported = Exported(export, "torch")
    before = {name: value.clone() for name, value in exported.network.state_dict().items()}
    groups = {name: group_of(name, value, data.dims.classes) for name, value in before.items()}
    for chosen in (("classifier",), ("memory",), ("classifier", "memory")):
        if not set(chosen) <= set(groups.values()):
            continue
        for form in FORMS:
            state, size = {}, 0.0
            for name, value in before.items():
                own = form if groups[name] in chosen else "8"
                state[name], bits = round_to(value, own if groups[name] else "")
                size += value.numel() * bits / 8e6
            exported.network.load_state_dict(state)
            found = gap(*best_of(exported, data, rows), labels)
            lines.append([" and ".join(chosen), form, f"{size:.1f}", f"{found:.4f}"])
    publish(table(["what", "bits", "MB", "GAP@20"], lines), export.parent / "fewer_bits.md")


def group_of(name: str, value: Tensor, classes: int) -> str:
    """classifier, memory, other (a matrix in 8 bits), or "" (kept)."""
    if value.ndim != 2 or not value.is_floating_point() or name.startswith(EXACT):
        return ""
    if ".of_" in name:
        return "memory"
    return "classifier" if value.shape[0] % classes == 0 else "other"


def round_to(value: Tensor, form: str) -> tuple[Tensor, float]:
    """A value as so many bits store it, and the bits of one number with its share of the steps."""
    if not form:
        return value, 16.0
    if form == "codebook of 16":
        flat = value.flatten()
        sample = flat[:: max(1, len(flat) // SAMPLE), None].numpy()
        centres = np.sort(KMeans(16, n_init=1, random_state=0).fit(sample).cluster_centers_[:, 0])
        edges = torch.from_numpy((centres[1:] + centres[:-1]) / 2)
        return torch.from_numpy(centres)[torch.bucketize(flat, edges)].view_as(value), 4.0
    most = 2 ** (int(form) - 1) - 1
    padded = torch.nn.functional.pad(value, (0, -value.shape[1] % BLOCK))
    parts = padded.unflatten(1, (-1, BLOCK))
    step = (parts.abs().amax(2, keepdim=True).clamp_min(1e-12) / most).half().float()
    found = ((parts / step).round().clamp(-most, most) * step).flatten(1)[:, : value.shape[1]]
    return found, int(form) + 16 / BLOCK


if __name__ == "__main__":
    cli.run(main)
