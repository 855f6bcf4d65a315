"""The client for programs without an event loop: simulators and training loops."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Mapping, Optional, Sequence

import numpy as np

from . import checking, request
from .asynchronous import AsyncPolicyClient
from .errors import NotAnswered
from .hold import LastAction
from .reply import Inference
from .shadow import Shadow
from .spec import Spec
from .turns import Turns, is_on_a_loop

if TYPE_CHECKING:
    import gymnasium


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
        nats_options: passed to ``nats.connect``: ``{"user_credentials": "pool.creds"}``,
            ``{"token": …}``, ``{"tls": ssl_context}``.

    Raises:
        Unreachable: no broker.
        NoWorkers: nobody serves ``model``.
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
            answer: Inference = session.run(session.client.answer(step))
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

    def shadow(self, model: Any) -> Shadow:
        """Drives as this client does, and compares each action with that of ``model``, which
        needs a ``predict`` of its own: a Stable-Baselines3 model, say."""
        return Shadow(self, model)

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
        self._session, self._last = None, _LastActions()

    def _connected(self) -> _Session:
        session = self._session
        if session is not None and session.pid == os.getpid() and not session.broken:
            return session
        with _STARTING:
            return self._replace(session)

    def _replace(self, seen: Optional[_Session]) -> _Session:
        """Unless another thread did meanwhile."""
        if self._session is seen or self._session is None:
            if seen is not None:
                seen.end()
            self._session = None
            session = _Session(self._arguments)
            weakref.finalize(self, session.end)
            self._session, self._spec = session, session.spec
        return self._session


class _Session:
    """One process's connection, with the loop that it lives on."""

    def __init__(self, arguments: dict[str, Any]) -> None:
        self.pid = os.getpid()
        #: An interrupt may have ended the library's own tasks, too: this is good for nothing more.
        self.broken = False
        self._ended = False
        self._turns = Turns()
        try:
            self.client: AsyncPolicyClient = self._turns.run(_connect(arguments))
        except BaseException:
            self._turns.close()
            raise

    @property
    def spec(self) -> Spec:
        return self.client.spec

    def run(self, work: Any) -> Any:
        try:
            return self._turns.run(work)
        except (KeyboardInterrupt, SystemExit):
            self.broken = True
            raise

    def end(self) -> None:
        """In a child process it leaves the parent's connection alone: closing it here would take
        the parent's sockets out of the poll set that both share."""
        if self._ended:
            return
        self._ended = True
        if self.pid != os.getpid():
            _INHERITED.append(self)
        elif is_on_a_loop():
            # The collector may call from the very thread that runs our loop, which can't wait for
            # itself.
            threading.Thread(target=self._close, daemon=True).start()
        else:
            self._close()

    def _close(self) -> None:
        # After an interrupt the library's tasks may be gone, and it may wait for them for ever.
        with contextlib.suppress(asyncio.TimeoutError):
            self._turns.run(asyncio.wait_for(self.client.close(), _CLOSE_LIMIT))
        self._turns.close()


async def _connect(arguments: dict[str, Any]) -> AsyncPolicyClient:
    client = AsyncPolicyClient(**arguments)
    try:
        return await client.connect()
    except BaseException:
        await client.close()
        raise


class _LastActions(threading.local):
    """Each thread is taken for a simulator of its own."""

    def __init__(self) -> None:
        self.of_thread = LastAction()


#: The longest that the end of a connection may take, s.
_CLOSE_LIMIT = 2.0
#: Sessions of the parent process, kept from the collector, which would close them.
_INHERITED: list[_Session] = []
_STARTING = threading.RLock()


def _after_fork() -> None:
    """Another thread of the parent may have held it."""
    global _STARTING  # noqa: PLW0603
    _STARTING = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
