"""A broker and workers of one's own on this machine, for as long as a program runs."""

from __future__ import annotations

import http.client
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType
from typing import Callable, Optional

ROOT = Path(__file__).resolve().parents[3]
#: For a broker or a worker to be there, s.
_START = 20.0


class NotStarted(Exception):
    """A program is missing, or did not do what it was started for; why."""


def executable(name: str, remedy: str) -> str:
    """The whole path of a program: of a file, or of a name on the path."""
    found = shutil.which(name)
    if not found:
        raise NotStarted(f"there is no program {name}: {remedy}")
    return str(Path(found).resolve())


def nats_server() -> str:
    """The environment's, the clone's, or that on the path."""
    fetched = ROOT / ".tools/bin/nats-server"
    there = str(fetched) if fetched.exists() else "nats-server"
    name = os.environ.get("NATS_SERVER_BIN") or there
    return executable(name, "scripts/nats-server fetches one; NATS_SERVER_BIN may name it")


class LocalPool:
    """A nats-server and workers that serve one model; all of them end with the ``with`` block."""

    def __init__(self, carla_rl: str, artifacts: Path, model: str, size: int) -> None:
        """``size``: workers. Artifacts are read from, and logs written to, ``artifacts``."""
        self._carla_rl = carla_rl
        self._artifacts = artifacts
        self._model = model
        self._size = size
        self._log = artifacts / "pool.log"
        self._port = free_port()
        self._broker: Optional[subprocess.Popen[bytes]] = None
        self._serving: list[subprocess.Popen[bytes]] = []
        #: Of earlier versions, and not yet drained.
        self._former: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self._port}"

    def __enter__(self) -> LocalPool:
        try:
            self._broker = self._start([nats_server(), "-a", "127.0.0.1", "-p", str(self._port)])
            self._await_broker(self._broker)
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        value: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        self._end()

    def start(self, version: str) -> None:
        """Adds workers with this version; they are ready when it returns."""
        self._former += self._serving
        self._serving = []
        ports = [free_port() for _ in range(self._size)]
        for port in ports:
            self._serving.append(self._start_worker(version, port))
        for worker, port in zip(self._serving, ports):
            self._await_worker(worker, port)

    def drain(self) -> None:
        """Has all workers of earlier versions answer what is on its way to them, and end.

        About a second: until nothing comes any more, they take requests.
        """
        for worker in self._former:
            worker.terminate()
        for worker in self._former:
            worker.wait()
        self._former = []

    def _start(self, command: list[str], **environment: str) -> subprocess.Popen[bytes]:
        try:
            with self._log.open("ab") as log:
                # A session of its own: Ctrl-C at the terminal reaches this program alone, which
                # then ends the workers before the broker.
                return subprocess.Popen(
                    command,
                    cwd=self._artifacts,
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as problem:
            raise NotStarted(f"{command[0]} can't be started: {problem.strerror}") from problem

    def _start_worker(self, version: str, port: int) -> subprocess.Popen[bytes]:
        command = [self._carla_rl, "worker", "--nats-url", self.url, "--model", self._model]
        command += ["--model-version", version, "--artifacts", str(self._artifacts)]
        return self._start(command, SERVER_PORT=str(port))

    def _await_broker(self, broker: subprocess.Popen[bytes]) -> None:
        def listens() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self._port)) == 0

        self._await(broker, "the broker", listens)

    def _await_worker(self, worker: subprocess.Popen[bytes], port: int) -> None:
        def ready() -> bool:
            page = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
            try:
                page.request("GET", "/readyz")
                return page.getresponse().status == 200
            except (OSError, http.client.HTTPException):
                return False
            finally:
                page.close()

        self._await(worker, "a worker", ready)

    def _await(
        self, process: subprocess.Popen[bytes], what: str, is_there: Callable[[], bool]
    ) -> None:
        until = time.monotonic() + _START
        while not is_there():
            if process.poll() is not None or time.monotonic() > until:
                raise NotStarted(f"{what} did not come up: {self._last_words()}")
            time.sleep(0.01)

    def _last_words(self) -> str:
        said = self._log.read_text(errors="replace").split("\n")
        return next((line for line in reversed(said) if line.strip()), "it says nothing")

    def _end(self) -> None:
        """The broker last: without it workers could not send what they have computed."""
        self._former += self._serving
        try:
            self.drain()
        finally:
            # Those for which a second Ctrl-C does not wait.
            for worker in self._former:
                worker.kill()
            if self._broker:
                self._broker.terminate()
                self._broker.wait()


def free_port() -> int:
    """One that nobody listens at now, on the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
