"""Records whose labels, if they have any, nothing reads: to a store inside the store of DATA.

    python -m folds.unlabelled FOLDER STORE [--jobs 2]

writes STORE/unlabelled. The description and the kinds of records are those of STORE. A video that
STORE has keeps its place there, in a fold or the holdout, and is left out here.
"""

from pathlib import Path

from folds.build import Recipe, build
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import read_json, working_in
from yt8m.base.paths import MANIFEST
from yt8m.data.store import Store
from yt8m.data.unlabelled import FOLDER
from yt8m.records.description import Description, find_shards
from yt8m.records.unread import name_unread
from yt8m.records.vocabulary import Vocabulary

LABELS = ("labels", *(name for name in Description.model_fields if name.startswith("segment_")))


def main(data: Path, store: Path, *, jobs: int = 2, skip_bad: bool = False) -> None:
    """Decodes the TFRecords of DATA, without their labels, into the folder unlabelled of STORE.

    DATA: as for folds.decode. --jobs, --skip-bad: too.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1 is needed")
    labelled, shards = Store(store), find_shards(data)
    absent = [level for level in labelled.kinds if level not in shards]
    if absent:
        raise InputError(
            f"{data}: has no {absent[0]}-level records, but DATA has {' and '.join(labelled.kinds)}"
            "; give UNLABELLED the same kinds of records"
        )
    shards = {level: shards[level] for level in labelled.kinds}
    name_unread(data, shards, labelled.description)
    recipe = Recipe(
        data,
        shards,
        # No names of labels: they are not even decoded.
        labelled.description.model_copy(update=dict.fromkeys(LABELS, ())),
        Vocabulary(labelled.class_names, labelled.verticals),
        without=labelled.ids,
        without_key=read_json(store / MANIFEST)["rows"],
        skip_bad=skip_bad,
    )
    levels = recipe.levels(labelled.dims.features)
    dims = next(iter(levels.values())).dims
    if dims.features != labelled.dims.features:
        raise InputError(
            f"{data}: has {dims.sizes} wide, DATA has {labelled.dims.sizes}; give UNLABELLED "
            "records of the same data set"
        )
    with working_in(store / FOLDER) as out:
        build(recipe, levels, out, jobs)


if __name__ == "__main__":
    cli.run(main)
