"""An event loop that is run by whichever thread waits for it.

Handing each call to a loop on another thread costs two switches of threads, some 150 µs, more than
all the rest of a call. So a thread that calls :meth:`Turns.run` runs the loop itself until its
answer is there. A second one that calls meanwhile leaves its work with the loop and waits; and
when nobody calls for a while, a keeper thread runs the loop, so that the broker's pings are
answered and a broken connection is mended while the simulator is busy.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Coroutine, Optional, TypeVar

T = TypeVar("T")

#: After so long without a call the keeper takes over, s.
_IDLE = 0.2
_CALLER, _KEEPER = "caller", "keeper"


class Turns:
    """Thread-safe."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._change = threading.Condition()
        # All below are guarded by it.
        self._runner: Optional[str] = None
        self._claimed = False
        self._guests = 0
        self._used = time.monotonic()
        self._closing = False
        self._keeper = threading.Thread(target=self._keep, name="carla-rl-client", daemon=True)
        self._keeper.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs ``work`` to its end, from any thread."""
        if is_on_a_loop() or not self._take():
            return self._entrust(work)
        try:
            return self._loop.run_until_complete(work)
        finally:
            self._leave()

    def close(self) -> None:
        """Ends the loop and all that is left on it. Nothing may be running."""
        with self._change:
            self._closing = True
            self._change.notify_all()
            if self._runner is _KEEPER:
                self._loop.call_soon_threadsafe(self._loop.stop)
        if threading.current_thread() is not self._keeper:
            self._keeper.join()
        _cancel_all(self._loop)
        self._loop.close()

    def _take(self) -> bool:
        """Whether this thread has the loop now. If not, somebody else has it for longer."""
        with self._change:
            if self._closing:
                raise RuntimeError("the client is closed")
            if self._claimed or (self._runner is not None and not self._keeper_idles()):
                return False
            if self._runner is _KEEPER:
                self._claim()
            self._runner = _CALLER
            return True

    def _keeper_idles(self) -> bool:
        return self._runner is _KEEPER and not self._guests

    def _claim(self) -> None:
        self._claimed = True
        try:
            self._loop.call_soon_threadsafe(self._loop.stop)
            while self._runner is not None:
                self._change.wait()
        finally:
            self._claimed = False

    def _leave(self) -> None:
        with self._change:
            self._runner = None
            self._used = time.monotonic()
            if self._guests or self._closing:
                self._change.notify_all()

    def _entrust(self, work: Coroutine[Any, Any, T]) -> T:
        with self._change:
            if self._closing:
                work.close()
                raise RuntimeError("the client is closed")
            self._guests += 1
            self._change.notify_all()
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
            try:
                return future.result()
            except BaseException:
                # Ctrl-C in the waiting thread: nobody wants the answer any more.
                future.cancel()
                raise
        finally:
            with self._change:
                self._guests -= 1

    def _keep(self) -> None:
        with self._change:
            while not self._closing:
                if self._is_due():
                    self._run_as_keeper()
                else:
                    self._change.wait(_IDLE)

    def _is_due(self) -> bool:
        idle = time.monotonic() - self._used >= _IDLE
        return self._runner is None and not self._claimed and (idle or self._guests > 0)

    def _run_as_keeper(self) -> None:
        self._runner = _KEEPER
        self._change.release()
        try:
            self._loop.run_forever()
        finally:
            self._change.acquire()
            self._runner = None
            self._used = time.monotonic()
            self._change.notify_all()


def is_on_a_loop() -> bool:
    """Whether this thread runs a loop already, as a notebook's does: it can't run a second one."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    if tasks:
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
