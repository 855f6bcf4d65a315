"""An event loop that is run by whichever thread waits for it.

Handing each call to a loop on another thread costs two switches of threads, some 100 µs, more than
all the rest of a call. So a thread that calls :meth:`Turns.run` runs the loop itself until its
answer is there. A second one that calls meanwhile leaves its work with the loop and waits; and
when nobody calls for a while, a keeper thread runs the loop, so that the broker's pings are
answered and a broken connection is mended while the simulator is busy.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import threading
import time
from typing import Any, Callable, Coroutine, Optional, TypeVar

from .interrupts import Interrupts

T = TypeVar("T")
Work = Callable[[], Coroutine[Any, Any, T]]

#: After so long without a call the keeper takes over, s.
_IDLE = 0.2
#: The longest that the end waits for calls that are under way, s.
_CLOSE_LIMIT = 2.0
_CALLER, _KEEPER = "caller", "keeper"


class Closed(Exception):
    """The loop was closed before the work was done."""


class Turns:
    """Thread-safe."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        #: An exception of somebody else's has come out of the loop, from the handler of a signal:
        #: whatever it hit on its way is no more. Good for nothing but :meth:`close`.
        self.broken = False
        self._change = threading.Condition()
        # All below are guarded by it.
        self._runner: Optional[str] = None
        self._claimed = False
        self._guests = 0
        self._used = time.monotonic()
        self._closing = False
        self._keeper = threading.Thread(target=self._keep, name="carla-rl-client", daemon=True)
        self._keeper.start()

    def run(self, work: Work[T]) -> T:
        """Runs what ``work`` gives to its end, from any thread.

        Raises :class:`Closed`, or ``RuntimeError`` from within the loop, which can't wait for
        itself.
        """
        current = _running_loop()
        if current is self._loop:
            raise RuntimeError(
                "the client was called from the handler of a signal or of a log while it was at "
                "work on this thread; call it after that, or from another thread"
            )
        # A notebook's thread runs a loop already, and can't run a second one.
        return self._run_here(work) if current is None else self._entrust(work)

    @property
    def is_busy(self) -> bool:
        """Whether a call is under way."""
        return self._runner is _CALLER or self._guests > 0

    @property
    def is_here(self) -> bool:
        """Whether this thread runs the loop, or would have to wait for itself."""
        return _running_loop() is self._loop or threading.current_thread() is self._keeper

    def close(self) -> None:
        """Ends the loop and all that is left on it. Calls that are under way raise
        :class:`Closed`."""
        # Not as below: an interrupt may have left the lock locked.
        self._closing = True
        if not self.broken:
            with self._change:
                self._change.notify_all()
                self._change.wait_for(lambda: not self.is_busy, _CLOSE_LIMIT)
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._keeper.join(_CLOSE_LIMIT)
        if not self._loop.is_running():
            self._loop.set_exception_handler(lambda *_: None)
            _cancel_all(self._loop)
            self._loop.close()

    def _take(self) -> bool:
        """Whether this thread has the loop now. If not, somebody else has it for longer."""
        with self._change:
            if self._closing or self._claimed:
                return False
            if self._runner is _KEEPER and not self._guests:
                self._claim()
            if self._runner is not None:
                return False
            self._runner = _CALLER
            return True

    def _claim(self) -> None:
        """Has an idle keeper leave the loop."""
        self._claimed = True
        try:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._change.wait_for(lambda: self._runner is None)
        finally:
            self._claimed = False

    def _leave(self) -> None:
        with self._change:
            self._runner = None
            self._used = time.monotonic()
            if self._guests or self._closing:
                self._change.notify_all()

    def _run_here(self, work: Work[T]) -> T:
        task: Optional[asyncio.Task[T]] = None
        while True:
            interrupts = Interrupts(self._loop)
            try:
                interrupts.defer()
                if not self._take():
                    break
                try:
                    task = task or self._begin(work)
                    self._turn()
                finally:
                    self._leave()
                if task.done():
                    return _result(task)
            finally:
                self._restore(interrupts, task)
        begun = task
        return self._entrust(work if begun is None else lambda: _outcome(begun))

    def _begin(self, work: Work[T]) -> asyncio.Task[T]:
        task = self._loop.create_task(work())
        task.add_done_callback(lambda _: self._loop.stop())
        return task

    def _turn(self) -> None:
        """Until the work is done, or a signal comes."""
        try:
            self._loop.run_forever()
        except BaseException:
            self.broken = True
            raise

    def _restore(self, interrupts: Interrupts, task: Optional[asyncio.Task[Any]]) -> None:
        """Handlers run here, while nobody needs the loop: they may call the client."""
        try:
            interrupts.restore()
        except BaseException:
            # Nobody wants the answer any more. A handler may have closed the loop.
            if task is not None:
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(_give_up, task)
            raise

    def _entrust(self, work: Work[T]) -> T:
        with self._change:
            if self._closing:
                raise Closed
            self._guests += 1
            self._change.notify_all()
        try:
            future = asyncio.run_coroutine_threadsafe(work(), self._loop)
            try:
                return future.result()
            except concurrent.futures.CancelledError:
                raise Closed from None
            except BaseException:
                # Ctrl-C in the waiting thread: nobody wants the answer any more.
                future.cancel()
                raise
        finally:
            with self._change:
                self._guests -= 1
                if self._closing:
                    self._change.notify_all()

    def _keep(self) -> None:
        with self._change:
            while not self._closing or self._guests:
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


def _running_loop() -> Optional[asyncio.AbstractEventLoop]:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    # More than once: a call to stop that came too late ends a turn before its work is done.
    for _ in range(3):
        with contextlib.suppress(RuntimeError):
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks, timeout=_CLOSE_LIMIT))
            return


def _give_up(task: asyncio.Task[Any]) -> None:
    # What it fails with is nobody's business any more.
    task.add_done_callback(lambda task: task.cancelled() or task.exception())
    task.cancel()


def _result(task: asyncio.Task[T]) -> T:
    try:
        return task.result()
    except asyncio.CancelledError:
        raise Closed from None


async def _outcome(task: asyncio.Task[T]) -> T:
    return await task
