"""Evaluates highway-ppo in highway-env, with as many processes as you like over one broker.

    carla-rl worker --model highway-ppo &
    python clients/python/examples/evaluate_highway.py --episodes 24 --png highway.png

Each process has an environment and a connection of its own; the pool computes together what they
ask at the same time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

# pygame draws into memory, without a window. (Its driver "dummy" would make highway-env draw
# nothing at all.) And no greeting on standard output.
os.environ.setdefault("SDL_VIDEODRIVER", "offscreen")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

try:
    import gymnasium as gym
    import highway_env  # noqa: F401  (registers its environments)
    from evaluation import Episode, Evaluation, Progress, arguments, describe, play, positive
    from rendering import Film, Filmed, Layout

    from carla_rl_client import PolicyClient, PolicyError
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"the package {missing.name} is missing: pip install ./clients/python highway-env pillow"
    ) from None

ENVIRONMENT = "highway-fast-v0"
FAILURE = "crashed"
ACTIONS = ("lane left", "idle", "lane right", "faster", "slower")
#: What the policy saw in training: f4 (5, 5), the own vehicle first, the others relative to it.
OBSERVATION = {
    "type": "Kinematics",
    "vehicles_count": 5,
    "features": ["presence", "x", "y", "vx", "vy"],
    "absolute": False,
    "normalize": True,
}
LAYOUT = Layout(every=1, frame_ms=250, gif_width=600, columns=3, rows=6, picture_width=300)


@dataclass(frozen=True)
class Address:
    """Where the pool is."""

    url: str
    model: str
    prefix: str

    def client(self, env_id: str) -> PolicyClient:
        return PolicyClient(self.url, self.model, prefix=self.prefix, env_id=env_id)


def make(render_mode: str | None = None) -> gym.Env[Any, Any]:
    config = {"observation": OBSERVATION, "offscreen_rendering": True}
    return gym.make(ENVIRONMENT, render_mode=render_mode, config=config)


@lru_cache(maxsize=None)
def simulator(address: Address) -> tuple[PolicyClient, gym.Env[Any, Any]]:
    """One of each in every process, made when its first episode begins."""
    return address.client(f"highway-{os.getpid()}"), make()


def episode(task: tuple[Address, int, bool]) -> tuple[Episode, list[float]]:
    """Runs in a child process: an episode, and its round trips in µs."""
    address, seed, deterministic = task
    client, env = simulator(address)
    round_trips_us: list[float] = []
    played = play(client, env, seed, deterministic=deterministic, round_trips_us=round_trips_us)
    return played, round_trips_us


def ignore_interrupts() -> None:
    """Ctrl-C reaches all processes; the first one ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def evaluate(
    address: Address, evaluation: Evaluation, seeds: range, processes: int, deterministic: bool
) -> None:
    began = time.monotonic()
    tasks = [(address, seed, deterministic) for seed in seeds]
    count = min(processes, len(seeds))
    with Progress(len(seeds)) as progress, multiprocessing.Pool(count, ignore_interrupts) as pool:
        for played, round_trips_us in pool.imap_unordered(episode, tasks):
            evaluation.add(played, round_trips_us)
            progress.tell(evaluation)
    evaluation.seconds = time.monotonic() - began


def render(client: PolicyClient, seeds: range, deterministic: bool) -> Film:
    """The same episodes again, drawn."""
    film = Film(LAYOUT)
    env = make("rgb_array")
    for seed in seeds:
        play(client, Filmed(env, film, ACTIONS, FAILURE), seed, deterministic=deterministic)
    env.close()
    return film


def run() -> None:
    parser = arguments(__doc__.splitlines()[0], model="highway-ppo", episodes=24)
    parser.add_argument("--processes", type=positive, default=8, help="[%(default)s]")
    given = parser.parse_args()
    address = Address(given.url, given.model, given.prefix)
    seeds = range(given.seed, given.seed + given.episodes)
    # Fails here, and not in a child, if the pool is away or serves another kind of policy. And is
    # closed before children are made: a process with threads should not be forked.
    with address.client("highway-check") as client:
        client.check_env(make())
        evaluation = Evaluation(describe(client), ENVIRONMENT, FAILURE)
    evaluate(address, evaluation, seeds, given.processes, not given.sample)
    print(evaluation.to_json() if given.json else evaluation.table())
    if given.gif or given.png:
        with address.client("highway-film") as client:
            film = render(client, seeds[: given.rendered], not given.sample)
        film.save(given.gif, given.png)


def main() -> None:
    try:
        run()
    except PolicyError as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
