"""How much memory this process takes."""

import os
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident_megabytes():
    """Return the memory of this process now, MB; NaN where there is no /proc."""
    if not _STATM.exists():
        return float("nan")
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
