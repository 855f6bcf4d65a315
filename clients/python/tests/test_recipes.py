"""The recipes in docs/python.md are programs that run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PATIENCE, ROOT, Broker, Serve

PAGE = (ROOT / "docs/python.md").read_text()
#: Models of the page that stand for the reader's own.
STAND_INS = {
    "lstm-policy": "recurrent_ppo",
    "camera-policy": "ppo_cnn_hwc",
    "masked-policy": "maskable_ppo",
}
#: Recipes with these words need what is not here: a simulator, a trainer, a secured broker.
ELSEWHERE = ("import carla\n", "stable_baselines3", "PPO.load", "ssl_context")


def recipes() -> list[tuple[str, str]]:
    """Each heading that has programs, with each of them."""
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
    return [
        (section.splitlines()[0], program)
        for section in sections
        for program in re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    ]


RUNNABLE = [recipe for recipe in recipes() if not any(word in recipe[1] for word in ELSEWHERE)]


def test_every_recipe_is_python_and_most_run_here() -> None:
    for heading, program in recipes():
        compile(program, heading, "exec")
    assert len(RUNNABLE) >= 10


@pytest.mark.parametrize(("heading", "program"), RUNNABLE, ids=[name for name, _ in RUNNABLE])
def test_a_recipe_runs(
    broker: Broker, serve: Serve, tmp_path: Path, heading: str, program: str
) -> None:
    for name, stand_in in STAND_INS.items():
        program = program.replace(f'"{name}"', f'"{stand_in}"')
    for model in re.findall(r'"nats://127\.0\.0\.1:4222",\s+"([\w-]+)"', program):
        serve(model)
    script = tmp_path / "recipe.py"
    # A simulator's tick is too short for a machine that does other things, too.
    program = program.replace("timeout=0.04", f"timeout={PATIENCE}")
    script.write_text(HEAD + program.replace("nats://127.0.0.1:4222", broker.url))
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, ""), f"{heading}: {ended.stderr}"


#: Recipes that follow others on the page go on with their imports.
HEAD = "from carla_rl_client import PolicyClient\n"
