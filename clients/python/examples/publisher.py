"""Artifacts of weights that a learner holds in NumPy, made by ``carla-rl artifacts import``."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from actor_critic import ActorCritic
from local_pool import NotStarted

#: What can't be seen in the weights. The layers' names are in JSON, which YAML can read.
_SPEC = """\
algorithm: PPO
description: {description}
observation_space: {{type: box, dtype: f4, shape: [{inputs}], low: -.inf, high: .inf}}
action_space: {{type: discrete, n: {actions}}}
activation: tanh
layers: {layers}
"""


@dataclass(frozen=True)
class Publisher:
    """Writes the versions of one model."""

    carla_rl: str
    artifacts: Path
    model: str
    description: str

    def publish(self, learner: ActorCritic, version: str, observations: np.ndarray) -> None:
        """``observations``: f4 (rows, elements), as the environment gives them. The artifact keeps
        what the policy says of them, and no worker serves before it has said the same."""
        with tempfile.TemporaryDirectory() as folder:
            weights, spec, seen = (Path(folder) / name for name in ("weights", "spec", "seen"))
            write_safetensors(weights, learner.parameters)
            write_safetensors(seen, {"obs": observations})
            spec.write_text(self._spec(learner))
            self._import(weights, version, "--spec", str(spec), "--observations", str(seen))

    def _spec(self, learner: ActorCritic) -> str:
        return _SPEC.format(
            description=self.description,
            inputs=learner.inputs,
            actions=learner.actions,
            layers=json.dumps({"policy": learner.policy.names, "value": learner.value.names}),
        )

    def _import(self, weights: Path, version: str, *flags: str) -> None:
        command = [self.carla_rl, "artifacts", "import", str(weights), "--out", str(self.artifacts)]
        command += ["--name", self.model, "--version", version, *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise NotStarted(f"version {version} can't be made: {done.stderr.strip()}")


def write_safetensors(file: Path, tensors: dict[str, np.ndarray]) -> None:
    """A header in JSON behind its own length, then the numbers."""
    header: dict[str, Any] = {}
    data = b""
    for name, tensor in tensors.items():
        numbers = np.ascontiguousarray(tensor, "<f4").tobytes()
        place = [len(data), len(data) + len(numbers)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": place}
        data += numbers
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + data)
