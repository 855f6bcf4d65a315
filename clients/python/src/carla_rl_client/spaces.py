"""Spaces of observations and actions, as the pool's spec tells them.

They say what arrays must look like, without Gymnasium; :meth:`Space.to_gymnasium` makes the
Gymnasium space where one is needed. Nothing is unpickled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Mapping, Tuple, Union

import numpy as np

if TYPE_CHECKING:
    import gymnasium

Shape = Tuple[int, ...]

#: NumPy dtypes of the protocol's names; all little-endian.
DTYPES = {
    name: np.dtype("|b1" if name == "b1" else "<" + name)
    for name in ("f2", "f4", "f8", "u1", "i1", "i4", "i8", "b1")
}


@dataclass(frozen=True, eq=False)
class Box:
    """Numbers within bounds. ``low`` and ``high`` have the shape and dtype of the space."""

    shape: Shape
    dtype: np.dtype[Any]
    low: np.ndarray
    high: np.ndarray

    @property
    def is_image(self) -> bool:
        """Whether Stable-Baselines3 takes it for an image: three axes of bytes from 0 to 255."""
        whole = bool((self.low == 0).all() and (self.high == 255).all())
        return len(self.shape) == 3 and self.dtype == np.uint8 and whole

    def to_gymnasium(self) -> gymnasium.Space[Any]:
        return _gymnasium().Box(self.low, self.high, self.shape, self.dtype.type)


@dataclass(frozen=True)
class Discrete:
    """One choice of ``n``, counted from ``start``."""

    n: int
    start: int

    @property
    def shape(self) -> Shape:
        return ()

    def to_gymnasium(self) -> gymnasium.Space[Any]:
        return _gymnasium().Discrete(self.n, start=self.start)


@dataclass(frozen=True)
class MultiDiscrete:
    """Several choices, each counted from 0."""

    nvec: tuple[int, ...]

    @property
    def shape(self) -> Shape:
        return (len(self.nvec),)

    def to_gymnasium(self) -> gymnasium.Space[Any]:
        return _gymnasium().MultiDiscrete(np.array(self.nvec, np.int64))


@dataclass(frozen=True)
class MultiBinary:
    """Bits."""

    shape: Shape

    def to_gymnasium(self) -> gymnasium.Space[Any]:
        n = self.shape[0] if len(self.shape) == 1 else list(self.shape)
        return _gymnasium().MultiBinary(n)


@dataclass(frozen=True)
class Dict:
    """Spaces by name, in the policy's own order."""

    spaces: tuple[tuple[str, LeafSpace], ...]

    def to_gymnasium(self) -> gymnasium.Space[Any]:
        # From pairs: Gymnasium sorts the names of a plain dict.
        from collections import OrderedDict  # noqa: PLC0415

        named = OrderedDict((name, space.to_gymnasium()) for name, space in self.spaces)
        return _gymnasium().Dict(named)


LeafSpace = Union[Box, Discrete, MultiDiscrete, MultiBinary]
Space = Union[Box, Discrete, MultiDiscrete, MultiBinary, Dict]


def read(space: Mapping[str, Any]) -> Space:
    """A space of the spec.

    Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what is none.
    """
    if space["type"] == "dict":
        return Dict(tuple((str(name), _leaf(part)) for name, part in space["spaces"]))
    return _leaf(space)


def _leaf(space: Mapping[str, Any]) -> LeafSpace:
    kind = space["type"]
    if kind == "box":
        return _box(space)
    if kind == "discrete":
        return Discrete(int(space["n"]), int(space["start"]))
    if kind == "multi_discrete":
        return MultiDiscrete(tuple(int(n) for n in space["nvec"]))
    if kind == "multi_binary":
        return MultiBinary(_shape(space["shape"]))
    raise ValueError(f"a space of the unknown type {kind!r}")


def _box(space: Mapping[str, Any]) -> Box:
    shape, dtype = _shape(space["shape"]), DTYPES[space["dtype"]]

    def bound(value: Any) -> np.ndarray:
        numbers = np.asarray(value, np.float64).astype(dtype)
        return np.full(shape, numbers) if numbers.ndim == 0 else numbers.reshape(shape)

    return Box(shape, dtype, bound(space["low"]), bound(space["high"]))


def _shape(shape: Any) -> Shape:
    return tuple(int(size) for size in shape)


def _gymnasium() -> Any:
    try:
        from gymnasium import spaces  # noqa: PLC0415
    except ImportError:
        raise ImportError(
            "the spaces of Gymnasium need the package gymnasium (pip install gymnasium); "
            "predict, infer and spec do without it"
        ) from None
    return spaces
