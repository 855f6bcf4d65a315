"""Connections that are closed, forbidden, half open or given up."""

from __future__ import annotations

import asyncio
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE, Broker, Pool, Serve, wait_for
from proxy import Proxy
from scripted import SILENCE, ScriptedWorker

from carla_rl_client import (
    AsyncPolicyClient,
    Forbidden,
    NotAnswered,
    NoWorkers,
    PolicyClient,
    Timeout,
    Unreachable,
)

ZEROS = np.zeros(2)


def test_a_close_ends_the_calls_of_other_threads_and_no_later_one(serve: Serve) -> None:
    client = serve("ppo_box")
    ended = []

    def drive() -> None:
        for _ in range(300):
            try:
                client.predict(np.zeros(6))
            except Unreachable as problem:
                ended.append(str(problem))

    with ThreadPoolExecutor(4) as threads:
        drives = [threads.submit(drive) for _ in range(4)]
        for _ in range(20):
            client.close()
            time.sleep(0.01)
        for done in drives:
            done.result()
    assert set(ended) <= {"the client was closed"}
    client.predict(np.zeros(6))


def test_what_the_broker_forbids_is_said_at_once(tmp_path: Path) -> None:
    rules = tmp_path / "nats.conf"
    rules.write_text(
        """
        accounts: { A: { users: [
          { user: worker, password: w }
          { user: deaf, password: d, permissions: { subscribe: { deny: ["_INBOX.>"] } } }
          { user: mute, password: m, permissions: { publish: { deny: ["*.v1.infer.>"] } } }
        ] } }
        """
    )
    broker = Broker(tmp_path, "-c", str(rules))
    address = broker.url.replace("nats://", "nats://{}@")
    worker = ScriptedWorker(address.format("worker:w"))
    try:
        with pytest.raises(Forbidden, match="lets nobody answer"):
            PolicyClient(address.format("deaf:d"), "scripted", timeout=PATIENCE)
        mute = PolicyClient(address.format("mute:m"), "scripted", timeout=PATIENCE)
        with mute, pytest.raises(Forbidden, match="publish"):
            mute.predict(ZEROS)
    finally:
        worker.stop()
        broker.stop()


def test_a_login_that_is_refused_for_a_while_does_no_lasting_harm(tmp_path: Path) -> None:
    broker = Broker(tmp_path)
    options: Any = {"timeout": 0.5, "wait_for_workers": PATIENCE}
    worker = ScriptedWorker(broker.url)
    client = PolicyClient(broker.url, "scripted", **options)
    broker.restart("--auth", "secret")
    # Until the library gives the connection up for good.
    for _ in range(4):
        with pytest.raises(NotAnswered):
            client.predict(ZEROS)
    broker.restart()
    worker.stop()
    worker = ScriptedWorker(broker.url)
    assert client.predict(ZEROS)[0] == 0
    client.close()
    worker.stop()
    broker.stop()


def test_a_connection_that_went_dead_without_a_word_is_replaced(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    proxy = Proxy(int(broker.url.rsplit(":", 1)[1]))
    client = PolicyClient(proxy.url, "scripted", timeout=1.0)
    client.predict(ZEROS)
    proxy.swallow()
    with pytest.raises(Timeout):
        client.predict(ZEROS)
    assert client.predict(ZEROS)[0] == 0
    client.close()
    proxy.stop()


def test_many_calls_that_find_a_dead_connection_share_the_next_one(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    proxy = Proxy(int(broker.url.rsplit(":", 1)[1]))

    async def drive() -> list[Any]:
        async with AsyncPolicyClient(proxy.url, "scripted", timeout=1.0) as client:
            proxy.swallow()
            calls = [client.predict(ZEROS) for _ in range(8)]
            lost = await asyncio.gather(*calls, return_exceptions=True)
            assert {type(problem) for problem in lost} == {Timeout}
            return await asyncio.gather(*(client.predict(ZEROS) for _ in range(8)))

    assert [int(action) for action, _ in asyncio.run(drive())] == [0] * 8
    proxy.stop()


def test_rows_are_split_so_that_their_state_fits_the_next_request(pool: Pool) -> None:
    pool.start("recurrent_ppo", LIMITS_REQUEST_BYTES="3000")
    client, state = pool.client("recurrent_ppo"), None
    for _ in range(2):
        action, state = client.predict(np.zeros((100, 4)), state, deterministic=True)
        assert action.shape == (100,)


def test_a_client_that_can_not_connect_leaves_nothing_behind(broker: Broker) -> None:
    async def drive() -> int:
        for _ in range(3):
            with pytest.raises(NoWorkers):
                async with AsyncPolicyClient(broker.url, "nobody"):
                    pass
        return len(asyncio.all_tasks())

    assert asyncio.run(drive()) == 1


def test_closing_an_async_client_ends_its_calls(broker: Broker, scripted: ScriptedWorker) -> None:
    async def drive() -> None:
        client = await AsyncPolicyClient(broker.url, "scripted", timeout=PATIENCE).connect()
        scripted.script = [SILENCE]
        call = asyncio.ensure_future(client.predict(ZEROS))
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, wait_for, lambda: scripted.requests, "the request")
        await client.close()
        with pytest.raises(Unreachable, match="was closed"):
            await call

    asyncio.run(drive())


def test_an_async_client_goes_along_to_another_loop(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    client = AsyncPolicyClient(broker.url, "scripted", timeout=PATIENCE)
    for _ in range(2):
        action, _ = asyncio.run(client.predict(ZEROS))
        assert action == 0


def options_of_a_process() -> Any:
    return {"name": "a simulator"}


def test_options_of_the_library_may_be_made_in_each_process(
    broker: Broker, scripted: ScriptedWorker
) -> None:
    client = PolicyClient(
        broker.url, "scripted", timeout=PATIENCE, nats_options=options_of_a_process
    )
    copy = pickle.loads(pickle.dumps(client))
    assert copy.predict(ZEROS)[0] == 0
    copy.close()
    client.close()
