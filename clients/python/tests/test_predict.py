"""``predict`` is that of Stable-Baselines3."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import Serve
from reference import Case, row

CASES = [
    "ppo_box",
    "ppo_asymmetric_bounds",
    "ppo_discrete_grid",
    "ppo_multidiscrete",
    "ppo_multibinary",
    "ppo_obs_discrete",
    "ppo_obs_multidiscrete",
    "ppo_dict",
    "ppo_cnn_hwc",
    "ppo_f64_squash",
    "ppo_vecnormalize",
    "sac",
    "dqn",
]


def same(ours: Any, theirs: Any) -> None:
    assert isinstance(ours, np.ndarray)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    if ours.dtype.kind == "f":
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    else:
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("name", CASES)
def test_rows_get_the_actions_shapes_and_dtypes_of_model_predict(serve: Serve, name: str) -> None:
    case = Case(name)
    action, state = serve(name).predict(case.observation, deterministic=True)
    same(action, case.action)
    assert state is None


@pytest.mark.parametrize("name", CASES)
def test_one_observation_gets_its_action_without_an_axis_of_rows(serve: Serve, name: str) -> None:
    case = Case(name)
    action, _ = serve(name).predict(row(case.observation, 3), deterministic=True)
    same(action, np.asarray(case.action[3]))


def test_masks_rule_actions_out_as_in_maskable_ppo(serve: Serve) -> None:
    case, client = Case("maskable_ppo"), serve("maskable_ppo")
    masks = case.tensors["mask"].astype(bool)
    action, _ = client.predict(case.observation, action_masks=masks, deterministic=True)
    same(action, case.action)
    one, _ = client.predict(case.observation[0], action_masks=masks[0], deterministic=True)
    assert one == case.action[0]


@pytest.mark.parametrize("name", ["recurrent_ppo", "recurrent_ppo_box", "rppo_2layers"])
def test_a_recurrent_policy_remembers_as_its_callers_pass_its_state(
    serve: Serve, name: str
) -> None:
    case, client = Case(name), serve(name)
    state = None
    for step, observation in enumerate(case.observation):
        start = case.tensors["episode_start"][step].astype(bool)
        action, state = client.predict(observation, state, start, deterministic=True)
        same(action, case.action[step])


def test_a_state_is_passed_through_a_policy_without_memory(serve: Serve) -> None:
    client, case = serve("ppo_box"), Case("ppo_box")
    # Stable-Baselines3's evaluate_policy passes these to every model.
    action, state = client.predict(
        case.observation, state=None, episode_start=np.ones(32, bool), deterministic=True
    )
    same(action, case.action)
    assert state is None


def test_actions_may_be_written_to(serve: Serve) -> None:
    action, _ = serve("ppo_box").predict(Case("ppo_box").observation, deterministic=True)
    action *= 2.0


@pytest.mark.parametrize("dtype", ["f8", "f2", ">f4", "i2", "u2", "b1"])
def test_numbers_of_any_dtype_are_taken_as_stable_baselines_takes_them(
    serve: Serve, dtype: str
) -> None:
    client = serve("ppo_box")
    observation = np.array([[0, 1, 1, 0, 1, 0], [1, 0, 1, 1, 0, 0]], np.float32)
    expected, _ = client.predict(observation, deterministic=True)
    action, _ = client.predict(observation.astype(dtype), deterministic=True)
    np.testing.assert_array_equal(action, expected)
    listed, _ = client.predict(observation.tolist(), deterministic=True)
    np.testing.assert_array_equal(listed, expected)


def test_arrays_in_any_order_of_memory_are_read_right(serve: Serve) -> None:
    client, case = serve("ppo_discrete_grid"), Case("ppo_discrete_grid")
    turned = np.asfortranarray(case.observation)
    action, _ = client.predict(turned, deterministic=True)
    same(action, case.action)
    action, _ = client.predict(case.observation[::-2], deterministic=True)
    np.testing.assert_array_equal(action, case.action[::-2])


def test_images_may_have_their_channels_first_or_last(serve: Serve) -> None:
    client, case = serve("ppo_cnn_hwc"), Case("ppo_cnn_hwc")
    first = np.moveaxis(case.observation, -1, 1)
    action, _ = client.predict(first, deterministic=True)
    same(action, case.action)


def test_samples_differ_and_a_seed_repeats_them(serve: Serve) -> None:
    client = serve("ppo_box")
    observation = np.zeros(6, np.float32)
    drawn = {client.predict(observation)[0].tobytes() for _ in range(8)}
    assert len(drawn) == 8
    first, again = (client.infer(observation, seed=2**64 - 1) for _ in range(2))
    np.testing.assert_array_equal(first.action, again.action)
    assert first.seed == 2**64 - 1
