"""One process of a fleet: it drives an environment of highway-env with what a pool answers."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any, Optional

if TYPE_CHECKING:
    from carla_rl_client import PolicyClient

ENVIRONMENT = "highway-fast-v0"
#: What the policy was trained with: five vehicles, its own first, each with these.
OBSERVATION = {
    "type": "Kinematics",
    "vehicles_count": 5,
    "features": ["presence", "x", "y", "vx", "vy"],
    "absolute": False,
    "normalize": True,
}
#: How long a pool is waited for, s.
POOL_LIMIT = 30.0
#: The pause before a request that was not answered is sent anew, s.
PAUSE = 0.1


class Stop:
    """Whether a signal has asked this process to end."""

    def __init__(self) -> None:
        self.asked = False

    def listen(self, *signals: int) -> None:
        for number in signals:
            signal.signal(number, self._hear)

    def _hear(self, _number: int, _frame: object) -> None:
        self.asked = True


#: Of the module, so that a process that is forked has what its parent heard before.
STOP = Stop()


class Pace:
    """Steps at most so many times a second; without a rate as many as it can."""

    def __init__(self, hz: Optional[float]) -> None:
        self._period = 1.0 / hz if hz else 0.0
        self._due = 0.0

    def wait(self) -> None:
        """Until the next step is due."""
        now = time.monotonic()
        self._due = max(self._due + self._period, now)
        time.sleep(self._due - now)

    def is_late(self) -> bool:
        """Whether the step after this one is due already."""
        return self._period > 0.0 and time.monotonic() > self._due + self._period


class Driver:
    """An environment, a connection to the pool, and whom to tell."""

    def __init__(self, number: int, arguments: argparse.Namespace, reports: Connection) -> None:
        self.number = number
        self.arguments = arguments
        self.reports = reports
        self.pace = Pace(arguments.hz)

    def run(self) -> None:
        environment = make_environment()
        with self.connect() as client:
            client.check_env(environment)
            self.report(event="started")
            seed: Optional[int] = self.arguments.seed + self.number
            while not STOP.asked:
                self.drive(environment, client, seed)
                # The environment goes on with randomness of its own.
                seed = None

    def connect(self) -> PolicyClient:
        """Waits for a pool. Raises ``PolicyError``."""
        from carla_rl_client import NoWorkers, PolicyClient  # noqa: PLC0415

        deadline = time.monotonic() + POOL_LIMIT
        while True:
            try:
                return PolicyClient(
                    self.arguments.url,
                    self.arguments.model,
                    prefix=self.arguments.prefix,
                    env_id=f"highway-{os.getpid()}-{self.number}",
                )
            except NoWorkers:
                if STOP.asked or time.monotonic() > deadline:
                    raise
                time.sleep(PAUSE)

    def drive(self, environment: Any, client: PolicyClient, seed: Optional[int]) -> None:
        """One episode, unless it is cut short."""
        observation, _ = environment.reset(seed=seed)
        total, length, over = 0.0, 0, False
        while not over:
            self.pace.wait()
            if STOP.asked:
                return
            action = self.ask(client, observation)
            if action is None:
                continue
            observation, reward, terminated, truncated, info = environment.step(action)
            total, length, over = total + float(reward), length + 1, terminated or truncated
        crashed = bool(info["crashed"])
        self.report(event="episode", **{"return": total}, length=length, crashed=crashed)

    def ask(self, client: PolicyClient, observation: Any) -> Optional[int]:
        """The action, or ``None`` if there is none now: environments wait."""
        from carla_rl_client import NotAnswered  # noqa: PLC0415

        try:
            answer = client.infer(observation, deterministic=True)
        except NotAnswered as problem:
            self.report(event="error", code=problem.code)
            time.sleep(PAUSE)
            return None
        self.report(
            event="reply",
            round_trip_us=int(answer.round_trip_us),
            batch_rows=answer.batch_rows,
            late=self.pace.is_late(),
        )
        return int(answer.action)

    def report(self, **event: Any) -> None:
        self.reports.send({**event, "process": self.number})


def make_environment() -> Any:
    import gymnasium  # noqa: PLC0415
    import highway_env  # noqa: F401, PLC0415 - its import makes the environments known

    return gymnasium.make(ENVIRONMENT, config={"observation": OBSERVATION})


def run_driver(
    number: int, arguments: argparse.Namespace, reader: Connection, reports: Connection
) -> None:
    """What each process runs."""
    STOP.listen(signal.SIGTERM)
    # Else nobody would notice that the first process is gone.
    reader.close()
    driver = Driver(number, arguments, reports)
    try:
        driver.run()
    except BrokenPipeError:
        sys.exit(1)
    except Exception as problem:
        if not STOP.asked:
            driver.report(event="failed", why=f"{type(problem).__name__}: {problem}")
            sys.exit(1)
