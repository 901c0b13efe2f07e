"""The machine, date and commit that a measurement belongs to."""

import datetime
import os

from yt8m.base import processor
from yt8m.base.receipts import commit


def circumstances() -> dict:
    """Commit, date, machine and load of a measurement."""
    return {
        "commit": commit(),
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {processor.name()}",
        "load": round(os.getloadavg()[0], 2),  # of the last minute; above the cores: disturbed
    }
