"""Reference cases: observations, and what Stable-Baselines3 answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from conftest import POLICIES

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "U8": "|u1"}


def tensors(file: Path) -> dict[str, np.ndarray]:
    """All tensors of a safetensors file: 8 bytes of length, a JSON head, the data."""
    content = file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    head, data = json.loads(content[8 : 8 + length]), content[8 + length :]
    head.pop("__metadata__", None)

    def read(entry: Any) -> np.ndarray:
        begin, end = entry["data_offsets"]
        return np.frombuffer(data[begin:end], DTYPES[entry["dtype"]]).reshape(entry["shape"])

    return {name: read(entry) for name, entry in head.items()}


class Case:
    """One checkpoint's."""

    def __init__(self, name: str) -> None:
        self.tensors = tensors(POLICIES / name / "reference.safetensors")
        self.action = self.tensors["action"]

    @property
    def observation(self) -> Any:
        """Rows, or a dict of them."""
        if "obs" in self.tensors:
            return self.tensors["obs"]
        named = (name for name in self.tensors if name.startswith("obs."))
        return {name[len("obs.") :]: self.tensors[name] for name in named}


def row(observation: Any, index: Any) -> Any:
    """One of the rows, or some of them."""
    if isinstance(observation, dict):
        return {name: values[index] for name, values in observation.items()}
    return observation[index]
