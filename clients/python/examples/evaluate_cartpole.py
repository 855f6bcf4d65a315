"""Evaluates cartpole-ppo in Gymnasium's CartPole-v1, all environments with one request a step.

    carla-rl worker --model cartpole-ppo &
    python clients/python/examples/evaluate_cartpole.py --png cartpole.png

Any policy with these observations and actions will do: name it with --model.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Iterator, Optional

# pygame draws into memory: no window, and no greeting on standard output.
os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")

try:
    import gymnasium as gym
    import numpy as np
    from evaluation import Episode, Evaluation, Progress, arguments, describe, play, positive
    from rendering import Film, Filmed, Layout

    from carla_rl_client import PolicyClient, PolicyError
except ModuleNotFoundError as missing:
    raise SystemExit(
        f"the package {missing.name} is missing: "
        "pip install ./clients/python 'gymnasium[classic-control]' pillow"
    ) from None

ENVIRONMENT = "CartPole-v1"
FAILURE = "fell"
ACTIONS = ("push left", "push right")
#: The environment has 50 steps a second; every fifth is drawn, at half the speed.
LAYOUT = Layout(every=5, frame_ms=200, gif_width=300, columns=4, rows=3, picture_width=220)


class Lane:
    """One environment, and the episode that is under way in it."""

    def __init__(self, seeds: Iterator[int]) -> None:
        self._env: gym.Env[Any, Any] = gym.make(ENVIRONMENT)
        self._seeds = seeds
        self.begin()

    def begin(self) -> None:
        """The next seed's episode, or none if there are no more."""
        self._seed: Optional[int] = next(self._seeds, None)
        self._total, self._length = 0.0, 0
        if self._seed is not None:
            #: f4 (4,)
            self.observation, _ = self._env.reset(seed=self._seed)

    def is_busy(self) -> bool:
        return self._seed is not None

    def step(self, action: int) -> Optional[Episode]:
        """The episode, if it ends with this step; then the next one begins."""
        self.observation, reward, failed, truncated, _ = self._env.step(action)
        self._total, self._length = self._total + float(reward), self._length + 1
        if self._seed is None or not (failed or truncated):
            return None
        episode = Episode(self._seed, self._total, self._length, failed)
        self.begin()
        return episode


def evaluate(
    client: PolicyClient, evaluation: Evaluation, seeds: range, width: int, deterministic: bool
) -> None:
    """``width`` episodes at a time; whichever ends makes room for the next."""
    began = time.monotonic()
    waiting = iter(seeds)
    lanes = [Lane(waiting) for _ in range(min(width, len(seeds)))]
    with Progress(len(seeds)) as progress:
        while lanes:
            # f4 (rows, 4): what all of them see goes out as one request.
            seen = np.stack([lane.observation for lane in lanes])
            reply = client.infer(seen, deterministic=deterministic)
            evaluation.round_trips_us.append(reply.round_trip_us)
            evaluation.rows += len(lanes)
            ended = [lane.step(int(action)) for lane, action in zip(lanes, reply.action)]
            for episode in filter(None, ended):
                evaluation.episodes.append(episode)
                progress.tell(evaluation)
            lanes = [lane for lane in lanes if lane.is_busy()]
    evaluation.seconds = time.monotonic() - began


def render(client: PolicyClient, seeds: range, deterministic: bool) -> Film:
    """The same episodes again, drawn."""
    film = Film(LAYOUT)
    env = gym.make(ENVIRONMENT, render_mode="rgb_array")
    for seed in seeds:
        play(client, Filmed(env, film, ACTIONS, FAILURE), seed, deterministic=deterministic)
    env.close()
    return film


def run() -> None:
    parser = arguments(__doc__.splitlines()[0], model="cartpole-ppo", episodes=20)
    parser.add_argument("--width", type=positive, default=8, help="episodes at once [%(default)s]")
    given = parser.parse_args()
    seeds = range(given.seed, given.seed + given.episodes)
    with PolicyClient(given.url, given.model, prefix=given.prefix) as client:
        client.check_env(gym.make(ENVIRONMENT))
        evaluation = Evaluation(describe(client), ENVIRONMENT, FAILURE)
        evaluate(client, evaluation, seeds, given.width, not given.sample)
        print(evaluation.to_json() if given.json else evaluation.table())
        if given.gif or given.png:
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
