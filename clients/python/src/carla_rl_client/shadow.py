"""A local model that runs along, and what it would have done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Optional

import numpy as np

if TYPE_CHECKING:
    from .client import PolicyClient
    from .reply import Inference


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
    #: Rows for which no action came in time, and the last one went on.
    held: int = 0
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
            f"rows held           {self.held} (not compared)",
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

    def __init__(self, client: PolicyClient, model: Any, tolerance: float) -> None:
        self._client = client
        self._model = model
        self.comparison = Comparison(tolerance)

    def predict(
        self,
        observation: Any,
        state: Optional[States] = None,
        episode_start: Any = None,
        deterministic: bool = False,
        action_masks: Any = None,
    ) -> tuple[np.ndarray, Optional[States]]:
        """The pool's action. Raises what the client or the model raises."""
        before = state or States(None, None)
        answer = self._client.infer(
            observation,
            state=before.pool,
            episode_start=episode_start,
            deterministic=deterministic,
            mask=action_masks,
        )
        masks = {} if action_masks is None else {"action_masks": action_masks}
        theirs, local = self._model.predict(
            observation, before.local, episode_start, deterministic, **masks
        )
        self._compare(observation, answer, np.asarray(theirs), deterministic)
        after = States(answer.state, local)
        return answer.action, None if after == (None, None) else after

    def _compare(
        self, observation: Any, answer: Inference, theirs: np.ndarray, deterministic: bool
    ) -> None:
        result, ours = self.comparison, answer.action
        has_rows = ours.shape != self._client.spec.action_space.shape
        rows = len(ours) if has_rows else 1
        result.calls += 1
        if answer.held:
            result.held += rows
        elif not deterministic:
            result.sampled += rows
        else:
            result.compared += rows
            differs = self._differs(ours, theirs).reshape(rows, -1).any(axis=1)
            result.differing += int(differs.sum())
            if differs.any() and result.first_difference is None:
                given = {"observation": observation, "pool": ours, "local": theirs}
                row = int(differs.argmax()) if has_rows else None
                result.first_difference = {name: _row(of, row) for name, of in given.items()}

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


def _row(batch: Any, row: Optional[int]) -> Any:
    """One row, or all of what has none. A copy: environments use their buffers again."""
    if isinstance(batch, dict):
        return {name: _row(values, row) for name, values in batch.items()}
    return np.array(batch if row is None else batch[row])
