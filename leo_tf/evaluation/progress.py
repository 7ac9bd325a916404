"""Progress of long work: a bar in a terminal, occasional lines in a log, nothing unless a command has set up logs."""

import logging
import sys
import time
from typing import Any

from tqdm import tqdm

_DELAY, _LOG_INTERVAL = 2, 20  # seconds: before the bar appears; between lines of a log
_logger = logging.getLogger("leo_tf")


class Progress:
    """Context manager that reports the progress of `total` units of the work `what`."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what, self._total, self._unit = what, total, unit
        self._done, self._start = 0, time.monotonic()
        self._logged = self._start
        shown = _logger.isEnabledFor(logging.INFO)
        self._lines = shown and not sys.stderr.isatty()
        self._bar = tqdm(
            desc=what, total=total, unit=unit, delay=_DELAY, leave=False, dynamic_ncols=True,
            disable=self._lines or not shown,
        )  # fmt: skip

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        self._bar.close()

    def add(self, units: int = 1) -> None:
        """Count more units as done."""
        self._done = min(self._total, self._done + units)
        self._bar.update(self._done - self._bar.n)
        now = time.monotonic()
        if self._lines and now - self._logged >= _LOG_INTERVAL and self._done < self._total:
            self._logged = now
            left = time_text((now - self._start) * (self._total / self._done - 1))
            _logger.info("%s: %d of %d %s, %s left.", self._what, self._done, self._total, self._unit, left)


def time_text(seconds: float) -> str:
    """Return a duration as 0:07, 12:34 or 1:23:45."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
