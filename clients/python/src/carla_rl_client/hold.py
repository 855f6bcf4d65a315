"""The action to go on with when none came in time."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from .errors import NotAnswered
from .reply import Inference
from .request import Step


class LastAction:
    """Of one simulator. It stands in for as many rows only, and never at an episode's start."""

    def __init__(self) -> None:
        self._action: Optional[np.ndarray] = None
        self._rows: Optional[int] = None

    def remember(self, step: Step, answer: Inference) -> None:
        # A copy: what was handed out may be written to.
        self._action, self._rows = answer.action.copy(), step.observation.rows

    def instead(self, step: Step, episode_start: Any, problem: NotAnswered) -> Inference:
        """The last action, with the state as it was. Raises ``problem`` if there is none."""
        begins = episode_start is not None and bool(np.any(episode_start))
        if self._action is None or self._rows != step.observation.rows or begins:
            raise problem
        return Inference(self._action.copy(), state=step.state, held=True)
