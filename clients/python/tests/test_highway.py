"""The imported highway policy drives highway-env over the pool as it does by itself."""

from __future__ import annotations

import warnings
from typing import Any, Callable, NamedTuple

import gymnasium
import highway_env
import numpy as np
from conftest import ROOT, Serve
from reference import tensors

EPISODES = 20
WEIGHTS = ROOT / "artifacts/highway-ppo/0.1.0/model.safetensors"


class NumpyPolicy:
    """The same policy by hand: two layers of tanh, then the most likely action."""

    def __init__(self) -> None:
        self._weights = tensors(WEIGHTS)

    def act(self, observation: np.ndarray) -> int:
        hidden = observation.reshape(25)
        for layer in ("policy.0", "policy.1"):
            hidden = np.tanh(self._affine(layer, hidden))
        return int(np.argmax(self._affine("action", hidden)))

    def _affine(self, layer: str, x: np.ndarray) -> np.ndarray:
        return self._weights[f"{layer}.weight"] @ x + self._weights[f"{layer}.bias"]


class Episode(NamedTuple):
    actions: list[int]
    total_reward: float


def make_highway() -> Any:
    """As in training: see the card of the policy."""
    # Some versions do so when they are imported.
    if "highway-fast-v0" not in gymnasium.registry:
        highway_env.register_highway_envs()
    with warnings.catch_warnings():
        # Of Gymnasium, about versions of environments.
        warnings.simplefilter("ignore")
        return gymnasium.make("highway-fast-v0")


def drive(env: Any, seed: int, act: Callable[[np.ndarray], int]) -> Episode:
    observation, _ = env.reset(seed=seed)
    actions: list[int] = []
    total, done = 0.0, False
    while not done:
        actions.append(act(observation))
        observation, reward, terminated, truncated, _ = env.step(actions[-1])
        total += float(reward)
        done = terminated or truncated
    return Episode(actions, total)


def test_twenty_episodes_over_the_pool_are_those_of_the_policy_by_hand(serve: Serve) -> None:
    client, by_hand, env = serve("highway-ppo"), NumpyPolicy(), make_highway()

    def ask(observation: np.ndarray) -> int:
        return int(client.predict(observation, deterministic=True)[0])

    assert client.check_env(env) == []
    for seed in range(EPISODES):
        assert drive(env, seed, ask) == drive(env, seed, by_hand.act), f"seed {seed}"
    env.close()
