"""Requests: one step of a policy as the bodies of one message or several."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any, Mapping, Optional, Sequence

import msgpack
import numpy as np

from . import observation as observations
from . import spaces
from .errors import InvalidShape, InvalidValue, Malformed, TooLarge, Unsupported
from .observation import Observation
from .reply import RecurrentState
from .spec import Spec

#: Of a body beside its rows: keys, shapes, names, the reply subject and the headers.
_OVERHEAD = 1024
#: So far apart lie the seeds of the requests of one step: 2^64 over the golden ratio.
_SEED_STRIDE = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Step:
    """What is asked, checked against the spec. ``None`` stands for what the caller left out."""

    observation: Observation
    deterministic: bool
    seed: Optional[int]
    want: list[str]
    state: Optional[RecurrentState]
    episode_start: Optional[bytes]
    mask: Optional[np.ndarray]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in a request, but for its state."""
        masked = 0 if self.mask is None else self.mask.nbytes // (self.observation.rows or 1)
        return self.observation.row_bytes + masked + 1

    def body(self) -> bytes:
        """All of it in one request."""
        state = self.state.parts[0][1] if self.state else None
        return self._body(self.observation, self.seed, state, self.episode_start, self.mask)

    def bodies(self, most_rows: int) -> list[tuple[int, bytes]]:
        """The rows and the body of each request: at most ``most_rows`` in each, or as the state
        came, which can't be cut."""
        sizes = self._sizes(most_rows)
        if len(sizes) == 1:
            return [(sizes[0], self.body())]
        bodies, at = [], 0
        for index, size in enumerate(sizes):
            bodies.append((size, self._part(index, slice(at, at + size))))
            at += size
        return bodies

    def _sizes(self, most_rows: int) -> list[int]:
        if self.state:
            return [rows for rows, _ in self.state.parts]
        rows = self.observation.rows or 1
        return [min(most_rows, rows - at) for at in range(0, rows, most_rows)]

    def _part(self, index: int, rows: slice) -> bytes:
        state = self.state.parts[index][1] if self.state else None
        starts = None if self.episode_start is None else self.episode_start[rows]
        mask = None if self.mask is None else self.mask[rows]
        # With the same seed the rows of each request would get the same draws.
        seed = None if self.seed is None else (self.seed + index * _SEED_STRIDE) % 2**64
        return self._body(self.observation.part(rows), seed, state, starts, mask)

    def _body(
        self,
        observation: Observation,
        seed: Optional[int],
        state: Optional[bytes],
        episode_start: Optional[bytes],
        mask: Optional[np.ndarray],
    ) -> bytes:
        body: dict[str, Any] = {"obs": observation.to_wire(), "deterministic": self.deterministic}
        if seed is not None:
            body["seed"] = seed
        if self.want:
            body["want"] = self.want
        if state is not None:
            body["state"] = state
        if episode_start is not None:
            body["episode_start"] = episode_start
        if mask is not None:
            body["mask"] = observations.tensor(mask)
        packed: bytes = msgpack.packb(body)
        return packed


def step(
    spec: Spec,
    observation: Any,
    *,
    deterministic: bool,
    seed: Optional[int] = None,
    want: Sequence[str] = (),
    state: Any = None,
    episode_start: Any = None,
    mask: Any = None,
) -> Step:
    """Checks a step against the spec: shapes, rows, kinds. Values are checked by the worker.

    Raises a :class:`~carla_rl_client.Refused`, with what was expected and what came.
    """
    prepared = observations.prepare(spec.observation_space, observation)
    seed = None if seed is None else operator.index(seed)
    if seed is not None and not 0 <= seed < 2**64:
        raise InvalidValue(
            "the seed is out of range", field="seed", expected="0 to 2^64 - 1", got=str(seed)
        )
    return Step(
        prepared,
        bool(deterministic),
        seed,
        [want] if isinstance(want, str) else list(want),
        _state(state, prepared.rows) if spec.recurrent else None,
        _episode_start(episode_start, prepared.rows) if spec.recurrent else None,
        None if mask is None else _mask(spec, mask, prepared.rows),
    )


def most_rows(spec: Spec, max_payload: int, row_bytes: int) -> int:
    """How many rows one request may have."""
    room = min(spec.max_bytes, max_payload) - _OVERHEAD
    if row_bytes > room:
        raise TooLarge(
            "one observation is larger than a request may be",
            field="obs",
            expected=f"at most {room} bytes (limits.request_bytes of the worker is "
            f"{spec.max_bytes}, max_payload of the broker {max_payload})",
            got=f"{row_bytes} bytes",
        )
    return max(1, min(spec.max_rows, room // max(1, row_bytes)))


def unpack(body: bytes) -> Mapping[str, Any]:
    """Raises ``ValueError`` for what is no MessagePack map."""
    unpacked = msgpack.unpackb(body)
    if not isinstance(unpacked, dict):
        raise ValueError(f"expected a map, got {type(unpacked).__name__}")
    return unpacked


def _state(given: Any, rows: Optional[int]) -> Optional[RecurrentState]:
    if given is None:
        return None
    if not isinstance(given, RecurrentState):
        raise Malformed(
            "the state is not one that this client returned",
            field="state",
            expected="the state of the last step, or None for zeros",
            got=type(given).__name__,
        )
    if given.rows != (rows or 1):
        raise InvalidShape(
            "the state is of other rows",
            field="state",
            expected=f"that of {rows or 1} rows",
            got=f"that of {given.rows}",
        )
    return given


def _episode_start(given: Any, rows: Optional[int]) -> Optional[bytes]:
    if given is None:
        return None
    starts = np.atleast_1d(np.asarray(given)).astype(bool)
    if starts.shape != (rows or 1,):
        raise InvalidShape(
            "episode_start is of other rows",
            field="episode_start",
            expected=f"[{rows or 1}]",
            got=str(list(starts.shape)),
        )
    return starts.tobytes()


def _mask(spec: Spec, given: Any, rows: Optional[int]) -> np.ndarray:
    if not spec.masked:
        raise Unsupported("the policy takes no action masks", field="mask")
    mask = np.asarray(given)
    # Not f4 to u1: the worker must see that 0.5 is neither 0 nor 1.
    mask = mask.astype(np.uint8 if mask.dtype.kind == "b" else np.float32)
    choices = _choices(spec.action_space)
    shape = (choices,) if rows is None else (rows, choices)
    if mask.size != (rows or 1) * choices:
        raise InvalidShape(
            "the action mask has another shape",
            field="mask",
            expected=str(list(shape)),
            got=str(list(mask.shape)),
        )
    return mask.reshape(shape)


def _choices(space: spaces.LeafSpace) -> int:
    """As many as a mask has elements for each row."""
    if isinstance(space, spaces.Discrete):
        return space.n
    if isinstance(space, spaces.MultiDiscrete):
        return sum(space.nvec)
    if isinstance(space, spaces.MultiBinary):
        return 2 * int(np.prod(space.shape))
    raise Unsupported("action masks are for choices, and these actions are a box", field="mask")
