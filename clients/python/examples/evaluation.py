"""What an evaluation counts, and how it tells it: a table for people, an object for programs."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

if TYPE_CHECKING:
    import gymnasium as gym

    from carla_rl_client import PolicyClient

#: Seconds between two lines of progress where there is no terminal to write over.
_PROGRESS_EVERY = 5.0


@dataclass(frozen=True)
class Episode:
    """One episode from its reset to its end."""

    #: Of the reset.
    seed: int
    #: Sum of the rewards, not discounted.
    total: float
    #: Steps.
    length: int
    #: Whether the environment ended it (a crash, a fall) rather than its time limit.
    failed: bool


@dataclass
class Evaluation:
    """Episodes of one policy, and the requests that they took."""

    #: Model, version and weights, as the pool names them.
    policy: str
    environment: str
    #: What it is called that ends an episode too early, like "crashed".
    failure: str
    episodes: list[Episode] = field(default_factory=list)
    #: Of each request, from its sending to its reply's arrival, µs.
    round_trips_us: list[float] = field(default_factory=list)
    #: Observations in all requests together.
    rows: int = 0
    #: Wall clock, s.
    seconds: float = 0.0

    def add(self, episode: Episode, round_trips_us: list[float]) -> None:
        """An episode of which each observation was a request."""
        self.episodes.append(episode)
        self.round_trips_us += round_trips_us
        self.rows += len(round_trips_us)

    def mean_return(self) -> float:
        return float(np.mean([episode.total for episode in self.episodes]))

    def standard_error(self) -> float:
        """Of the mean return; NaN for a single episode."""
        totals = [episode.total for episode in self.episodes]
        if len(totals) < 2:
            return math.nan
        return float(np.std(totals, ddof=1)) / math.sqrt(len(totals))

    def round_trip_us(self, percentile: float) -> float:
        return float(np.percentile(self.round_trips_us, percentile))

    def failures(self) -> int:
        return sum(episode.failed for episode in self.episodes)

    def table(self) -> str:
        """A line for each episode, in the order of the seeds, then what they come to."""
        lines = [f"{self.policy} in {self.environment}", "   seed   return   steps  end"]
        for one in sorted(self.episodes, key=lambda episode: episode.seed):
            end = self.failure if one.failed else "time"
            lines.append(f"{one.seed:7d} {one.total:8.2f} {one.length:7d}  {end}")
        requests = len(self.round_trips_us)
        p50, p99 = (self.round_trip_us(percentile) for percentile in (50, 99))
        count = len(self.episodes)
        error = f" ± {self.standard_error():.2f} (standard error)" if count > 1 else ""
        return "\n".join(
            [
                *lines,
                f"mean return  {self.mean_return():.2f}{error}",
                f"{self.failure:12} {self.failures()} of {count}",
                f"requests     {requests}, {self.rows / requests:.1f} rows each,"
                f" in {self.seconds:.1f} s",
                f"round trip   p50 {p50:.0f} µs, p99 {p99:.0f} µs",
            ]
        )

    def to_json(self) -> str:
        """One object; times in µs and s."""
        summary: dict[str, Any] = {
            "policy": self.policy,
            "environment": self.environment,
            "mean_return": self.mean_return(),
            "standard_error": self.standard_error() if len(self.episodes) > 1 else None,
            self.failure: self.failures(),
            "requests": len(self.round_trips_us),
            "rows": self.rows,
            "seconds": self.seconds,
            "round_trip_us": {f"p{at}": self.round_trip_us(at) for at in (50, 99)},
            "episodes": [asdict(episode) for episode in self.episodes],
        }
        return json.dumps(summary)


class Progress:
    """How far it is, on standard error: one line that is written over, on a terminal."""

    def __init__(self, episodes: int) -> None:
        self._episodes = episodes
        self._said = time.monotonic()
        self._is_open = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_open:
            print(file=sys.stderr)

    def tell(self, evaluation: Evaluation) -> None:
        done = len(evaluation.episodes)
        line = f"{done}/{self._episodes} episodes, mean return {evaluation.mean_return():.2f}"
        if sys.stderr.isatty():
            self._is_open = True
            print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)
        elif time.monotonic() - self._said > _PROGRESS_EVERY:
            self._said = time.monotonic()
            print(line, file=sys.stderr, flush=True)


def arguments(summary: str, model: str, episodes: int) -> argparse.ArgumentParser:
    """The flags that every evaluation has."""
    parser = argparse.ArgumentParser(description=summary)
    add = parser.add_argument
    add("--url", default="nats://127.0.0.1:4222", help="broker [%(default)s]")
    add("--model", default=model, help="name of the model [%(default)s]")
    add("--prefix", default="policy", help="of the subjects [%(default)s]")
    add("--episodes", type=positive, default=episodes, help="[%(default)s]")
    add("--seed", type=int, default=0, help="of the first episode [%(default)s]")
    add("--sample", action="store_true", help="sample, not the best action")
    add("--json", action="store_true", help="one object in place of the table")
    add("--gif", type=writable, metavar="FILE", help="film episodes")
    add("--png", type=writable, metavar="FILE", help="a sheet of frames")
    add("--rendered", type=positive, default=1, help="the first so many episodes [%(default)s]")
    return parser


def positive(text: str) -> int:
    """A count of at least one."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected 1 or more, got {number}")
    return number


def writable(text: str) -> str:
    """A file that can be written once the episodes are over."""
    folder = Path(text).resolve().parent
    if Path(text).is_dir() or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} can't be written")
    return text


def describe(client: PolicyClient) -> str:
    """The policy that a pool serves."""
    spec = client.spec
    return f"{spec.model} {spec.model_version} ({spec.weights})"


def play(
    client: PolicyClient,
    env: gym.Env[Any, Any],
    seed: int,
    *,
    deterministic: bool,
    round_trips_us: Optional[list[float]] = None,
) -> Episode:
    """One episode, an observation a request, whose round trips are added to ``round_trips_us``."""
    observation, _ = env.reset(seed=seed)
    total, length, ended, failed = 0.0, 0, False, False
    while not ended:
        reply = client.infer(observation, deterministic=deterministic)
        observation, reward, failed, truncated, _ = env.step(int(reply.action))
        total, length, ended = total + float(reward), length + 1, failed or truncated
        if round_trips_us is not None:
            round_trips_us.append(reply.round_trip_us)
    return Episode(seed, total, length, failed)
