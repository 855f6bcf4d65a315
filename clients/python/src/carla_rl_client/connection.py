"""One connection to the broker, and the requests that are open on it.

Replies come on one inbox subscription, and a token in their subject says whose they are. nats-py's
own ``request`` does so too; here a request may also be sent again under its token, and the reply
to either answers it.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import re
from contextlib import suppress
from typing import Any, Mapping, Optional

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from .errors import Forbidden, NoWorkers, PolicyError, TooLarge, Unreachable

_LOG = logging.getLogger("carla_rl_client")
#: The pause before a broker that went away is tried again, s.
_RECONNECT_WAIT = 0.1
#: After two of these without an answer to a ping the connection counts as lost, s.
_PING_INTERVAL = 5


class Connection:
    """Lives on the event loop that called :meth:`connect`."""

    def __init__(self, servers: list[str], options: Optional[Mapping[str, Any]]) -> None:
        self._servers = servers
        self._options = options or {}
        # Without logins, which may be part of an address.
        self._where = ", ".join(re.sub("//.*@", "//", server) for server in servers)
        self._nats = Client()
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._closed = False
        self._open: dict[str, asyncio.Future[Optional[Msg]]] = {}
        self._tokens = 0
        self._prefix = ""
        self._connected = asyncio.Event()
        self._problems: list[Exception] = []

    async def connect(self, within: float) -> None:
        """Raises :class:`Unreachable` if no broker lets us in ``within`` so many seconds."""
        options = {
            "servers": self._servers,
            "name": "carla-rl-client",
            "max_reconnect_attempts": -1,
            "reconnect_time_wait": _RECONNECT_WAIT,
            "ping_interval": _PING_INTERVAL,
            **self._options,
            "error_cb": self._on_error,
            "disconnected_cb": self._on_lost,
            "reconnected_cb": self._on_found,
        }
        self._loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(self._nats.connect(**options), within)
        except (asyncio.TimeoutError, OSError, nats.errors.Error) as problem:
            # Older versions of nats-py fail to close what was never open.
            with suppress(AttributeError):
                await self._nats.close()
            # What each try met says more than that the time is over.
            why = self._problems[-1] if self._problems else problem
            said = str(why) or type(why).__name__
            raise Unreachable(f"no broker lets us in at {self._where}: {said}") from problem
        self._problems.clear()
        self._connected.set()
        self._prefix = self._nats.new_inbox() + "."
        await self._nats.subscribe(self._prefix + "*", cb=self._on_reply)
        # A broker that forbids this says so before it answers.
        if not await self.is_alive(within):
            raise Unreachable(f"the broker at {self._where} does not answer")
        if self._problems:
            raise Forbidden(f"the broker at {self._where} lets nobody answer: {self._problems[-1]}")

    async def close(self) -> None:
        """What is open ends with :class:`Unreachable`, and is not sent again."""
        self._closed = True
        self._connected.clear()
        self._fail_open(Unreachable("the client was closed"))
        with suppress(AttributeError):
            await self._nats.close()

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`close` was called, or the library gave up: it does where its login is no
        longer accepted."""
        return self._closed or bool(self._nats.is_closed)

    @property
    def is_elsewhere(self) -> bool:
        """Whether it belongs to another loop than the one that runs."""
        return self._loop is not asyncio.get_running_loop()

    @property
    def is_orphaned(self) -> bool:
        """Whether its loop is closed."""
        return self._loop is not None and self._loop.is_closed()

    @property
    def is_connected(self) -> bool:
        """Whether there is a connection, as far as the library knows."""
        return self._connected.is_set()

    async def is_alive(self, within: float) -> bool:
        """Whether the broker answers a ping."""
        try:
            await asyncio.wait_for(self._nats.flush(), within)
        except (asyncio.TimeoutError, nats.errors.Error, OSError):
            return False
        return True

    @property
    def max_payload(self) -> int:
        """The most bytes that the broker takes in one message."""
        return int(self._nats.max_payload)

    def token(self) -> str:
        """A name for one request, under which it may be sent more than once."""
        self._tokens += 1
        return str(self._tokens)

    def forget(self, token: str) -> None:
        """No more replies to that are wanted."""
        self._open.pop(token, None)

    async def ask(
        self, token: str, subject: str, body: bytes, headers: dict[str, str], wait: float
    ) -> Optional[Msg]:
        """Sends a request, and returns its reply, or ``None`` if none comes in ``wait`` seconds.

        Raises :class:`NoWorkers`, :class:`TooLarge`, or :class:`Unreachable` if the broker is away
        for so long, or goes away.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait
        if not self._connected.is_set():
            await self._wait_for_broker(wait)
        future = self._open[token] = loop.create_future()
        timer = loop.call_at(until, _give_up, future)
        try:
            await self._publish(token, subject, body, headers)
            message = await future
        finally:
            timer.cancel()
        if message is not None and message.headers and message.headers.get("Status") == "503":
            raise NoWorkers(f"nobody serves this model: no subscriber on {subject}")
        return message

    async def _publish(
        self, token: str, subject: str, body: bytes, headers: dict[str, str]
    ) -> None:
        try:
            await self._nats.publish(
                subject, body, reply=self._prefix + token, headers=headers or None
            )
        except nats.errors.MaxPayloadError:
            raise TooLarge(
                "the request is larger than the broker's max_payload",
                expected=f"at most {self.max_payload} bytes",
                got=f"{len(body)} bytes",
            ) from None
        except nats.errors.Error as problem:
            raise Unreachable(f"the connection to {self._where} is closed: {problem}") from problem

    async def _wait_for_broker(self, wait: float) -> None:
        try:
            await asyncio.wait_for(self._connected.wait(), wait)
        except asyncio.TimeoutError:
            raise Unreachable(
                f"the connection to {self._where} is lost, and not yet back"
            ) from None

    async def _on_reply(self, message: Msg) -> None:
        future = self._open.get(message.subject[len(self._prefix) :])
        # A second reply, or one that came too late, finds nobody.
        if future is not None and not future.done():
            future.set_result(message)

    async def _on_error(self, problem: Exception) -> None:
        self._problems = [problem]
        _LOG.debug("broker %s: %r", self._where, problem)
        # It names the subject but not the request.
        if "permissions violation" in str(problem).lower():
            self._fail_open(Forbidden(f"the broker's permissions forbid it: {problem}"))

    async def _on_lost(self) -> None:
        if self._connected.is_set():
            self._connected.clear()
            _LOG.warning("the connection to %s is lost", self._where)
            self._fail_open(Unreachable("the connection was lost before the reply came"))

    async def _on_found(self) -> None:
        self._connected.set()
        _LOG.warning("the connection to %s is back", self._where)

    def _fail_open(self, why: PolicyError) -> None:
        for future in self._open.values():
            if not future.done():
                future.set_exception(copy.copy(why))


def _give_up(future: asyncio.Future[Optional[Msg]]) -> None:
    if not future.done():
        future.set_result(None)
