"""The examples do what their page says, on a small scale."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import BINARY, NATS_SERVER, ROOT, Broker, Serve

EXAMPLES = ROOT / "clients/python/examples"


def run(name: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_the_cartpole_policy_balances_in_a_vectorised_environment(
    broker: Broker, serve: Serve
) -> None:
    serve("cartpole-ppo")
    ended = run("evaluate_cartpole.py", "--url", broker.url, "--episodes", 4, "--json")
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["mean_return"] >= 475


def test_the_highway_is_driven_by_processes_and_filmed(
    broker: Broker, serve: Serve, tmp_path: Path
) -> None:
    serve("highway-ppo")
    sheet, film = tmp_path / "sheet.png", tmp_path / "film.gif"
    ended = run(
        *("evaluate_highway.py", "--url", broker.url, "--episodes", 2, "--processes", 2),
        *("--json", "--png", sheet, "--gif", film),
    )
    assert ended.returncode == 0, ended.stderr
    assert len(json.loads(ended.stdout)["episodes"]) == 2
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert film.read_bytes().startswith(b"GIF8")


def test_a_policy_is_trained_by_a_pool_that_follows_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("NATS_SERVER_BIN", NATS_SERVER)
    ended = run(
        *("train_through_pool.py", "--carla-rl", BINARY, "--artifacts", tmp_path),
        *("--iterations", 2, "--environments", 8, "--steps", 32),
    )
    assert "0.2.0" in ended.stdout, ended.stderr
    assert (tmp_path / "cartpole-numpy/0.2.0/model_card.yaml").exists()


def test_an_example_without_a_broker_says_so_in_a_line() -> None:
    for name in ("evaluate_cartpole.py", "evaluate_highway.py"):
        ended = run(name, "--url", "nats://127.0.0.1:1", "--episodes", 1)
        assert ended.returncode == 1
        assert "no broker lets us in at nats://127.0.0.1:1" in ended.stderr
        assert "Traceback" not in ended.stderr
