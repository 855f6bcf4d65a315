"""A local model that runs along, and what it would have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np

if TYPE_CHECKING:
    from .client import PolicyClient


class States(NamedTuple):
    """The states of both, for policies with a memory."""

    pool: Any
    local: Any


@dataclass
class Comparison:
    """How two policies agreed so far."""

    #: The most by which elements of box actions may differ: this, and as much for each unit.
    tolerance: float
    calls: int = 0
    #: Rows of deterministic calls. Samples are not compared: each draws its own.
    compared: int = 0
    sampled: int = 0
    differing: int = 0
    #: Of all elements of compared box actions; choices differ or don't.
    largest_difference: float = 0.0
    #: Observation and both actions of the first row that differed.
    first_difference: Optional[dict[str, Any]] = None

    def __str__(self) -> str:
        lines = [
            f"calls               {self.calls}",
            f"rows compared       {self.compared}",
            f"rows sampled        {self.sampled} (not compared)",
            f"rows that differ    {self.differing}",
            f"largest difference  {self.largest_difference:.3g} (tolerance {self.tolerance:g})",
        ]
        if self.first_difference is not None:
            lines += [f"  first, {name}: {value}" for name, value in self.first_difference.items()]
        return "\n".join(lines)


class Shadow:
    """Drives with the pool, and compares with a local model at each step.

    ``predict`` is that of :class:`~carla_rl_client.PolicyClient`; ``comparison`` says how it went.
    """

    def __init__(self, client: PolicyClient, model: Any, tolerance: float = 1e-5) -> None:
        self._client = client
        self._model = model
        self.comparison = Comparison(tolerance)

    def predict(
        self,
        observation: Any,
        state: Optional[States] = None,
        episode_start: Any = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Optional[States]]:
        """The pool's action. Raises what the client or the model raises."""
        before = state or States(None, None)
        action, pool = self._client.predict(observation, before.pool, episode_start, deterministic)
        theirs, local = self._model.predict(observation, before.local, episode_start, deterministic)
        self._compare(observation, action, np.asarray(theirs), deterministic)
        after = States(pool, local)
        return action, None if after == (None, None) else after

    def _compare(self, observation: Any, ours: Any, theirs: Any, deterministic: bool) -> None:
        result = self.comparison
        result.calls += 1
        rows = self._rows(ours)
        if not deterministic:
            result.sampled += rows
            return
        result.compared += rows
        differs = self._differs(ours, theirs).reshape(rows, -1).any(axis=1)
        result.differing += int(differs.sum())
        if differs.any() and result.first_difference is None:
            row = int(differs.argmax())
            result.first_difference = {
                "observation": _row(observation, row, ours.shape != self._shape),
                "pool": _row(ours, row, ours.shape != self._shape),
                "local": _row(theirs, row, ours.shape != self._shape),
            }

    def _differs(self, ours: Any, theirs: Any) -> np.ndarray:
        if theirs.shape != ours.shape:
            raise ValueError(
                f"the local model gives actions of shape {list(theirs.shape)}, the pool of "
                f"{list(ours.shape)}: it is another policy"
            )
        if ours.dtype.kind != "f":
            return np.asarray(ours != theirs)
        off = np.abs(ours.astype(np.float64) - theirs)
        largest = max(self.comparison.largest_difference, float(off.max(initial=0.0)))
        self.comparison.largest_difference = largest
        tolerance = self.comparison.tolerance
        return np.asarray(~(off <= tolerance + tolerance * np.abs(theirs)))

    @property
    def _shape(self) -> tuple[int, ...]:
        return self._client.spec.action_space.shape

    def _rows(self, action: Any) -> int:
        return 1 if action.shape == self._shape else len(action)


def _row(batch: Any, row: int, has_rows: bool) -> Any:
    if not has_rows:
        return batch
    if isinstance(batch, dict):
        return {name: values[row] for name, values in batch.items()}
    return batch[row]
