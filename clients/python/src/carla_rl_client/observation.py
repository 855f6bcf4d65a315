"""Observations: from what environments give to what the pool takes.

As in Stable-Baselines3 the shape says what comes: the space's own shape is one observation, one
more axis in front is rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping, Optional, Union

import numpy as np

from . import spaces
from .errors import InvalidDtype, InvalidShape, InvalidValue, Malformed
from .spaces import DTYPES, LeafSpace, Shape, Space

#: Names of the dtypes that go over the wire as they are.
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_F4, _F8, _I8 = DTYPES["f4"], DTYPES["f8"], DTYPES["i8"]


@dataclass(frozen=True)
class Observation:
    """Arrays that a request may carry: checked, of a dtype of the protocol, in C order."""

    #: One array, or those of a dict space by name.
    arrays: Union[np.ndarray, dict[str, np.ndarray]]
    #: ``None`` for one observation, which has no axis of rows.
    rows: Optional[int]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, without names and shapes."""
        every = self.arrays.values() if isinstance(self.arrays, dict) else (self.arrays,)
        return sum(array.nbytes for array in every) // (self.rows or 1)

    def part(self, rows: slice) -> Observation:
        """Some of the rows."""
        if isinstance(self.arrays, dict):
            arrays: Any = {name: array[rows] for name, array in self.arrays.items()}
        else:
            arrays = self.arrays[rows]
        return Observation(arrays, len(range(*rows.indices(self.rows or 0))))

    def to_wire(self) -> Any:
        """Native tensors."""
        if isinstance(self.arrays, dict):
            return {name: tensor(array) for name, array in self.arrays.items()}
        return tensor(self.arrays)


def tensor(array: np.ndarray) -> dict[str, Any]:
    """The protocol's native tensor; ``array`` must have one of its dtypes."""
    return {"dtype": _NAMES[array.dtype], "shape": array.shape, "data": array.tobytes()}


def prepare(space: Space, observation: Any) -> Observation:
    """Brings ``observation`` into the form of the wire.

    Raises :class:`InvalidShape`, :class:`InvalidDtype` or :class:`Malformed`, with what the space
    wants and what came.
    """
    if (
        isinstance(observation, tuple)
        and len(observation) == 2
        and isinstance(observation[1], dict)
    ):
        raise InvalidShape(
            "the observation is a pair with a dict: `obs, info = env.reset()` gives both, "
            "and only `obs` goes to the policy",
            field="obs",
        )
    if isinstance(space, spaces.Dict):
        return _prepare_dict(space, observation)
    if isinstance(observation, Mapping):
        raise Malformed("the policy takes one array and no dict", field="obs")
    array, rows = _prepare_leaf(space, observation, "obs")
    return Observation(array, rows)


def _prepare_dict(space: spaces.Dict, observation: Any) -> Observation:
    names = [name for name, _ in space.spaces]
    if not isinstance(observation, Mapping):
        raise Malformed("the policy takes a dict", field="obs", expected=f"the names {names}")
    if set(observation) != set(names):
        raise Malformed(
            "the observation has other names",
            field="obs",
            expected=str(names),
            got=str([str(name) for name in observation]),
        )
    arrays, counts = {}, {}
    for name, part in space.spaces:
        arrays[name], counts[name] = _prepare_leaf(part, observation[name], f"obs.{name}")
    if len(set(counts.values())) > 1:
        said = {name: "one" if rows is None else f"{rows} rows" for name, rows in counts.items()}
        raise InvalidShape(
            "some are one observation and some are rows, or they have not the same rows",
            field="obs",
            got=str(said),
        )
    return Observation(arrays, counts[names[0]])


def _prepare_leaf(space: LeafSpace, given: Any, field: str) -> tuple[np.ndarray, Optional[int]]:
    try:
        array = np.asarray(given)
    except ValueError:
        raise InvalidShape("the lists are not evenly nested", field=field) from None
    if array.dtype != _F4:
        array = _convert(space, array, field)
    shape = space.shape
    if array.shape == shape:
        return array, None
    if array.ndim == len(shape) + 1 and array.shape[1:] == shape and len(array):
        return array, len(array)
    if isinstance(space, spaces.Box) and space.is_image:
        return _prepare_image(shape, array, field)
    raise _invalid_shape(shape, array, field)


def _prepare_image(shape: Shape, array: np.ndarray, field: str) -> tuple[np.ndarray, Optional[int]]:
    """An image with its channels last: the worker turns it, as Stable-Baselines3 does."""
    last = (*shape[1:], shape[0])
    if array.shape == last:
        return array, None
    if array.ndim == 4 and array.shape[1:] == last and len(array):
        return array, len(array)
    raise _invalid_shape(shape, array, field)


def _convert(space: LeafSpace, array: np.ndarray, field: str) -> np.ndarray:
    """To a dtype of the protocol that fits the space."""
    kind = array.dtype.kind
    if kind not in "fiub":
        raise InvalidDtype(
            "the elements are no numbers", field=field, expected="numbers", got=str(array.dtype)
        )
    if isinstance(space, spaces.Box) and space.dtype.kind == "f" and kind in "fb":
        # Networks compute in f4, and f8 would be twice the bytes. What is too large for an f4
        # becomes infinite, which the worker refuses with its place.
        with np.errstate(over="ignore"):
            return array.astype(space.dtype, copy=False)
    if array.dtype in _NAMES and (kind != "b" or isinstance(space, spaces.MultiBinary)):
        return array
    if kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise InvalidValue("a number is too large for the wire", field=field, expected="64 bits")
    return array.astype(_F8 if kind == "f" else _I8)


def _invalid_shape(shape: Shape, array: np.ndarray, field: str) -> InvalidShape:
    return InvalidShape(
        "the observation has another shape",
        field=field,
        expected=f"{list(shape)} for one observation, or {['n', *shape]} for n rows".replace(
            "'", ""
        ),
        got=str(list(array.shape)),
    )
