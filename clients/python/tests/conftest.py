"""A broker and workers for the tests: the real programs, on free ports of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest
from scripted import ScriptedWorker

from carla_rl_client import PolicyClient

ROOT = Path(__file__).resolve().parents[3]
POLICIES = ROOT / "tests/data/policies"
BINARY = Path(os.environ.get("CARLA_RL_BIN", str(ROOT / "target/debug/carla-rl")))
NATS_SERVER = os.environ.get("NATS_SERVER_BIN", "nats-server")
#: How long a condition is waited for before a test fails, s.
PATIENCE = 30.0


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true answer of ``condition``."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        answer = condition()
        if answer:
            return answer
        time.sleep(0.01)
    raise AssertionError(f"waited {PATIENCE} s in vain for {what}")


class Broker:
    """A nats-server."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder, self._arguments = folder, arguments
        self._port = -1
        self.start()

    def start(self) -> None:
        """On the port that it had before, if it had one."""
        command = [NATS_SERVER, "-a", "127.0.0.1", "-p", str(self._port)]
        command += ["--ports_file_dir", str(self._folder), *self._arguments]
        with open(self._folder / "nats-server.log", "ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        ports = self._folder / f"nats-server_{self._process.pid}.ports"
        written = wait_for(lambda: ports.exists() and ports.read_text(), "the broker")
        (self.url,) = json.loads(written)["nats"]
        self._port = int(self.url.rsplit(":", 1)[1])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    def restart(self, *arguments: str) -> None:
        """With other arguments."""
        self.stop()
        self._arguments = arguments
        self.start()


class Worker:
    """A worker that serves one model."""

    def __init__(self, broker: Broker, artifacts: Path, model: str, **environment: str) -> None:
        command = [str(BINARY), "worker", "--nats-url", broker.url]
        command += ["--model", model, "--artifacts", str(artifacts)]
        surroundings = {**os.environ, "SERVER_PORT": "0", "LOGGING_LEVEL": "warn", **environment}
        self.process = subprocess.Popen(command, env=surroundings)

    def stop(self) -> None:
        """Drains it."""
        self.process.terminate()
        self.process.wait(PATIENCE)


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One for all tests that need none of their own."""
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker
    broker.stop()


class Artifacts:
    """Reference checkpoints, imported when they are first asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, case: str) -> Path:
        """The root below which the model ``case`` is."""
        if (ROOT / "artifacts" / case).is_dir():
            return ROOT / "artifacts"
        if not (self.folder / case).is_dir():
            self._import(case)
        return self.folder

    def _import(self, case: str) -> None:
        command = [str(BINARY), "artifacts", "import", str(POLICIES / case / "model.zip")]
        command += ["--name", case, "--version", "0.1.0", "--out", str(self.folder)]
        if (POLICIES / case / "vec_normalize.pkl").exists():
            command += ["--vec-normalize", str(POLICIES / case / "vec_normalize.pkl")]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="session")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Artifacts:
    return Artifacts(tmp_path_factory.mktemp("artifacts"))


class Pool:
    """Workers and clients of one broker; all end with the test or the session."""

    def __init__(self, broker: Broker, artifacts: Artifacts) -> None:
        self.broker, self.artifacts = broker, artifacts
        self.workers: list[Worker] = []
        self._clients: list[PolicyClient] = []

    def start(self, model: str, **environment: str) -> Worker:
        worker = Worker(self.broker, self.artifacts.of(model), model, **environment)
        self.workers.append(worker)
        return worker

    def client(self, model: str, **options: Any) -> PolicyClient:
        """Waits for the workers to be there. The limit is generous: the machine may be busy."""
        options = {"timeout": PATIENCE, "wait_for_workers": PATIENCE, **options}
        client = PolicyClient(self.broker.url, model, **options)
        self._clients.append(client)
        return client

    def end(self) -> None:
        for client in self._clients:
            client.close()
        for worker in self.workers:
            worker.process.kill()
            worker.process.wait()


@pytest.fixture(scope="session")
def serve(broker: Broker, artifacts: Artifacts) -> Iterator[Callable[..., PolicyClient]]:
    """A client of a model, with a worker that all tests share."""
    shared = Pool(broker, artifacts)
    served: dict[str, Worker] = {}

    def client(model: str, **options: Any) -> PolicyClient:
        if model not in served:
            served[model] = shared.start(model)
        return shared.client(model, **options)

    yield client
    shared.end()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """For tests that stop it, or want no workers of other tests on it."""
    broker = Broker(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def pool(own_broker: Broker, artifacts: Artifacts) -> Iterator[Pool]:
    """For tests that want workers with settings of their own, or that stop them."""
    pool = Pool(own_broker, artifacts)
    yield pool
    pool.end()


@pytest.fixture
def scripted(broker: Broker) -> Iterator[ScriptedWorker]:
    """Answers by a script for the model ``scripted``."""
    worker = ScriptedWorker(broker.url)
    yield worker
    worker.stop()


Serve = Callable[..., PolicyClient]
