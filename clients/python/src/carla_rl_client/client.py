"""The client for programs without an event loop: simulators and training loops."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Optional, Sequence, TypeVar

import numpy as np

from . import checking, request
from .asynchronous import AsyncPolicyClient
from .errors import NotAnswered, Unreachable
from .hold import LastAction
from .options import NatsOptions
from .reply import Inference
from .shadow import Shadow
from .spec import Spec
from .turns import Closed, Turns, Work

if TYPE_CHECKING:
    import gymnasium

T = TypeVar("T")


class PolicyClient:
    """Asks a pool of workers for actions. A drop-in for a Stable-Baselines3 model's ``predict``.

    It may be used from several threads at once, and may be pickled or inherited by child
    processes, each of which makes its own connection at its first call.

    Args:
        url: of the broker, or several with commas between them.
        model: the name in the model card.
        timeout: s, for one call with all that is sent again.
        on_timeout: ``"raise"``, or ``"hold"``: if no action comes in time, return the last one
            that this thread got. At the start of an episode it raises all the same.
        prefix: of the subjects, as the workers' ``nats.prefix``.
        retries: how often a call is sent again after an error where that is safe.
        wait_for_workers: s; how long to wait while nobody serves the model, here and in each
            call. With 0 :class:`NoWorkers` is raised at once.
        connect_timeout: s, for the first connection. Later ones are tried without end.
        env_id: names this simulator to the workers, which let simulators take turns.
        priority: 0 (first) to 9 (last); the workers take 5 without it.
        model_version: insist on this version.
        nats_options: arguments of ``nats.connect``, like ``{"token": …}`` or
            ``{"tls": ssl_context}``; or a function that makes them, for clients that are pickled.
            ``nkeys_seed`` and ``user_credentials`` need the package nkeys.

    Raises:
        Unreachable: no broker.
        NoWorkers: nobody serves ``model``.
        Forbidden: the broker's permissions.
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
        self._holds = on_timeout == "hold"
        self._arguments: dict[str, Any] = {
            "url": url,
            "model": model,
            "timeout": timeout,
            "on_timeout": on_timeout,
            "prefix": prefix,
            "retries": retries,
            "wait_for_workers": wait_for_workers,
            "connect_timeout": connect_timeout,
            "env_id": env_id,
            "priority": priority,
            "model_version": model_version,
            "nats_options": nats_options,
        }
        self._session: Optional[_Session] = None
        self._starting: dict[int, threading.RLock] = {}
        self._last = _LastActions()
        self._spec: Spec = self._connected().spec

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[np.ndarray, Any]:
        """The action for an observation, as a Stable-Baselines3 model gives it.

        Args:
            observation: one observation of the space's shape, or ``n`` of them with one more axis
                in front; a dict of such for a dict space.
            state: of a recurrent policy: what the last call returned, ``None`` at first.
            episode_start: ``[n]`` bools: rows whose state is reset before this step.
            deterministic: the mean or the most likely action, or else a sample.
            action_masks: of a policy that takes them, as MaskablePPO: ``[n, choices]``.

        Returns:
            The action (``[n, …action space]``, or without ``n`` for one observation; int64 for
            choices, float32 for boxes and bits) and the new state; ``state`` as it was if the
            policy has no memory.

        Raises:
            NotAnswered: nothing came in time; which class says why.
            Refused: the observation or another argument does not fit the policy.
        """
        answer = self.infer(
            observation,
            state=state,
            episode_start=episode_start,
            deterministic=deterministic,
            mask=action_masks,
        )
        return answer.action, answer.state if self._spec.recurrent else state

    def infer(
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
        """As :meth:`predict`, with all that the reply says.

        Args:
            want: of ``spec.wants``: ``"value"``, ``"log_prob"``, ``"raw_action"``, ``"probs"``,
                ``"q_values"``.
            seed: of the sample, 0 to 2^64 - 1. The same seed and rows give the same actions, on
                any worker. Rows that go in several requests get seeds made of this one.
        """
        session = self._connected()
        step = request.step(
            self._spec,
            observation,
            want=want,
            seed=seed,
            state=state,
            episode_start=episode_start,
            mask=mask,
            deterministic=deterministic,
        )
        try:
            answer = session.run(lambda: session.client.answer(step))
        except NotAnswered as problem:
            if not self._holds:
                raise
            return self._last.of_thread.instead(step, episode_start, problem)
        if self._holds:
            self._last.of_thread.remember(step, answer)
        return answer

    @property
    def spec(self) -> Spec:
        """What the pool said of its policy when the client was made."""
        return self._spec

    @property
    def observation_space(self) -> gymnasium.Space[Any]:
        """The policy's, as a Gymnasium space. Raises ``ImportError`` without Gymnasium."""
        return self._spec.observation_space.to_gymnasium()

    @property
    def action_space(self) -> gymnasium.Space[Any]:
        """The policy's, as a Gymnasium space. Raises ``ImportError`` without Gymnasium."""
        return self._spec.action_space.to_gymnasium()

    def check_env(self, env: Any) -> list[str]:
        """Whether the policy can drive ``env``, a Gymnasium environment or a VecEnv of
        Stable-Baselines3, which is reset for it.

        Returns what looks odd but works, a sentence each.

        Raises:
            EnvironmentMismatch: with all that does not fit, and how to mend it.
        """
        return checking.check(self._spec, env)

    def shadow(self, model: Any, tolerance: float = 1e-5) -> Shadow:
        """Drives as this client does, and compares each action with that of ``model``, which
        needs a ``predict`` of its own: a Stable-Baselines3 model, say. Elements of box actions may
        differ by ``tolerance``, and by as much for each unit of theirs."""
        return Shadow(self, model, tolerance)

    def close(self) -> None:
        """Ends this process's connection. A later call makes a new one."""
        session, self._session = self._session, None
        if session is not None:
            session.end()

    def __enter__(self) -> PolicyClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"arguments": self._arguments, "spec": self._spec}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._arguments, self._spec = state["arguments"], state["spec"]
        self._holds = self._arguments["on_timeout"] == "hold"
        self._session, self._starting, self._last = None, {}, _LastActions()

    def _connected(self) -> _Session:
        session = self._session
        if session is not None and session.is_usable:
            return session
        # Re-entrant, for the handler of a signal; and a child of a fork makes its own, since
        # another thread of the parent may have held it.
        with self._starting.setdefault(os.getpid(), threading.RLock()):
            return self._replace(session)

    def _replace(self, seen: Optional[_Session]) -> _Session:
        """Unless another thread did meanwhile."""
        session = self._session
        if session is None or session is seen:
            if seen is not None:
                seen.end()
            session = _Session(self._arguments)
            session.end_with(self)
            self._session, self._spec = session, session.spec
        return session


