"""Records to a store, and the store to folds: what every other stage starts from.

python -m folds.decode DATA STORE          TFRecords -> memory-mapped arrays
python -m folds.assign STORE FOLDS     video id -> fold or holdout
python -m folds.unlabelled FOLDER STORE    videos whose labels are not read, beside those
"""

import yt8m  # noqa: F401, for what Ctrl-C does from here on
