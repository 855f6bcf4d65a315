"""``infer`` says all that a reply says, whatever way the rows went."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Artifacts, Broker, Pool, Serve
from reference import Case, row

from carla_rl_client import InvalidShape, TooLarge


def test_what_was_wanted_comes_back_with_its_shape(serve: Serve) -> None:
    case = Case("ppo_box")
    answer = serve("ppo_box").infer(
        case.observation, want=("value", "log_prob", "raw_action"), deterministic=True
    )
    assert answer.value is not None
    assert answer.log_prob is not None
    assert answer.raw_action is not None
    np.testing.assert_allclose(answer.value, case.tensors["value"], rtol=1e-5, atol=1e-5)
    assert answer.log_prob.shape == (32,)
    assert answer.raw_action.shape == case.action.shape
    assert answer.probs is None


def test_q_values_and_probabilities_come_back(serve: Serve) -> None:
    case = Case("dqn")
    answer = serve("dqn").infer(case.observation, want=["q_values"], deterministic=True)
    assert answer.q_values is not None
    np.testing.assert_allclose(answer.q_values, case.tensors["q_values"], rtol=1e-5, atol=1e-5)
    probs = serve("ppo_discrete_grid").infer(np.zeros((5, 5)), want=["probs"]).probs
    assert probs is not None
    np.testing.assert_allclose(probs.sum(), 1.0, rtol=1e-5)


def test_who_answered_and_where_the_time_went_is_told(serve: Serve) -> None:
    client = serve("ppo_box")
    answer = client.infer(np.zeros((3, 6)), deterministic=True)
    assert answer.model_version == "0.1.0"
    assert answer.weights == client.spec.weights
    assert answer.worker == client.spec.worker
    assert answer.batch_rows == 3
    assert answer.round_trip_us >= answer.queue_us + answer.compute_us
    assert answer.attempts == 1
    assert (answer.seed, answer.held) == (None, False)


def test_rows_beyond_a_workers_limit_are_split_and_joined(pool: Pool) -> None:
    pool.start("ppo_dict", LIMITS_REQUEST_ROWS="3")
    client, case = pool.client("ppo_dict"), Case("ppo_dict")
    answer = client.infer(case.observation, want=["value"], deterministic=True)
    assert [part.rows for part in answer.parts] == [3, 3, 2]
    assert answer.value is not None
    np.testing.assert_allclose(answer.action, case.action, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(answer.value, case.tensors["value"], rtol=1e-5, atol=1e-5)


def test_split_rows_of_a_recurrent_policy_keep_their_memory(pool: Pool) -> None:
    pool.start("recurrent_ppo", LIMITS_REQUEST_ROWS="4")
    client, case, state = pool.client("recurrent_ppo"), Case("recurrent_ppo"), None
    for step, observation in enumerate(case.observation):
        start = case.tensors["episode_start"][step]
        action, state = client.predict(observation, state, start, deterministic=True)
        np.testing.assert_array_equal(action, case.action[step])
    with pytest.raises(InvalidShape, match="state is of other rows"):
        client.predict(case.observation[0][:3], state, deterministic=True)


def test_split_rows_of_one_seed_draw_apart_and_again(pool: Pool) -> None:
    pool.start("ppo_box", LIMITS_REQUEST_ROWS="2")
    client = pool.client("ppo_box")
    first, again = (client.infer(np.zeros((6, 6)), seed=5) for _ in range(2))
    np.testing.assert_array_equal(first.action, again.action)
    assert len(np.unique(first.action, axis=0)) == 6


def test_a_reply_that_is_too_large_makes_smaller_requests(
    tmp_path: Path, artifacts: Artifacts
) -> None:
    # Requests of 2048 bytes fit, but not the memory that comes back with 50 rows.
    configuration = tmp_path / "nats.conf"
    configuration.write_text("max_payload: 4096\n")
    broker = Broker(tmp_path, "-c", str(configuration))
    pool = Pool(broker, artifacts)
    try:
        pool.start("recurrent_ppo")
        client, case = pool.client("recurrent_ppo"), Case("recurrent_ppo")
        rows = np.tile(case.observation[0], (20, 1))
        first = client.infer(rows, deterministic=True)
        assert len(first.parts) > 1
        np.testing.assert_array_equal(first.action, np.tile(case.action[0], 20))
        second = client.infer(rows, state=first.state, deterministic=True)
        assert [part.rows for part in second.parts] == [part.rows for part in first.parts]
    finally:
        pool.end()
        broker.stop()


def test_one_observation_that_is_too_large_is_refused_with_both_limits(pool: Pool) -> None:
    pool.start("ppo_cnn_hwc", LIMITS_REQUEST_BYTES="4096")
    client, case = pool.client("ppo_cnn_hwc"), Case("ppo_cnn_hwc")
    with pytest.raises(TooLarge, match=r"limits\.request_bytes of the worker is 4096"):
        client.predict(case.observation, deterministic=True)
    with pytest.raises(TooLarge):
        client.predict(row(case.observation, 0), deterministic=True)
