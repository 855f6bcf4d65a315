"""The client for programs with an event loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional, Sequence

import numpy as np

from . import reply, request
from . import spec as specs
from .asking import Call
from .connection import Connection
from .errors import NotAnswered, Timeout, TooLarge
from .hold import LastAction
from .options import NatsOptions, Options
from .reply import Inference
from .request import Step
from .spaces import Box
from .spec import Spec

if TYPE_CHECKING:
    import gymnasium

#: Requests of one step that are under way at once.
_AT_ONCE = 8
#: How long a ping may take that finds out whether a connection is alive, s.
_EXAMINATION = 0.5


class AsyncPolicyClient:
    """Asks a pool of workers, on one event loop. One client is one simulator.

    The parameters are those of :class:`~carla_rl_client.PolicyClient`. Nothing is sent before
    :meth:`connect`, which the first call does too, and so does ``async with``.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        timeout: float = 1.0,
        on_timeout: str = "raise",
        prefix: str = "policy",
        retries: int = 2,
        wait_for_workers: float = 0.0,
        connect_timeout: float = 2.0,
        env_id: Optional[str] = None,
        priority: Optional[int] = None,
        model_version: Optional[str] = None,
        nats_options: NatsOptions = None,
    ) -> None:
        self._options = Options(
            url=url,
            model=model,
            timeout=timeout,
            on_timeout=on_timeout,
            prefix=prefix,
            retries=retries,
            wait_for_workers=wait_for_workers,
            connect_timeout=connect_timeout,
            env_id=env_id,
            priority=priority,
            model_version=model_version,
            nats_options=nats_options,
        )
        self._headers = self._options.headers()
        self._infer = self._options.subject("infer")
        self._connection: Optional[Connection] = None
        self._connecting: Optional[asyncio.Lock] = None
        self._spec: Optional[Spec] = None
        self._most_rows = 2**63
        self._acts_in_f8 = False
        #: Of a reply so far; more may come with the next one.
        self._state_row_bytes = 0
        #: Whether nothing came when something should have.
        self._suspect = False
        self._last = LastAction()

    async def connect(self) -> AsyncPolicyClient:
        """Connects and fetches the spec, unless that is done.

        Raises :class:`Unreachable`, :class:`NoWorkers`, :class:`Forbidden`.
        """
        self._come_here()
        # Not in __init__: before Python 3.10 a lock belongs to the loop that was current then.
        self._connecting = self._connecting or asyncio.Lock()
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                self._connection = await self._new_connection()
            if self._spec is None:
                try:
                    self._take_spec(await self._ask_spec(self._connection))
                except BaseException:
                    await self.close()
                    raise
        return self

    async def _new_connection(self) -> Connection:
        given = self._options.nats_options
        connection = Connection(self._options.servers, given() if callable(given) else given)
        within = self._options.connect_timeout
        if self._spec is not None:
            # In the middle of driving.
            within = min(within, self._options.timeout)
        try:
            await connection.connect(within)
        except BaseException:
            await connection.close()
            raise
        return connection

    async def _ask_spec(self, connection: Connection) -> Spec:
        # A tick may be too short for a first answer, which costs no tick.
        within = max(self._options.timeout, self._options.connect_timeout)
        call = Call(replace(self._options.patience, timeout=within), {})
        return specs.read(await call.ask(connection, self._options.subject("spec"), b""))

    def _take_spec(self, spec: Spec) -> None:
        self._spec, actions = spec, spec.action_space
        self._acts_in_f8 = isinstance(actions, Box) and actions.dtype == np.float64

    def _come_here(self) -> None:
        """A connection lives and dies with its loop."""
        if self._connection is None or not self._connection.is_elsewhere:
            return
        if not self._connection.is_orphaned:
            raise RuntimeError("the client is in use on another event loop; make one for each loop")
        self._connection = self._connecting = None

    async def close(self) -> None:
        """Ends the connection. Calls that are under way raise :class:`Unreachable`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _usable(self) -> Connection:
        """The connection, or a new one where that is dead."""
        connection = self._connection
        if connection is None or connection.is_closed or connection.is_elsewhere:
            await self.connect()
        elif self._suspect:
            await self._examine(connection)
        assert self._connection is not None
        return self._connection

    async def _examine(self, connection: Connection) -> None:
        """After a time-out: a connection may be dead without a word, as when a machine on its way
        has forgotten it."""
        within = min(_EXAMINATION, self._options.timeout / 2)
        if connection.is_connected and not await connection.is_alive(within):
            # Unless another call did so meanwhile.
            if self._connection is connection:
                await self.close()
            await self.connect()
        self._suspect = False

    async def __aenter__(self) -> AsyncPolicyClient:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def spec(self) -> Spec:
        """What the pool said of its policy when the client connected."""
        if self._spec is None:
            raise RuntimeError("the spec is there after `await client.connect()`")
        return self._spec

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """The policy's, as a Gymnasium space. Raises ``ImportError`` without Gymnasium."""
        return self.spec.observation_space.to_gymnasium()

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        """The policy's, as a Gymnasium space. Raises ``ImportError`` without Gymnasium."""
        return self.spec.action_space.to_gymnasium()

    async def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[np.ndarray, Any]:
        """As :meth:`PolicyClient.predict <carla_rl_client.PolicyClient.predict>`."""
        answer = await self.infer(
            observation,
            state=state,
            episode_start=episode_start,
            deterministic=deterministic,
            mask=action_masks,
        )
        return answer.action, answer.state if self.spec.recurrent else state

    async def infer(
        self,
        observation: Any,
        *,
        want: Sequence[str] = (),
        seed: Optional[int] = None,
        state: Any = None,
        episode_start: Any = None,
        mask: Any = None,
        deterministic: bool = False,
    ) -> Inference:
        """As :meth:`PolicyClient.infer <carla_rl_client.PolicyClient.infer>`."""
        if self._spec is None:
            await self.connect()
        step = request.step(
            self.spec,
            observation,
            want=want,
            seed=seed,
            state=state,
            episode_start=episode_start,
            mask=mask,
            deterministic=deterministic,
        )
        try:
            answer = await self.answer(step)
        except NotAnswered as problem:
            if self._options.on_timeout == "raise":
                raise
            return self._last.instead(step, episode_start, problem)
        self._last.remember(step, answer)
        return answer

    async def answer(self, step: Step) -> Inference:
        """Asks for a step that was checked, in as many requests as it takes."""
        began = time.perf_counter()
        connection = await self._usable()
        rows = step.observation.rows
        if rows is None:
            # What most simulators ask, 20 times a second and more.
            answer = await self._ask(connection, None, step.body())
        else:
            answer = await self._ask_rows(connection, step, rows)
        answer.round_trip_us = (time.perf_counter() - began) * 1e6
        return answer

    async def _ask_rows(self, connection: Connection, step: Step, rows: int) -> Inference:
        while True:
            most = min(self._most_rows, self._rows_that_fit(connection, step))
            try:
                answer = await self._send(connection, step, most)
            except TooLarge:
                # The reply, or another worker's limit: what a row takes there is not known here.
                if min(most, rows) < 2 or step.state:
                    raise
                self._most_rows = min(most, rows) // 2
                continue
            if step.state or not self._is_too_much_state(connection, step, answer):
                return answer

    def _rows_that_fit(self, connection: Connection, step: Step) -> int:
        row_bytes = step.row_bytes + self._state_row_bytes
        return request.most_rows(self.spec, connection.max_payload, row_bytes)

    def _is_too_much_state(self, connection: Connection, step: Step, answer: Inference) -> bool:
        """Whether rows would not fit in a request with the state that they were given: since that
        can't be cut, the step is asked anew in smaller parts."""
        if answer.state is None:
            return False
        each = (len(state) // rows + 1 for rows, state in answer.state.parts)
        self._state_row_bytes = max(self._state_row_bytes, *each)
        largest = max(rows for rows, _ in answer.state.parts)
        return largest > self._rows_that_fit(connection, step)

    async def _send(self, connection: Connection, step: Step, most_rows: int) -> Inference:
        bodies = step.bodies(most_rows)
        if len(bodies) == 1:
            return await self._ask(connection, *bodies[0])
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(rows: int, body: bytes) -> Inference:
            async with gate:
                return await self._ask(connection, rows, body)

        return reply.join(await _all([one(rows, body) for rows, body in bodies]))

    async def _ask(self, connection: Connection, rows: Optional[int], body: bytes) -> Inference:
        call = Call(self._options.patience, self._headers)
        try:
            answer = reply.read(await call.ask(connection, self._infer, body), rows)
        except Timeout:
            self._suspect = True
            raise
        answer.attempts = call.attempts
        if self._acts_in_f8:
            # As Stable-Baselines3 does in such a space; on the wire all boxes are f4.
            answer.action = answer.action.astype(np.float64)
        return answer


async def _all(work: list[Any]) -> list[Inference]:
    """The results in order; the first failure ends the others."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()
