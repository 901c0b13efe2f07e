"""Stage 2: many different models, each trained five times, and their out-of-fold predictions."""

import yt8m  # noqa: F401, for what Ctrl-C does from here on
