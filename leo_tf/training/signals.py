"""Signals that ask a run to stop."""

import signal
import threading
from types import FrameType
from typing import Any


class SignalCatcher:
    """Context that records SIGINT and SIGTERM, so that the loop can save first; a second signal acts as usual.

    Outside the main thread, signals cannot be caught and keep their handlers.
    """

    def __init__(self) -> None:
        self.received = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "SignalCatcher":
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._record) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _record(self, number: int, _: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self._handlers[number])
