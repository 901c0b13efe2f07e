"""What a person reads in the end: a run's tables and its report, in one HTML file."""

import yt8m  # noqa: F401, for what Ctrl-C does from here on
