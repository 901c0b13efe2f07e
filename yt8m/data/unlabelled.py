"""The videos of UNLABELLED beside those of DATA: whose labels, if they have any, nothing reads.

They are a store inside the store of DATA (folds/unlabelled.py), so that the latter, its folds and
all that is trained on them are the same with and without them. Rows of DATA come first.
"""

import numpy as np

from yt8m.data.splits import Splits
from yt8m.data.store import Store, Videos
from yt8m.records.labels import Labels

FOLDER = "unlabelled"  # their folder in the store of DATA


def open_both(data: Store, splits: Splits) -> tuple[Videos, Splits]:
    """The videos of DATA and their folds, then the unlabelled ones. InputError without those."""
    more = Store(data.folder / FOLDER)
    count = len(more)
    none = Labels(np.zeros(count + 1, np.int64), np.zeros(0, np.uint16))
    # Models may have been built for the longest video of DATA.
    lengths = np.minimum(more.num_frames, data.dims.max_frames).astype(np.int32)
    both = Videos(
        folder=more.folder,  # where what is derived from both belongs
        dims=data.dims,
        ids=np.concatenate([data.ids, more.ids]),
        labels=Labels.concatenate([data.labels, none]),
        labelled=np.concatenate([data.labelled, np.zeros(count, bool)]),
        num_frames=np.concatenate([data.num_frames, lengths]),
        vertical_of=data.vertical_of,
        kinds={name: kind.followed_by(more.kinds[name]) for name, kind in data.kinds.items()},
    )
    return both, splits.with_unlabelled(more.ids)
