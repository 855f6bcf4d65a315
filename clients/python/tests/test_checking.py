"""``check_env`` names what does not fit, and the usual mistake behind it."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from conftest import Serve
from gymnasium import spaces

from carla_rl_client import EnvironmentMismatch, PolicyClient


class Env(gymnasium.Env):
    """Any spaces."""

    def __init__(self, observations: Any, actions: Any, first: Any = None) -> None:
        self.observation_space, self.action_space = observations, actions
        self._first = first

    def reset(self, **_: Any) -> Any:
        first = self.observation_space.sample() if self._first is None else self._first
        return first, {}


def fitting(client: PolicyClient) -> Env:
    return Env(client.observation_space, client.action_space)


def said(client: PolicyClient, env: Any) -> str:
    with pytest.raises(EnvironmentMismatch) as raised:
        client.check_env(env)
    return str(raised.value)


@pytest.mark.parametrize(
    "model", ["ppo_box", "ppo_dict", "ppo_cnn_hwc", "ppo_multidiscrete", "ppo_obs_discrete"]
)
def test_an_environment_of_the_policys_spaces_fits(serve: Serve, model: str) -> None:
    client = serve(model)
    assert client.check_env(fitting(client)) == []


def box(*shape: int, low: float = -1.0, high: float = 1.0, dtype: Any = np.float32) -> spaces.Box:
    return spaces.Box(low, high, shape, dtype)


def test_a_missing_wrapper_is_named(serve: Serve) -> None:
    grid, flat = serve("ppo_discrete_grid"), serve("ppo_box")
    assert "It is flattened" in said(grid, Env(box(25), grid.action_space))
    assert "FlattenObservation" in said(flat, Env(box(2, 3), flat.action_space))
    assert "Are 2 frames stacked" in said(flat, Env(box(3), flat.action_space))
    assert "TimeAwareObservation" in said(flat, Env(box(5), flat.action_space))
    in_parts = spaces.Dict({"a": box(3), "b": box(3)})
    assert "FlattenObservation" in said(flat, Env(in_parts, flat.action_space))


def test_actions_of_another_scale_are_named(serve: Serve) -> None:
    client = serve("ppo_asymmetric_bounds")
    rescaled = spaces.Box(-1.0, 1.0, client.action_space.shape, np.float32)
    assert "RescaleAction" in said(client, Env(client.observation_space, rescaled))
    discrete = serve("ppo_discrete_grid")
    assert "not 3 choices" in said(discrete, Env(discrete.observation_space, spaces.Discrete(3)))
    assert "gives a Discrete" in said(discrete, Env(discrete.observation_space, box(1)))


def test_all_differences_are_told_at_once(serve: Serve) -> None:
    client = serve("ppo_box")
    text = said(client, Env(box(5), spaces.Discrete(2)))
    assert "\n- observations: " in text
    assert "\n- actions: " in text


def test_scaled_images_are_named(serve: Serve) -> None:
    client = serve("ppo_cnn_hwc")
    scaled = box(*client.observation_space.shape, low=0.0)  # type: ignore[misc]
    assert "scaling wrapper" in said(client, Env(scaled, client.action_space))


def test_channels_last_fit_and_are_told(serve: Serve) -> None:
    client = serve("ppo_cnn_hwc")
    last = box(40, 40, 3, low=0, high=255, dtype=np.uint8)
    (told,) = client.check_env(Env(last, client.action_space))
    assert "channels last" in told


def test_a_first_observation_that_is_no_number_or_far_out_is_told(serve: Serve) -> None:
    client = serve("ppo_asymmetric_bounds")
    space: Any = client.observation_space
    nan = np.full(space.shape, np.nan, np.float32)
    assert "NaN" in said(client, Env(space, client.action_space, nan))
    far = np.full(space.shape, 1e9, np.float32)
    told = client.check_env(Env(space, client.action_space, far))
    assert bool(told) == bool(np.isfinite(space.high).any())


def test_a_second_normalisation_is_told(serve: Serve) -> None:
    client = serve("ppo_box")
    (told,) = client.check_env(NormalizeObservation(fitting(client)))
    assert "twice is wrong" in told


class NormalizeObservation(gymnasium.Wrapper):
    """Named as Gymnasium's own, whose arguments change with its version."""


def test_environments_side_by_side_are_checked_as_one(serve: Serve) -> None:
    client = serve("ppo_box")
    one = fitting(client)
    vector = gymnasium.vector.SyncVectorEnv([lambda: one, lambda: one])
    assert client.check_env(vector) == []
    vector = gymnasium.vector.SyncVectorEnv([lambda: NormalizeObservation(one)])
    assert "twice is wrong" in client.check_env(vector)[0]


class OwnBox(spaces.Box):
    """As environments have that add to a space."""


def test_a_space_may_be_of_a_class_of_ones_own(serve: Serve) -> None:
    client = serve("ppo_box")
    space: Any = client.observation_space
    own = OwnBox(space.low, space.high, space.shape, space.dtype)
    assert client.check_env(Env(own, client.action_space)) == []


def test_frames_that_are_stacked_here_alone_are_named(serve: Serve) -> None:
    client = serve("ppo_box")
    assert "4 frames stacked here" in said(client, Env(box(24), client.action_space))
