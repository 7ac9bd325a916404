"""Signals that ask a run to stop."""

import signal
import threading


class SignalCatcher:
    """Note SIGINT and SIGTERM instead of dying, so that the loop can save first; a second one acts as usual.

    Outside the main thread signals cannot be caught, and are left alone.
    """

    def __init__(self):
        self.received = 0
        self._before = {}

    def __enter__(self):
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_):
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        self.received = number
        signal.signal(number, self._before[number])
