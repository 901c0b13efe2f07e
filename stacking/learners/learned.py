"""What scores the rows of a fold: its booster, its network, or the mean of both.

n videos, M candidates, R rows, F columns.
"""

from pathlib import Path
from typing import Protocol

import numpy as np

from stacking.candidates import sort_by_logit
from stacking.config import Stacking
from stacking.table import LEARNER, Rows, column_names
from yt8m.base.arrays import blocks
from yt8m.base.cli import InputError
from yt8m.base.digests import digest_of
from yt8m.base.files import read_json
from yt8m.base.paths import BOOSTER, BOOSTER_TRAINING, HEAD, STACKING
from yt8m.data.origins import MADE_FROM, Origin, check_origin, origin_of
from yt8m.data.predictions import Predictions, to_fill

REMEDY = "lower booster.learning_rate or network.training.lr"
LIMIT = np.finfo(np.float16).max  # an infinite logit would be no candidate of a student's


class Learner(Protocol):
    """A booster or a network."""

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Logits (R,) of rows float32 (R, F)."""

    def shares(self) -> np.ndarray:
        """How much it makes of each column: float (F,), their sum is 1."""


class Learned:
    """Some learners, whose mean logits count."""

    def __init__(self, learners: list[Learner]):
        self.learners = learners

    @classmethod
    def read(cls, folder: Path, settings: Stacking, about: dict, threads: int = 1) -> "Learned":
        """The learners of a fold, for rows of the columns that `about` (rows.json) names.

        InputError when one is absent or damaged, or was trained on other columns.
        """
        found: list[Learner] = []
        if settings.trees:
            from stacking.learners.booster import Trees

            found.append(Trees.read(folder / BOOSTER, column_names(about), threads))
        if settings.networks:
            from stacking.learners.network import NetworkOfRows  # torch: trees do without

            found.append(NetworkOfRows.read(folder / HEAD, settings, column_names(about), threads))
        return cls(found)

    @staticmethod
    def origin(folder: Path, settings: Stacking, rows: Origin) -> Origin:
        """What predictions of rows by the learners of a fold are made from.

        rows: the origin of these rows. InputError when a learner saw their fold, or other folds.
        """
        inputs = {"folds": rows.inputs["folds"]}
        for used, name in ((settings.trees, BOOSTER), (settings.networks, HEAD)):
            path, own = folder / name, {}
            if not used:
                continue
            inputs[name] = digest_of(path)
            if name == BOOSTER:
                found = Origin.parse(read_json(folder / BOOSTER_TRAINING).get(MADE_FROM))
                own = {BOOSTER: inputs[name]}
            else:
                found = origin_of(path)
            own["folds"] = inputs["folds"]
            check_origin(found, path, LEARNER, rows.fold, rows.training, **own)
        return Origin(STACKING, rows.fold, rows.training, inputs)

    def score(self, matrix: np.ndarray) -> np.ndarray:
        """Mean logits (R,) of rows (R, F)."""
        return np.mean([one.score(matrix) for one in self.learners], axis=0)

    def shares(self) -> np.ndarray:
        """The mean of the learners' shares: float (F,)."""
        return np.mean([one.shares() for one in self.learners], axis=0)

    def candidates(self, classes: np.ndarray, matrix: np.ndarray):
        """Candidates (n, M) and their logits, best first. matrix: their rows (n * M, F)."""
        return sort_by_logit(classes, self.score(matrix).reshape(classes.shape))

    def predict(
        self, parts: list[tuple[Rows, int]], chunk_videos: int, folder: Path
    ) -> Predictions:
        """Predictions of all videos of some (rows, variant); kept in `folder`.

        InputError when a score is NaN.
        """
        ids = np.concatenate([rows.ids for rows, _ in parts])
        found, start = to_fill(ids, parts[0][0].classes.shape[1], folder), 0
        for rows, variant in parts:
            for chunk in blocks(len(rows.ids), chunk_videos):
                best = self.candidates(rows.classes[chunk], rows.matrix(chunk, variant))
                place = slice(start, start := start + len(best[0]))
                found.classes[place], found.logits[place] = best[0], best[1].clip(-LIMIT, LIMIT)
                if np.isnan(best[1]).any():
                    raise InputError(f"{folder}: the stack's scores are not numbers; {REMEDY}")
        return found
