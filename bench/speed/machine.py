"""The machine, date and commit that a measurement belongs to."""

import datetime
import os
import subprocess
from pathlib import Path

from yt8m.base import processor


def circumstances() -> dict:
    """Commit, date, machine and load of a measurement."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, capture_output=True, text=True)
    load = os.getloadavg()[0]
    return {
        "commit": found.stdout.strip() or None,
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {processor.name()}",
        "load": round(load, 2),  # of the last minute; above the cores: disturbed
    }
