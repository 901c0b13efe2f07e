"""Records whose labels, if they have any, nothing reads: to a store inside the store of DATA.

    python -m folds.unlabelled FOLDER STORE [--jobs 2]

writes STORE/unlabelled. The description and the kinds of records are those of STORE. A video that
STORE has keeps its place there, in a fold or the holdout, and is left out here.
"""

from pathlib import Path

from folds.decode import build, plan, signature
from yt8m.base import cli
from yt8m.base.cli import InputError
from yt8m.base.files import fingerprint, working_in
from yt8m.data.store import MANIFEST, Store
from yt8m.data.unlabelled import FOLDER
from yt8m.records.description import Description, find_shards
from yt8m.records.vocabulary import Vocabulary

LABELS = ("labels", *(name for name in Description.model_fields if name.startswith("segment_")))


def main(data: Path, store: Path, *, jobs: int = 2) -> None:
    """Decodes the TFRecords of DATA, without their labels, into the folder unlabelled of STORE.

    DATA: as for folds.decode. --jobs: processes.
    """
    if jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1 is needed")
    labelled, found = Store(store), find_shards(data)
    absent = [kind for kind in labelled.kinds if kind not in found]
    if absent:
        raise InputError(
            f"{data}: has no {absent[0]}-level records, but DATA has {' and '.join(labelled.kinds)}"
            "; give UNLABELLED the same kinds of records"
        )
    # No names of labels: they are not even decoded.
    described = labelled.description.model_copy(update=dict.fromkeys(LABELS, ()))
    parts = plan({kind: found[kind] for kind in labelled.kinds}, described)
    _check_widths(data, next(iter(parts.values()))[0].dims, labelled)
    vocabulary = Vocabulary(labelled.class_names, labelled.verticals)
    key = fingerprint(signature(parts, vocabulary), store / MANIFEST)
    with working_in(store / FOLDER) as out:
        build(data, parts, described, vocabulary, out, jobs, key, labelled.ids)


def _check_widths(data: Path, dims, labelled: Store) -> None:
    wanted = labelled.dims
    if (dims.rgb, dims.audio) != (wanted.rgb, wanted.audio):
        raise InputError(
            f"{data}: has rgb {dims.rgb} and audio {dims.audio} wide, DATA has {wanted.rgb} and "
            f"{wanted.audio}; give UNLABELLED records of the same data set"
        )


if __name__ == "__main__":
    cli.run(main)
