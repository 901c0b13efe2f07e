"""The machine, date and commit that a measurement belongs to."""

import datetime
import os
import platform
import subprocess
from pathlib import Path


def circumstances() -> dict:
    """Commit, date, machine and load of a measurement."""
    git = ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"]
    found = subprocess.run(git, capture_output=True, text=True)
    load = os.getloadavg()[0]
    return {
        "commit": found.stdout.strip() or None,
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {processor()}",
        "load": round(load, 2),  # of the last minute; above the cores: disturbed
    }


def processor() -> str:
    """The processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())