class _Session:
    """One process's connection, with the loop that it lives on."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self._pid = os.getpid()
        self._turns = Turns()
        self._finalizer: Optional[Any] = None
        self._ended = False
        try:
            self.client: AsyncPolicyClient = self.run(lambda: _connect(arguments))
        except BaseException:
            self._turns.close()
            raise
        _SESSIONS.add(self)

    @property
    def is_usable(self) -> bool:
        return self._pid == os.getpid() and not self._ended and not self._turns.broken

    @property
    def spec(self) -> Spec:
        return self.client.spec

    def run(self, work: Work[T]) -> T:
        try:
            return self._turns.run(work)
        except Closed:
            raise Unreachable("the client was closed") from None

    def end_with(self, client: PolicyClient) -> None:
        """When nobody has the client any more. On a thread of its own: the collector may call from
        any, also from the one that runs our loop."""
        self._finalizer = weakref.finalize(client, self._end_apart)
        self._finalizer.atexit = False

    def end(self) -> None:
        """In a child process it leaves the parent's connection alone: closing it here would take
        the parent's sockets out of the poll set that both share."""
        if self._ended:
            return
        self._ended = True
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._pid != os.getpid():
            _INHERITED.append(self)
        elif self._turns.is_here:
            threading.Thread(target=self._close, daemon=True).start()
        else:
            self._close()

    def end_at_exit(self) -> None:
        """Not while other threads still call: they end with the process."""
        if self._pid == os.getpid() and not self._turns.is_busy:
            self.end()

    def _end_apart(self) -> None:
        # A new thread can't be had when the interpreter ends, and is not needed then.
        with contextlib.suppress(RuntimeError):
            threading.Thread(target=self.end, daemon=True).start()

    def _close(self) -> None:
        if not self._turns.broken:
            with contextlib.suppress(asyncio.TimeoutError, Closed, RuntimeError):
                self._turns.run(lambda: asyncio.wait_for(self.client.close(), _CLOSE_LIMIT))
        self._turns.close()


async def _connect(arguments: dict[str, Any]) -> AsyncPolicyClient:
    return await AsyncPolicyClient(**arguments).connect()


class _LastActions(threading.local):
    """Each thread is taken for a simulator of its own."""

    def __init__(self) -> None:
        self.of_thread = LastAction()


#: The longest that the end of a connection may take, s.
_CLOSE_LIMIT = 2.0
#: All that were not ended yet.
_SESSIONS: weakref.WeakSet[_Session] = weakref.WeakSet()
#: Sessions of the parent process, kept from the collector, which would close them.
_INHERITED: list[_Session] = []


@atexit.register
def _end_all() -> None:
    for session in list(_SESSIONS):
        session.end_at_exit()
