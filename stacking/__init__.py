"""Second level: what learns from the first level's predictions, and the soft labels it gives.

A row is one (video, candidate class). Every video has the same number M of candidates, so rows are
rectangular arrays (N videos, M candidates, F features). Order of the verbs: rows, train and
predict (once a fold), then soft_labels and report; with UNLABELLED also unlabelled (once a fold).
"""

import yt8m  # noqa: F401, for what Ctrl-C does from here on
