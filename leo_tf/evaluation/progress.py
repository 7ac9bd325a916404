"""How far long work has come: a bar in a terminal, a line now and then in a log, nothing without the commands' logs."""

import logging
import sys
import time

from tqdm import tqdm

_SILENT, _BETWEEN_LINES = 2, 20  # seconds: at first; from one line of a log to the next
_logger = logging.getLogger("leo_tf")


class Progress:
    """A context that is told of work done.

    Args:
      what: the work, as "evaluating".
      total: units of it.
      unit: their name, as "tasks".
    """

    def __init__(self, what, total, unit):
        self._what, self._total, self._unit = what, total, unit
        self._done, self._start = 0, time.monotonic()
        self._said = self._start
        shown = _logger.isEnabledFor(logging.INFO)
        self._lines = shown and not sys.stderr.isatty()
        self._bar = tqdm(
            desc=what, total=total, unit=unit, delay=_SILENT, leave=False, dynamic_ncols=True,
            disable=self._lines or not shown,
        )  # fmt: skip

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()

    def add(self, units=1):
        """Say that so many more units are done."""
        self._done = min(self._total, self._done + units)
        self._bar.update(self._done - self._bar.n)
        now = time.monotonic()
        if self._lines and now - self._said >= _BETWEEN_LINES and self._done < self._total:
            self._said = now
            left = time_text((now - self._start) * (self._total / self._done - 1))
            _logger.info("%s: %d of %d %s, %s left.", self._what, self._done, self._total, self._unit, left)


def time_text(seconds):
    """Return a duration as 0:07, 12:34 or 1:23:45."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
