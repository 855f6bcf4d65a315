"""Threads, child processes, event loops and interrupts: from wherever it is used."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE, Broker, Pool, Serve, wait_for
from reference import Case
from scripted import ScriptedWorker

from carla_rl_client import AsyncPolicyClient, NoWorkers, PolicyClient


def test_threads_get_their_own_actions(serve: Serve) -> None:
    client, case = serve("ppo_box"), Case("ppo_box")

    def drive(row: int) -> None:
        for _ in range(40):
            action, _ = client.predict(case.observation[row], deterministic=True)
            np.testing.assert_allclose(action, case.action[row], rtol=1e-5, atol=1e-5)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(drive, range(8)))
    # And one alone again, after the keeper had the loop.
    drive(3)


def ask(client: PolicyClient, results: Any) -> None:
    """In a child process."""
    observation = Case("ppo_box").observation
    results.put((os.getpid(), client.predict(observation, deterministic=True)[0]))
    client.close()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes_connect_by_themselves(serve: Serve, method: str) -> None:
    client, case = serve("ppo_box"), Case("ppo_box")
    client.predict(case.observation)
    processes: Any = multiprocessing.get_context(method)
    results = processes.Queue()
    children = [processes.Process(target=ask, args=(client, results)) for _ in range(3)]
    for child in children:
        child.start()
    answers = [results.get(timeout=PATIENCE) for _ in children]
    for child in children:
        child.join(PATIENCE)
        assert child.exitcode == 0
    assert len({pid for pid, _ in answers}) == 3
    for _, action in answers:
        np.testing.assert_allclose(action, case.action, rtol=1e-5, atol=1e-5)
    # The parent's own connection is as it was.
    client.predict(case.observation)


def test_a_copy_knows_the_spec_before_it_connects(pool: Pool) -> None:
    worker = pool.start("ppo_obs_discrete")
    pool.client("ppo_obs_discrete")
    client = pool.client("ppo_obs_discrete", wait_for_workers=0.0)
    copy = pickle.loads(pickle.dumps(client))
    worker.stop()
    assert repr(copy.spec) == repr(client.spec)
    with pytest.raises(NoWorkers):
        copy.predict(0)


def test_a_closed_client_connects_anew(serve: Serve) -> None:
    client = serve("ppo_box")
    client.close()
    client.close()
    client.predict(np.zeros(6))


def test_it_works_where_a_loop_runs_already_as_in_a_notebook(serve: Serve) -> None:
    client, case = serve("ppo_box"), Case("ppo_box")

    async def cell() -> Any:
        return client.predict(case.observation, deterministic=True)[0]

    np.testing.assert_allclose(asyncio.run(cell()), case.action, rtol=1e-5, atol=1e-5)


def test_many_calls_at_once_on_one_loop(broker: Broker, serve: Serve) -> None:
    case = Case("ppo_box")
    serve("ppo_box")

    async def drive() -> list[Any]:
        async with AsyncPolicyClient(broker.url, "ppo_box", timeout=PATIENCE) as client:
            assert client.action_space.shape == (2,)
            asked = [client.predict(row, deterministic=True) for row in case.observation]
            return [action for action, _ in await asyncio.gather(*asked)]

    np.testing.assert_allclose(np.array(asyncio.run(drive())), case.action, rtol=1e-5, atol=1e-5)


def test_an_async_client_connects_at_its_first_call(broker: Broker, serve: Serve) -> None:
    serve("recurrent_ppo")

    async def drive() -> None:
        client = AsyncPolicyClient(broker.url, "recurrent_ppo", timeout=PATIENCE)
        with pytest.raises(RuntimeError, match="connect"):
            _ = client.spec
        # Both at once: one connection is enough.
        await asyncio.gather(client.predict(np.zeros(4)), client.predict(np.zeros(4)))
        _, state = await client.predict(np.zeros((2, 4)))
        assert state is not None
        assert state.rows == 2
        await client.close()

    asyncio.run(drive())


def test_an_idle_client_notices_that_the_broker_went_and_came(
    own_broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    worker = ScriptedWorker(own_broker.url)
    client = PolicyClient(own_broker.url, "scripted", timeout=PATIENCE)
    own_broker.stop()
    wait_for(lambda: "is lost" in caplog.text, "the client to notice, without a call")
    own_broker.start()
    wait_for(lambda: "is back" in caplog.text, "the client to connect, without a call")
    client.close()
    worker.stop()


PROGRAM = """
import sys
import numpy as np
from carla_rl_client import PolicyClient

client = PolicyClient(sys.argv[1], "ppo_box", timeout=30)
print(client.predict(np.zeros(6), deterministic=True)[0].shape)
"""


def run(program: str, url: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", program, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_a_program_that_does_not_close_its_client_ends_quietly(
    broker: Broker, serve: Serve
) -> None:
    serve("ppo_box")
    ended = run(PROGRAM, broker.url)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "(2,)\n", "")


def test_it_does_without_gymnasium_but_for_its_spaces(broker: Broker, serve: Serve) -> None:
    serve("ppo_box")
    without = "import sys\nsys.modules['gymnasium'] = None\n" + PROGRAM
    ended = run(without + "client.observation_space\n", broker.url)
    assert ended.stdout == "(2,)\n"
    assert "ImportError: the spaces of Gymnasium need the package gymnasium" in ended.stderr
