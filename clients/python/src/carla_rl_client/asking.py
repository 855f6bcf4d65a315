"""When a request is sent again, by what the protocol says is safe.

Workers keep nothing, so asking again is safe after silence, without workers, and after
``overloaded`` and ``draining``; after ``internal`` once; after ``unknown_version``, since another
worker may serve it. Never after ``expired``, ``superseded`` or an error that would come again.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Any, Mapping, Optional

from . import errors, request
from .connection import Connection
from .errors import NoWorkers, PolicyError, Timeout, Unreachable, UnreadableReply

#: How long after ``NoWorkers`` the pool is asked again, s, if workers are waited for.
_WORKERS_POLL = 0.1
#: How often another worker is asked for a version. The broker chooses at random: if half of them
#: have it, one call in two thousand finds none.
_VERSION_TRIES = 10
#: Less than this is not worth another try, s.
_TOO_LITTLE = 0.001


@dataclass(frozen=True)
class Patience:
    """How long and how often."""

    #: For one call, s, with all that is sent again.
    timeout: float
    #: How often a call is sent again after an error.
    retries: int
    #: How long workers are waited for while there are none, s.
    wait_for_workers: float


@dataclass
class Call:
    """One call under way."""

    patience: Patience
    headers: Mapping[str, str]
    until: float = 0.0
    workers_until: float = 0.0
    attempts: int = 0
    errors: int = 0

    def __post_init__(self) -> None:
        now = time.monotonic()
        self.until = now + self.patience.timeout
        self.workers_until = now + self.patience.wait_for_workers

    def left(self) -> float:
        """Seconds."""
        return self.until - time.monotonic()

    async def ask(self, connection: Connection, subject: str, body: bytes) -> Mapping[str, Any]:
        """The reply's body. Raises :class:`PolicyError`."""
        token = connection.token()
        try:
            while True:
                try:
                    return await self._attempt(connection, token, subject, body)
                except PolicyError as problem:
                    pause = self._pause(problem)
                    if pause is None or connection.is_closed:
                        raise
                await asyncio.sleep(pause)
        finally:
            connection.forget(token)

    async def _attempt(
        self, connection: Connection, token: str, subject: str, body: bytes
    ) -> Mapping[str, Any]:
        """Sends it, and once more if half of the time passes without a word: a worker that was
        killed, or a connection that broke, takes what it held along."""
        for wait in (self.left() / 2, None):
            left = self.left()
            headers: dict[str, str] = {**self.headers, "Deadline-Ms": f"{max(1, left * 1e3):.0f}"}
            self.attempts += 1
            message = await connection.ask(
                token, subject, body, headers, left if wait is None else wait
            )
            if message is not None:
                return _read(message.data, subject)
        limit = f"{self.patience.timeout:g} s"
        raise Timeout(f"no reply on {subject} within {limit}, though somebody listens there")

    def _pause(self, problem: PolicyError) -> Optional[float]:
        """Seconds until it is sent again, or ``None``."""
        if isinstance(problem, NoWorkers):
            return self._wait_for_workers()
        self.errors += 1
        if self.errors > self._most_errors(problem):
            return None
        # The jitter keeps a fleet that was refused together from coming back together.
        pause = (problem.retry_after_ms or 0) / 1e3 * random.uniform(1.0, 1.5)
        return pause if pause + _TOO_LITTLE < self.left() else None

    def _most_errors(self, problem: PolicyError) -> int:
        if isinstance(problem, errors.Internal):
            return 1
        if isinstance(problem, errors.UnknownVersion):
            return _VERSION_TRIES
        return self.patience.retries if isinstance(problem, _AGAIN) else 0

    def _wait_for_workers(self) -> Optional[float]:
        now = time.monotonic()
        if now >= self.workers_until:
            return None
        # Workers that come have the whole time to answer.
        self.until = now + _WORKERS_POLL + self.patience.timeout
        return _WORKERS_POLL


_AGAIN = (errors.Overloaded, errors.Draining, Unreachable)


def _read(data: bytes, subject: str) -> Mapping[str, Any]:
    try:
        body = request.unpack(data)
    except ValueError as problem:
        raise UnreadableReply(
            f"what answers on {subject} is no carla-rl worker: {problem}"
        ) from problem
    if "error" in body:
        raise errors.from_reply(body["error"])
    return body
