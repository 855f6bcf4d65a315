"""Steps in simulators whose actions come from a pool of workers, to learn from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
from actor_critic import Batch, advantages

if TYPE_CHECKING:
    from carla_rl_client import PolicyClient

#: Gamma and lambda of generalised advantage estimation.
DISCOUNT, TRACE = 0.99, 0.95


@dataclass(frozen=True)
class Rollout:
    """What was collected with one version, (steps, environments) each but the first."""

    #: f4 (steps, environments, observation elements)
    observations: np.ndarray
    actions: np.ndarray
    #: Natural logarithm of the probability of the action, as the worker that drew it gave it.
    log_probs: np.ndarray
    #: Of the observations, as the worker gave it.
    values: np.ndarray
    #: Of what followed; 0 where the episode failed, and nothing followed.
    next_values: np.ndarray
    rewards: np.ndarray
    #: Whether the next row is of another episode.
    ended: np.ndarray
    #: Returns of the episodes that ended meanwhile.
    returns: list[float]
    #: Of each step's request, µs.
    round_trips_us: list[float]

    def batch(self) -> Batch:
        """All steps in one row.

        What the pool said goes into the loss: its values are the baseline and the bootstrap of the
        advantages, its log-probs the denominator of PPO's ratio.
        """
        gathered = advantages(
            self.rewards,
            self.values,
            self.next_values,
            self.ended,
            discount=DISCOUNT,
            trace=TRACE,
        )
        return Batch(
            self.observations.reshape(self.actions.size, -1),
            self.actions.ravel(),
            self.log_probs.ravel(),
            gathered.ravel(),
            (gathered + self.values).ravel(),
        )


class Simulators:
    """Environments of one kind in lock step; each begins anew when its episode ends."""

    def __init__(self, environment: str, count: int, seed: int) -> None:
        self._envs: list[gym.Env[Any, Any]] = [gym.make(environment) for _ in range(count)]
        starts = [env.reset(seed=seed + i)[0] for i, env in enumerate(self._envs)]
        #: What they see now: f4 (count, observation elements).
        self.observations = np.stack(starts)
        self._totals = np.zeros(count)
        self._returns: list[float] = []
        self._draws = np.random.default_rng(seed)

    def collect(self, client: PolicyClient, steps: int) -> Rollout:
        """So many steps of each, with one request for all of them a step."""
        rows: list[tuple[np.ndarray, ...]] = []
        round_trips_us: list[float] = []
        self._returns = []
        for _ in range(steps):
            seen = self.observations
            # With a seed for each request the training can be repeated: a worker draws an action
            # from the seed and the row's place alone.
            seed = int(self._draws.integers(2**63))
            reply = client.infer(seen, want=("value", "log_prob"), seed=seed)
            assert reply.value is not None and reply.log_prob is not None
            rewards, failed, cut, last = self._step(reply.action)
            round_trips_us.append(reply.round_trip_us)
            next_values = np.where(failed, np.float32(0), np.float32(np.nan))
            if cut.any():
                # The time limit ended it, but the pole stood: what came next had a value, too.
                next_values[cut] = value(client, last[cut])
            drawn = (reply.action, reply.log_prob, reply.value)
            rows.append((seen, *drawn, next_values, rewards, failed | cut))
        seen, actions, log_probs, values, next_values, rewards, ended = (
            np.stack(column) for column in zip(*rows)
        )
        # Elsewhere what came next is the row below, and below the last one what is seen now.
        below = np.vstack([values[1:], value(client, self.observations)])
        next_values = np.where(np.isnan(next_values), below, next_values)
        return Rollout(
            seen,
            actions,
            log_probs,
            values,
            next_values,
            rewards,
            ended,
            self._returns,
            round_trips_us,
        )

    def _step(self, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Rewards, who failed, whom the time limit cut off, and what was seen before any reset."""
        steps = [env.step(int(action)) for env, action in zip(self._envs, actions)]
        last, rewards, failed, cut = (np.array(column) for column in list(zip(*steps))[:4])
        cut &= ~failed
        self._totals += rewards
        self.observations = last.copy()
        for i in np.flatnonzero(failed | cut):
            self._returns.append(float(self._totals[i]))
            self._totals[i] = 0.0
            self.observations[i], _ = self._envs[i].reset()
        return rewards.astype(np.float32), failed, cut, last


def value(client: PolicyClient, observations: np.ndarray) -> np.ndarray:
    """Of observations for which no action is needed, f4 (rows,)."""
    reply = client.infer(observations, want=("value",), deterministic=True)
    assert reply.value is not None
    return reply.value
