"""``on_timeout="hold"``: the last action goes on when none comes in time, and no other one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import Broker
from scripted import SILENCE, ScriptedWorker, action, error

from carla_rl_client import AsyncPolicyClient, Expired, NotAnswered, PolicyClient, Timeout

ZEROS = np.zeros(2, np.float32)


@pytest.fixture
def client(broker: Broker, scripted: ScriptedWorker) -> Any:
    with PolicyClient(broker.url, "scripted", timeout=0.5, on_timeout="hold") as client:
        yield client


def test_the_last_action_goes_on_and_says_so(client: PolicyClient, scripted: Any) -> None:
    scripted.script = [action(3), error("expired"), SILENCE, SILENCE, action(1)]
    answers = [client.infer(ZEROS) for _ in range(4)]
    assert [int(answer.action) for answer in answers] == [3, 3, 3, 1]
    assert [answer.held for answer in answers] == [False, True, True, False]
    assert answers[1].model_version is None


def test_there_is_nothing_to_hold_at_first(client: PolicyClient, scripted: Any) -> None:
    scripted.script = [error("expired")]
    with pytest.raises(Expired):
        client.predict(ZEROS)


def test_an_episode_does_not_begin_with_the_end_of_another(
    client: PolicyClient, scripted: Any
) -> None:
    scripted.script = [action(3), error("expired")]
    client.predict(ZEROS)
    with pytest.raises(Expired):
        client.predict(ZEROS, episode_start=np.array([True]))


def test_nothing_stands_in_for_other_rows(client: PolicyClient, scripted: Any) -> None:
    scripted.script = [action(3), error("expired")]
    client.predict(ZEROS)
    with pytest.raises(Expired):
        client.predict(np.zeros((1, 2)))


def test_no_thread_holds_the_action_of_another(client: PolicyClient, scripted: Any) -> None:
    scripted.script = [action(3), error("expired"), error("expired")]
    client.predict(ZEROS)
    with ThreadPoolExecutor(1) as threads, pytest.raises(NotAnswered):
        threads.submit(client.predict, ZEROS).result()
    assert client.predict(ZEROS)[0] == 3


def test_a_held_action_is_not_changed_by_who_was_handed_it(
    client: PolicyClient, scripted: Any
) -> None:
    scripted.script = [action(3), error("expired"), error("expired")]
    handed, _ = client.predict(ZEROS)
    handed[...] = 4
    again, _ = client.predict(ZEROS)
    again[...] = 4
    assert client.predict(ZEROS)[0] == 3


def test_an_error_that_would_come_again_is_not_held_over(
    client: PolicyClient, scripted: Any
) -> None:
    scripted.script = [action(3), error("invalid_value")]
    client.predict(ZEROS)
    with pytest.raises(ValueError, match="invalid_value"):
        client.predict(ZEROS)


def test_an_async_client_holds_too(broker: Broker, scripted: ScriptedWorker) -> None:
    scripted.script = [action(3), error("expired")]

    async def drive() -> list[int]:
        client = AsyncPolicyClient(broker.url, "scripted", timeout=5, on_timeout="hold")
        async with client:
            return [int((await client.predict(ZEROS))[0]) for _ in range(2)]

    assert asyncio.run(drive()) == [3, 3]


def test_without_hold_a_timeout_is_raised(broker: Broker, scripted: ScriptedWorker) -> None:
    scripted.script = [action(3), SILENCE, SILENCE]
    with PolicyClient(broker.url, "scripted", timeout=0.5) as client:
        client.predict(ZEROS)
        with pytest.raises(Timeout):
            client.predict(ZEROS)
