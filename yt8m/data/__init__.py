"""A decoded data set, its folds, and sparse predictions of its videos."""
