"""What comes back: actions, and what else was wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, NamedTuple, Optional

import numpy as np

from .errors import UnreadableReply
from .spaces import DTYPES


@dataclass(frozen=True)
class RecurrentState:
    """The memory of a recurrent policy after a step: pass it to the next one.

    The bytes are the pool's own and can't be cut. There are several parts if the rows went in
    several requests, as they then do in the next step.
    """

    #: Rows and bytes of each request.
    parts: tuple[tuple[int, bytes], ...]

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.parts)


class Part(NamedTuple):
    """Who computed some of the rows, and where the time went."""

    rows: int
    model_version: str
    #: First 8 hex digits of the SHA-256 of the weights.
    weights: str
    worker: str
    #: Rows of the batch in which these were computed.
    batch_rows: int
    #: From arrival at the worker to the start of the forward pass, µs.
    queue_us: int
    #: Of the forward pass, µs.
    compute_us: int
    seed: Optional[int]


@dataclass(eq=False)
class Inference:
    """One step of a policy. ``n`` is dropped in the shapes if one observation was asked."""

    #: In the environment's units: ``[n, …action space]``, i8 for choices, f4 for boxes and bits.
    action: np.ndarray
    #: f4 ``[n]``: the critic's value of the observation.
    value: Optional[np.ndarray] = None
    #: f4 ``[n]``: natural logarithm of the density or probability of ``raw_action``.
    log_prob: Optional[np.ndarray] = None
    #: As ``action``, before clipping or rescaling.
    raw_action: Optional[np.ndarray] = None
    #: f4 ``[n, choices]``.
    probs: Optional[np.ndarray] = None
    #: f4 ``[n, actions]``.
    q_values: Optional[np.ndarray] = None
    #: Of a recurrent policy.
    state: Optional[RecurrentState] = None
    #: One for each request: several if the rows were too many for one.
    parts: tuple[Part, ...] = ()
    #: From this call's first request to its last reply, µs.
    round_trip_us: float = 0.0
    #: Requests sent, those that were sent again among them.
    attempts: int = 0
    #: Whether ``action`` is an earlier one, because none came in time (``on_timeout="hold"``).
    held: bool = False

    @property
    def model_version(self) -> Optional[str]:
        """That of the first part, ``None`` for a held action."""
        return self.parts[0].model_version if self.parts else None

    @property
    def weights(self) -> Optional[str]:
        """Those of the first part, ``None`` for a held action."""
        return self.parts[0].weights if self.parts else None

    @property
    def worker(self) -> Optional[str]:
        """That of the first part, ``None`` for a held action."""
        return self.parts[0].worker if self.parts else None

    @property
    def seed(self) -> Optional[int]:
        """The seed of the first part, ``None`` if nothing was sampled."""
        return self.parts[0].seed if self.parts else None

    @property
    def batch_rows(self) -> int:
        """Rows of the largest batch that had a part in this."""
        return max((part.batch_rows for part in self.parts), default=0)

    @property
    def queue_us(self) -> int:
        """Of the part that waited longest, µs."""
        return max((part.queue_us for part in self.parts), default=0)

    @property
    def compute_us(self) -> int:
        """Of the part that took longest, µs."""
        return max((part.compute_us for part in self.parts), default=0)


_TENSORS = ("action", "value", "log_prob", "raw_action", "probs", "q_values")


def read(body: Mapping[str, Any], rows: Optional[int]) -> Inference:
    """Reads the reply to a request with ``rows`` (``None``: one observation)."""
    try:
        tensors: dict[str, Any] = {name: array(body[name]) for name in _TENSORS if name in body}
        part = Part(
            rows or 1,
            body["model_version"],
            body["weights"],
            body["worker"],
            body["batch_rows"],
            body["queue_us"],
            body["compute_us"],
            body.get("seed"),
        )
        state = body.get("state")
        memory = None if state is None else RecurrentState(((rows or 1, state),))
        return Inference(state=memory, parts=(part,), **tensors)
    except (KeyError, TypeError, ValueError) as problem:
        raise UnreadableReply(f"the reply can't be read: {problem!r}") from problem


def array(tensor: Mapping[str, Any]) -> np.ndarray:
    """A native tensor as an array of one's own, which may be written to."""
    flat = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]])
    own: np.ndarray = flat.reshape(tensor["shape"]).copy()
    return own


def join(replies: list[Inference]) -> Inference:
    """The replies to parts of the rows, in their order, as one."""
    tensors: dict[str, Any] = {}
    for name in _TENSORS:
        every = [getattr(reply, name) for reply in replies]
        if every[0] is not None:
            tensors[name] = np.concatenate(every)
    states = [reply.state.parts for reply in replies if reply.state is not None]
    memory = RecurrentState(tuple(part for parts in states for part in parts)) if states else None
    parts = tuple(part for reply in replies for part in reply.parts)
    attempts = sum(reply.attempts for reply in replies)
    return Inference(state=memory, parts=parts, attempts=attempts, **tensors)
