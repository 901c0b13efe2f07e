"""What make is to do: the jobs of a plan, their state, their time and their cost."""

import yt8m  # noqa: F401, for what Ctrl-C does from here on
