"""What a pool says of its policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional

from . import spaces
from .errors import UnreadableReply


@dataclass(frozen=True, eq=False)
class Spec:
    """The answer on the spec subject. In a pool of several versions it is one worker's."""

    model: str
    model_version: str
    #: First 8 hex digits of the SHA-256 of the weights.
    weights: str
    #: How it was trained.
    algorithm: str
    observation_space: spaces.Space
    action_space: spaces.LeafSpace
    #: Names of the observation's elements and of the action's, where the policy has them.
    observation_features: Optional[tuple[str, ...]]
    action_names: Optional[tuple[str, ...]]
    #: What ``infer`` may want.
    wants: tuple[str, ...]
    #: Whether there is a state to send back.
    recurrent: bool
    #: Whether it takes action masks.
    masked: bool
    #: The most rows, and the most bytes, of one request.
    max_rows: int
    max_bytes: int
    device: str
    precision: str
    worker: str


def read(answer: Mapping[str, Any]) -> Spec:
    """Raises :class:`UnreadableReply` for what is no spec."""
    try:
        texts: Any = {key: str(answer[key]) for key in _TEXTS}
        return Spec(
            observation_space=spaces.read(answer["observation_space"]),
            action_space=spaces._leaf(answer["action_space"]),
            observation_features=_names(answer.get("observation_features")),
            action_names=_names(answer.get("action_names")),
            wants=tuple(answer["wants"]),
            recurrent=bool(answer["recurrent"]),
            masked=bool(answer["masked"]),
            max_rows=int(answer["max_rows"]),
            max_bytes=int(answer["max_bytes"]),
            **texts,
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise UnreadableReply(f"the spec can't be read: {problem!r}") from problem


_TEXTS = ("model", "model_version", "weights", "algorithm", "device", "precision", "worker")


def _names(names: Any) -> Optional[tuple[str, ...]]:
    return None if names is None else tuple(str(name) for name in names)
