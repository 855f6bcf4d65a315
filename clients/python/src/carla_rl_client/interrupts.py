"""Signals that come while this thread runs an event loop.

A signal's handler runs between any two steps of the main thread. What it raises, like
``KeyboardInterrupt``, would end whatever part of asyncio or nats-py is at work at that moment,
and with it the connection. So handlers wait until the loop has stopped, which is at once.
"""

from __future__ import annotations

import asyncio
import signal
import threading

# The functions behind those of `signal`, which look each answer up in an enumeration: with six
# signals that took 12 µs a call.
from _signal import getsignal
from _signal import signal as set_handler
from typing import Any, Optional

#: Those that programs handle: Ctrl-C, the end of a job, a terminal that is closed, alarms.
_SIGNALS = [
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]


class Interrupts:
    """Keeps handlers of signals waiting from :meth:`defer` to :meth:`restore`.

    Python runs them on the main thread alone; on others this does nothing.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._handlers: dict[int, Any] = {}
        self._come: list[tuple[int, Optional[Any]]] = []

    def defer(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            handler = getsignal(number)
            # Else it is ignored, or ends the process, or is not Python's.
            if callable(handler):
                self._handlers[number] = handler
                set_handler(number, self._keep)

    def restore(self) -> None:
        """Calls the handlers that waited. Raises what the first of them raises."""
        try:
            self._put_back()
        finally:
            # One that was back already may have raised between two of them.
            self._put_back()
        for number, frame in self._come:
            handler: Any = getsignal(number)
            handler(number, frame)

    def _put_back(self) -> None:
        while self._handlers:
            number = next(iter(self._handlers))
            set_handler(number, self._handlers[number])
            del self._handlers[number]

    def _keep(self, number: int, frame: Optional[Any]) -> None:
        self._come.append((number, frame))
        self._loop.call_soon_threadsafe(self._loop.stop)
