"""Trains a policy whose every action comes from a pool of workers, and rolls the pool as it learns.

    python clients/python/examples/train_through_pool.py

PPO in CartPole-v1, the learner in NumPy. An iteration collects steps with the version that the
pool serves, learns from them, publishes the new weights as the next version, starts workers with
it, and drains the old ones. Broker and workers are its own, on free ports of this machine.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Optional

# Products as small as the learner's take ten times as long if threads share them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

try:
    import numpy as np
    from actor_critic import ActorCritic
    from evaluation import positive
    from local_pool import ROOT, LocalPool, NotStarted, executable
    from publisher import Publisher
    from rollout import Rollout, Simulators

    from carla_rl_client import PolicyClient, PolicyError
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"the package {missing.name} is missing: pip install ./clients/python gymnasium"
    ) from None

ENVIRONMENT = "CartPole-v1"
MODEL = "cartpole-numpy"
DESCRIPTION = "Balances the pole of CartPole-v1. Trained through a pool, in NumPy."
#: Widths of the hidden layers, of the policy's branch and of the value's.
HIDDEN = [64, 64]
EPOCHS, MINIBATCH = 10, 256
#: While the pool is of two versions, a request may meet the wrong one so many times.
RETRIES = 30
HEAD = "iteration  version  rolling  collecting  episodes  mean return  log-prob off  learning"


@dataclass
class Stopwatch:
    """Seconds spent on each kind of work."""

    spent: dict[str, float] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)

    def lap(self, work: str) -> float:
        """Books the time since the last lap, and returns it."""
        now = time.monotonic()
        took, self.since = now - self.since, now
        self.spent[work] = self.spent.get(work, 0.0) + took
        return took


class Training:
    """A learner, its simulators, and the pool through which they meet."""

    def __init__(self, given: argparse.Namespace, pool: LocalPool, publisher: Publisher) -> None:
        self._pool = pool
        self._publisher = publisher
        self._simulators = Simulators(ENVIRONMENT, given.environments, given.seed)
        self._learner = ActorCritic(4, 2, HIDDEN, given.seed)
        self._steps = given.steps
        self._watch = Stopwatch()
        self._round_trips_us: list[float] = []

    def run(self, iterations: int, target: float) -> bool:
        """Whether the mean return of an iteration's episodes reached the target."""
        print(HEAD)
        seen = self._simulators.observations
        for iteration in range(1, iterations + 1):
            version = f"0.{iteration}.0"
            with self._roll(version, seen) as client:
                say(f"{iteration:9}  {version:7}  {self._watch.lap('rolling'):5.2f} s")
                rollout = self._simulators.collect(client, self._steps)
            self._round_trips_us += rollout.round_trips_us
            mean = float(np.mean(rollout.returns)) if rollout.returns else math.nan
            say(f"  {self._watch.lap('collecting'):8.2f} s  {len(rollout.returns):8}  {mean:11.1f}")
            say(f"  {self._disagreement(rollout):12.1e}")
            if mean >= target:
                print(f"\nversion {version} has reached a mean return of {target:g}")
                return True
            batch = rollout.batch()
            self._learner.learn(batch, EPOCHS, MINIBATCH)
            # As many as a request has, from all over the iteration.
            seen = batch.observations[:: self._steps]
            print(f"  {self._watch.lap('learning'):6.2f} s")
        return False

    def summary(self) -> str:
        """What it took."""
        requests = len(self._round_trips_us)
        p50, p99 = np.percentile(self._round_trips_us, (50, 99))
        work = ", ".join(f"{work} {seconds:.1f} s" for work, seconds in self._watch.spent.items())
        return (
            f"{work}\n"
            f"{requests * len(self._simulators.observations)} steps in {requests} requests,"
            f" round trip p50 {p50:.0f} µs, p99 {p99:.0f} µs"
        )

    @contextmanager
    def _roll(self, version: str, observations: np.ndarray) -> Iterator[PolicyClient]:
        """Publishes the present weights and has the pool serve them: a client that insists on
        them. Whoever else asks the pool meanwhile gets an answer."""
        self._publisher.publish(self._learner, version, observations)
        self._pool.start(version)
        # For a moment both versions serve. A worker of the other one refuses a request that
        # names this one, and the client asks again.
        with PolicyClient(self._pool.url, MODEL, model_version=version, retries=RETRIES) as client:
            client.infer(observations)
            self._pool.drain()
            yield client

    def _disagreement(self, rollout: Rollout) -> float:
        """The largest difference between the log-probs of the pool and those of the learner.

        Both compute the same weights in f4, so it is rounding, unless the import went wrong.
        """
        batch = rollout.batch()
        own = self._learner.log_probs(batch.observations, batch.actions)
        return float(np.abs(own - batch.log_probs).max())


def say(part: str) -> None:
    """Part of a line."""
    print(part, end="", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    add = parser.add_argument
    add("--target", type=float, default=475.0, help="mean return at which it ends [%(default)s]")
    add("--iterations", type=positive, default=60, help="at most [%(default)s]")
    add("--environments", type=positive, default=32, help="rows of a request [%(default)s]")
    add("--steps", type=positive, default=128, help="of each, an iteration [%(default)s]")
    add("--workers", type=positive, default=1, help="in the pool [%(default)s]")
    add("--seed", type=int, default=0, help="[%(default)s]")
    add("--artifacts", metavar="DIR", help="where to keep the versions [nowhere]")
    add("--carla-rl", default=str(ROOT / "target/release/carla-rl"), help="[%(default)s]")
    return parser.parse_args()


def run(given: argparse.Namespace, artifacts: Path) -> bool:
    carla_rl = executable(given.carla_rl, "cargo build --release makes it; --carla-rl may name it")
    publisher = Publisher(carla_rl, artifacts, MODEL, DESCRIPTION)
    with LocalPool(carla_rl, artifacts, MODEL, given.workers) as pool:
        training = Training(given, pool, publisher)
        reached = training.run(given.iterations, given.target)
        print(training.summary())
    return reached


def terminated(_signal: int, _frame: Optional[FrameType]) -> None:
    """SIGTERM ends it as Ctrl-C does, so that broker and workers end, too."""
    raise KeyboardInterrupt


def main() -> None:
    signal.signal(signal.SIGTERM, terminated)
    given = arguments()
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(given.artifacts or scratch).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            reached = run(given, folder)
    except (PolicyError, NotStarted) as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        print()
        sys.exit(130)
    if not reached:
        sys.exit(f"a mean return of {given.target:g} was not reached")


if __name__ == "__main__":
    main()
