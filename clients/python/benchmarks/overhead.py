"""What the client costs over nats-py alone, and where the microseconds go.

Asks a running worker one observation at a time, in turns: a block of requests of each kind, again
and again, so that whatever else the machine does hits all kinds alike.

    python clients/python/benchmarks/overhead.py --url nats://127.0.0.1:4222 --model highway-ppo
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from typing import Any, Callable, Dict

import msgpack
import nats
import numpy as np

from carla_rl_client import AsyncPolicyClient, PolicyClient, PolicyError, reply, request
from carla_rl_client.turns import Turns

BLOCK = 100
Kinds = Dict[str, Callable[[], Any]]


def main() -> None:
    arguments = parse()
    try:
        with PolicyClient(arguments.url, arguments.model) as client:
            observation = sample(client)
            print_stages(client, observation)
            print_round_trips(arguments, client, observation)
    except PolicyError as problem:
        sys.exit(f"overhead: {problem}")


def sample(client: PolicyClient) -> Any:
    space = client.observation_space
    space.seed(0)
    return space.sample()


def print_round_trips(arguments: Any, client: PolicyClient, observation: Any) -> None:
    kinds, close = round_trips(arguments, client, observation)
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    processor: dict[str, float] = dict.fromkeys(kinds, 0.0)
    for round_ in range(arguments.rounds + 1):
        for kind, ask in kinds.items():
            began = time.process_time()
            times = block(ask)
            if round_ > 0:  # The first warms up.
                took[kind] += times
                processor[kind] += time.process_time() - began
        print(f"\rround {round_}/{arguments.rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    close()
    base = statistics.median(took[next(iter(kinds))])
    print(f"{'one observation a call':<44}{'p50 µs':>8}{'over it':>9}{'p10 µs':>8}{'CPU µs':>8}")
    for kind, times in took.items():
        median, low = statistics.median(times), statistics.quantiles(times, n=10)[0]
        cpu = processor[kind] / len(times) * 1e6
        print(f"{kind:<44}{median:8.0f}{median - base:+9.0f}{low:8.0f}{cpu:8.0f}")


def block(ask: Callable[[], Any]) -> list[float]:
    """The time of each of ``BLOCK`` calls, µs."""
    times = []
    for _ in range(BLOCK):
        began = time.perf_counter()
        ask()
        times.append((time.perf_counter() - began) * 1e6)
    return times


def round_trips(
    arguments: Any, client: PolicyClient, observation: Any
) -> tuple[Kinds, Callable[[], None]]:
    subject = f"policy.v1.infer.{arguments.model}"
    step = request.step(client.spec, observation, deterministic=True)
    body = step.body()
    loop = asyncio.new_event_loop()
    plain = loop.run_until_complete(nats.connect(arguments.url))
    on_loop = loop.run_until_complete(AsyncPolicyClient(arguments.url, arguments.model).connect())
    keeper = Turns()
    handed = keeper.run(lambda: nats.connect(arguments.url))

    async def by_hand() -> Any:
        tensor = {
            "dtype": "f4",
            "shape": observation.shape,
            "data": observation.tobytes(),
        }
        packed = msgpack.packb({"obs": tensor, "deterministic": True})
        message = await plain.request(subject, packed, timeout=1, headers={"Deadline-Ms": "1000"})
        action = msgpack.unpackb(message.data)["action"]
        return np.frombuffer(action["data"], "<" + action["dtype"]).reshape(action["shape"])

    def hand() -> Any:
        # As a client does that keeps its loop on another thread.
        return keeper._entrust(lambda: handed.request(subject, body, timeout=1))

    kinds: Kinds = {
        "nats-py: request, ready bytes": lambda: loop.run_until_complete(
            plain.request(subject, body, timeout=1)
        ),
        "nats-py: packed and unpacked by hand": lambda: loop.run_until_complete(by_hand()),
        "AsyncPolicyClient.predict": lambda: loop.run_until_complete(
            on_loop.predict(observation, deterministic=True)
        ),
        "PolicyClient.predict": lambda: client.predict(observation, deterministic=True),
        "nats-py on a thread of its own, ready bytes": hand,
    }

    def close() -> None:
        loop.run_until_complete(plain.close())
        loop.run_until_complete(on_loop.close())
        loop.close()
        keeper.run(handed.close)
        keeper.close()

    return kinds, close


def print_stages(client: PolicyClient, observation: Any) -> None:
    """What a call does beside waiting, each by itself."""
    step = request.step(client.spec, observation, deterministic=True)
    answer = client.infer(observation, deterministic=True)
    assert answer.action is not None
    body = sample_reply(answer)
    unpacked = request.unpack(body)
    turns = Turns()
    stages: Kinds = {
        "check the observation": lambda: request.step(client.spec, observation, deterministic=True),
        "write the request": step.body,
        "unpack the reply": lambda: request.unpack(body),
        "arrays and dataclass of it": lambda: reply.read(unpacked, None),
        "take the loop, run nothing, leave it": lambda: turns.run(nothing),
    }
    print(f"{'stage':<44}{'µs':>8}")
    for name, stage in stages.items():
        print(f"{name:<44}{best(stage):8.1f}")
    print()
    turns.close()


async def nothing() -> None:
    """The least that a loop can be asked."""


def sample_reply(answer: reply.Inference) -> bytes:
    (part,) = answer.parts
    action = np.asarray(answer.action)
    tensor = {"dtype": action.dtype.str[1:], "shape": action.shape, "data": action.tobytes()}
    packed: bytes = msgpack.packb(
        {
            "action": tensor,
            "model_version": part.model_version,
            "weights": part.weights,
            "worker": part.worker,
            "batch_rows": part.batch_rows,
            "queue_us": part.queue_us,
            "compute_us": part.compute_us,
        }
    )
    return packed


def best(stage: Callable[[], Any], calls: int = 2000, repeats: int = 5) -> float:
    """The time of one call in the best of some repeats, µs."""
    results = []
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in range(calls):
            stage()
        results.append((time.perf_counter() - began) / calls * 1e6)
    return min(results)


def parse() -> Any:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="nats://127.0.0.1:4222")
    parser.add_argument("--model", default="highway-ppo")
    parser.add_argument("--rounds", type=int, default=30, help=f"of {BLOCK} calls of each kind")
    return parser.parse_args()


if __name__ == "__main__":
    main()
