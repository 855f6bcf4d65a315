"""The client for programs with an event loop."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence

import numpy as np

from . import reply, request
from . import spec as specs
from .asking import Call
from .connection import Connection
from .errors import NotAnswered, TooLarge
from .hold import LastAction
from .options import Options
from .reply import Inference
from .request import Step
from .spaces import Box
from .spec import Spec

if TYPE_CHECKING:
    import gymnasium

#: Requests of one step that are under way at once.
_AT_ONCE = 8


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
        nats_options: Optional[Mapping[str, Any]] = None,
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
            nats_options=dict(nats_options or {}),
        )
        self._headers = self._options.headers()
        self._infer = self._options.subject("infer")
        self._connection: Optional[Connection] = None
        self._connecting: Optional[asyncio.Lock] = None
        self._spec: Optional[Spec] = None
        self._most_rows = 2**63
        self._acts_in_f8 = False
        self._last = LastAction()

    async def connect(self) -> AsyncPolicyClient:
        """Connects and fetches the spec, unless that is done.

        Raises :class:`Unreachable`, :class:`NoWorkers`.
        """
        # Not in __init__: before Python 3.10 a lock belongs to the loop that was current then.
        self._connecting = self._connecting or asyncio.Lock()
        async with self._connecting:
            if self._connection is None:
                connection = Connection(self._options.servers, self._options.nats_options)
                await connection.connect(self._options.connect_timeout)
                self._connection = connection
            if self._spec is None:
                # A tick may be too short for a first answer, which costs no tick.
                within = max(self._options.timeout, self._options.connect_timeout)
                call = Call(replace(self._options.patience, timeout=within), {})
                answer = await call.ask(self._connection, self._options.subject("spec"), b"")
                self._spec = specs.read(answer)
                actions = self._spec.action_space
                self._acts_in_f8 = isinstance(actions, Box) and actions.dtype == np.float64
        return self

    async def close(self) -> None:
        """Ends the connection."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None

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
        if self._connection is None or self._spec is None:
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
        if self._connection is None:
            await self.connect()
        assert self._connection is not None
        began = time.perf_counter()
        rows = step.observation.rows
        if rows is None:
            # What most simulators ask, 20 times a second and more.
            answer = await self._ask(None, step.body())
        else:
            answer = await self._ask_rows(step, rows, self._connection.max_payload)
        answer.round_trip_us = (time.perf_counter() - began) * 1e6
        return answer

    async def _ask_rows(self, step: Step, rows: int, max_payload: int) -> Inference:
        limit = request.most_rows(self.spec, max_payload, step.observation.row_bytes)
        most = min(limit, self._most_rows)
        while True:
            try:
                return await self._send(step, most)
            except TooLarge:
                # The reply, or another worker's limit: what a row takes there is not known here.
                if min(most, rows) < 2 or step.state:
                    raise
                most = self._most_rows = min(most, rows) // 2

    async def _send(self, step: Step, most_rows: int) -> Inference:
        bodies = step.bodies(most_rows)
        if len(bodies) == 1:
            return await self._ask(*bodies[0])
        gate = asyncio.Semaphore(_AT_ONCE)

        async def one(rows: int, body: bytes) -> Inference:
            async with gate:
                return await self._ask(rows, body)

        return reply.join(await _all([one(rows, body) for rows, body in bodies]))

    async def _ask(self, rows: Optional[int], body: bytes) -> Inference:
        assert self._connection is not None
        call = Call(self._options.patience, self._headers)
        answer = reply.read(await call.ask(self._connection, self._infer, body), rows)
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
