"""Spaces are rebuilt from the spec, for Gymnasium and without a pickle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Serve
from gymnasium import spaces
from scripted import SPEC

from carla_rl_client import UnreadableReply, spec


@pytest.mark.parametrize(
    ("model", "observations", "actions"),
    [
        ("ppo_obs_discrete", spaces.Discrete, spaces.Discrete),
        ("ppo_obs_multidiscrete", spaces.MultiDiscrete, spaces.Discrete),
        ("ppo_multibinary", spaces.Box, spaces.MultiBinary),
        ("ppo_multidiscrete", spaces.Box, spaces.MultiDiscrete),
        ("ppo_discrete_grid", spaces.Box, spaces.Discrete),
        ("ppo_cnn_hwc", spaces.Box, spaces.Box),
        ("ppo_dict", spaces.Dict, spaces.Box),
    ],
)
def test_what_a_rebuilt_space_samples_the_policy_takes(
    serve: Serve, model: str, observations: type, actions: type
) -> None:
    client = serve(model)
    assert isinstance(client.observation_space, observations)
    assert isinstance(client.action_space, actions)
    client.observation_space.seed(1)
    action, _ = client.predict(client.observation_space.sample())
    # Stable-Baselines3 gives bits as f4, too, which no space of bits holds.
    if not isinstance(client.action_space, spaces.MultiBinary):
        assert client.action_space.contains(action if action.shape else action[()])


def test_a_dict_keeps_the_policys_own_order(serve: Serve) -> None:
    client = serve("ppo_dict")
    space: Any = client.observation_space
    assert list(space.spaces) == [name for name, _ in client.spec.observation_space.spaces]  # type: ignore[union-attr]


def test_bounds_may_be_one_number_a_list_or_infinite() -> None:
    box = {
        "type": "box",
        "dtype": "f4",
        "shape": [2, 2],
        "low": -float("inf"),
        "high": [1, 2, 3, 4],
    }
    read: Any = spec.read({**SPEC, "observation_space": box}).observation_space
    assert np.isneginf(read.low).all()
    np.testing.assert_array_equal(read.high, [[1, 2], [3, 4]])
    assert read.to_gymnasium() == spaces.Box(read.low, read.high, dtype=np.float32)


def test_a_spec_that_can_not_be_read_says_what_is_wrong() -> None:
    for change in ({"observation_space": {"type": "graph"}}, {"max_rows": None}, {"wants": 3}):
        with pytest.raises(UnreadableReply):
            spec.read({**SPEC, **change})
