"""``shadow`` drives with the pool and tells where a local model would have driven otherwise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Broker, Serve
from reference import Case
from scripted import ScriptedWorker, action, error

from carla_rl_client import PolicyClient


class Recorded:
    """A local model that gives the actions of a reference case, row by row."""

    def __init__(self, action: np.ndarray) -> None:
        self._action = action

    def predict(self, observation: Any, state: Any, episode_start: Any, deterministic: bool) -> Any:
        return self._action, state


def test_equal_policies_agree(serve: Serve) -> None:
    case = Case("ppo_box")
    shadow = serve("ppo_box").shadow(Recorded(case.action))
    action, state = shadow.predict(case.observation, deterministic=True)
    np.testing.assert_allclose(action, case.action, rtol=1e-5, atol=1e-5)
    result = shadow.comparison
    assert (state, result.calls, result.compared, result.differing) == (None, 1, 32, 0)
    assert result.first_difference is None


def test_the_first_difference_is_kept_with_its_observation(serve: Serve) -> None:
    case = Case("ppo_box")
    other = case.action.copy()
    other[7] += 0.25
    other[9, 0] += 0.5
    shadow = serve("ppo_box").shadow(Recorded(other))
    shadow.predict(case.observation, deterministic=True)
    result = shadow.comparison
    assert result.differing == 2
    assert result.largest_difference == pytest.approx(0.5, abs=1e-4)
    assert result.first_difference is not None
    np.testing.assert_array_equal(result.first_difference["observation"], case.observation[7])
    assert "rows that differ    2" in str(result)


def test_the_first_difference_is_a_copy(serve: Serve) -> None:
    case = Case("ppo_box")
    shadow = serve("ppo_box").shadow(Recorded(case.action + 1.0))
    buffer = case.observation.copy()
    shadow.predict(buffer, deterministic=True)
    buffer[:] = 9.0
    assert shadow.comparison.first_difference is not None
    np.testing.assert_array_equal(
        shadow.comparison.first_difference["observation"], case.observation[0]
    )


def test_a_difference_may_be_tolerated(serve: Serve) -> None:
    case = Case("ppo_box")
    shadow = serve("ppo_box").shadow(Recorded(case.action + 0.01), tolerance=0.1)
    shadow.predict(case.observation, deterministic=True)
    assert shadow.comparison.differing == 0


def test_masks_go_to_both(serve: Serve) -> None:
    case, client = Case("maskable_ppo"), serve("maskable_ppo")
    shadow = client.shadow(client)
    action, _ = shadow.predict(
        case.observation, deterministic=True, action_masks=case.tensors["mask"]
    )
    np.testing.assert_array_equal(action, case.action)


def test_held_actions_are_counted_and_not_compared(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    scripted.script = [action(3), error("expired")]
    options: Any = {"timeout": 5.0, "on_timeout": "hold"}
    with PolicyClient(broker.url, "scripted", **options) as client:
        shadow = client.shadow(Recorded(np.array(3)))
        for _ in range(2):
            shadow.predict(np.zeros(2), deterministic=True)
    assert (shadow.comparison.compared, shadow.comparison.held) == (1, 1)


def test_choices_differ_or_do_not(serve: Serve) -> None:
    case = Case("ppo_discrete_grid")
    other = (case.action + (np.arange(len(case.action)) == 3)) % 5
    shadow = serve("ppo_discrete_grid").shadow(Recorded(other))
    shadow.predict(case.observation, deterministic=True)
    assert shadow.comparison.differing == 1


def test_samples_are_counted_and_not_compared(serve: Serve) -> None:
    case = Case("ppo_box")
    shadow = serve("ppo_box").shadow(Recorded(case.action))
    shadow.predict(case.observation)
    assert (shadow.comparison.compared, shadow.comparison.sampled) == (0, 32)


def test_both_memories_go_along(serve: Serve) -> None:
    case, client = Case("recurrent_ppo"), serve("recurrent_ppo")
    # The pool against itself: each must get its own state back.
    shadow, state = client.shadow(client), None
    for step, observation in enumerate(case.observation):
        start = case.tensors["episode_start"][step]
        action, state = shadow.predict(observation, state, start, deterministic=True)
        np.testing.assert_array_equal(action, case.action[step])
    assert shadow.comparison.differing == 0


def test_a_model_of_other_actions_is_named(serve: Serve) -> None:
    case = Case("ppo_box")
    shadow = serve("ppo_box").shadow(Recorded(case.action[:, :1]))
    with pytest.raises(ValueError, match="another policy"):
        shadow.predict(case.observation, deterministic=True)
