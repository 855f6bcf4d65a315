"""Whether a policy can drive an environment, and if not, why.

Most policies that drive badly see something else than in training: a wrapper is missing, or is
there twice. Each finding says what to change.
"""

from __future__ import annotations

from typing import Any, Iterator, NamedTuple

import numpy as np

from . import observation as observations
from . import spaces
from .errors import EnvironmentMismatch, Refused
from .spaces import Box, LeafSpace, Shape, Space
from .spec import Spec

_KINDS = ("Box", "Discrete", "MultiDiscrete", "MultiBinary", "Dict", "Tuple")


class Finding(NamedTuple):
    """One difference. Without ``fatal`` the policy can drive all the same."""

    fatal: bool
    said: str


def check(spec: Spec, env: Any) -> list[str]:
    """The findings that are not fatal. Raises :class:`EnvironmentMismatch` with the others."""
    findings = [*_observation_space(spec, env), *_action_space(spec, env), *_wrappers(env)]
    if not any(finding.fatal for finding in findings):
        findings += _first_observation(spec, env)
    fatal = [finding.said for finding in findings if finding.fatal]
    if fatal:
        named = f"{spec.model} {spec.model_version} can't drive this environment"
        raise EnvironmentMismatch("\n- ".join([f"{named}:", *fatal]))
    return [finding.said for finding in findings]


def _observation_space(spec: Spec, env: Any) -> Iterator[Finding]:
    theirs = getattr(env, "single_observation_space", None) or env.observation_space
    yield from _compare_observations(spec.observation_space, theirs, "observations")


def _compare_observations(ours: Space, theirs: Any, what: str) -> Iterator[Finding]:
    kind = _kind(theirs)
    if kind != type(ours).__name__:
        yield Finding(
            True,
            f"{what}: the policy takes a {type(ours).__name__}, the environment gives a {kind}"
            + _flatten_advice(ours, kind),
        )
    elif isinstance(ours, spaces.Dict):
        yield from _compare_dicts(ours, theirs, what)
    elif isinstance(ours, Box):
        yield from _compare_boxes(ours, theirs, what)
    elif isinstance(ours, spaces.Discrete):
        if (int(theirs.n), int(theirs.start)) != (ours.n, ours.start):
            yield Finding(
                True, f"{what}: the policy takes {_choices(ours)}, not {_choices(theirs)}"
            )
    elif _size(theirs) != _size(ours.to_gymnasium()):
        yield Finding(
            True, f"{what}: the policy takes {_size(ours.to_gymnasium())}, not {_size(theirs)}"
        )


def _flatten_advice(ours: Space, kind: str) -> str:
    if kind == "Dict" and isinstance(ours, Box) and len(ours.shape) == 1:
        return ". Was it trained behind gymnasium.wrappers.FlattenObservation?"
    if kind == "Tuple":
        return ". No policy of Stable-Baselines3 takes tuples; which wrapper did training have?"
    return ""


def _compare_dicts(ours: spaces.Dict, theirs: Any, what: str) -> Iterator[Finding]:
    names, given = [name for name, _ in ours.spaces], list(theirs.spaces)
    if set(names) != set(given):
        yield Finding(True, f"{what}: the policy takes the names {names}, not {given}")
        return
    for name, space in ours.spaces:
        yield from _compare_observations(space, theirs.spaces[name], f"{what}.{name}")


def _compare_boxes(ours: Box, theirs: Any, what: str) -> Iterator[Finding]:
    shape: Shape = tuple(theirs.shape)
    if ours.is_image and shape == (*ours.shape[1:], ours.shape[0]):
        yield Finding(
            False,
            f"{what}: images have their channels last; the workers turn them at little cost",
        )
    elif shape != ours.shape:
        advice = _shape_advice(ours.shape, shape)
        yield Finding(
            True,
            f"{what}: the policy takes shape {list(ours.shape)}, the environment gives "
            f"{list(shape)}{advice}",
        )
    elif theirs.dtype.kind != ours.dtype.kind:
        yield Finding(
            True,
            f"{what}: the policy takes {ours.dtype}, the environment gives {theirs.dtype}. Was "
            "a scaling wrapper there in training? Bytes of an image go to the pool as they are",
        )
    elif not (_same(ours.low, theirs.low) and _same(ours.high, theirs.high)):
        yield Finding(
            False,
            f"{what}: the bounds differ: {_bounds(ours.low, ours.high)} in training, "
            f"{_bounds(theirs.low, theirs.high)} here. Is a scaling wrapper missing, or too many?",
        )


def _shape_advice(ours: Shape, theirs: Shape) -> str:
    if int(np.prod(ours)) == int(np.prod(theirs)):
        if len(ours) == 1:
            return ". Wrap it in gymnasium.wrappers.FlattenObservation"
        return ". It is flattened, or its axes are in another order, than in training"
    frames = _frames(ours, theirs)
    if frames:
        return f". Are {frames} frames stacked in training (VecFrameStack, FrameStackObservation)?"
    frames = _frames(theirs, ours)
    if frames:
        return f". Are {frames} frames stacked here, and were not in training?"
    if len(ours) == 1 and len(theirs) == 1 and ours[0] == theirs[0] + 1:
        return ". One element more: was there a TimeAwareObservation in training?"
    return ""


def _frames(ours: Shape, theirs: Shape) -> int:
    """How many of the second make one of the first, 0 if that does not come out even."""
    ratio, rest = divmod(int(np.prod(ours)), max(1, int(np.prod(theirs))))
    return ratio if rest == 0 and ratio > 1 else 0


def _action_space(spec: Spec, env: Any) -> Iterator[Finding]:
    ours = spec.action_space
    theirs = getattr(env, "single_action_space", None) or env.action_space
    if _kind(theirs) != type(ours).__name__:
        yield Finding(
            True,
            f"actions: the policy gives a {type(ours).__name__}, the environment takes a "
            f"{_kind(theirs)}. Are its actions configured as in training?",
        )
    elif isinstance(ours, Box):
        yield from _compare_action_boxes(ours, theirs)
    elif _size(theirs) != _size(ours.to_gymnasium()):
        yield Finding(
            True, f"actions: the policy gives {_size(ours.to_gymnasium())}, not {_size(theirs)}"
        )
    elif isinstance(ours, spaces.Discrete) and int(theirs.start) != ours.start:
        yield Finding(True, f"actions: the policy gives {_choices(ours)}, not {_choices(theirs)}")


def _compare_action_boxes(ours: Box, theirs: Any) -> Iterator[Finding]:
    if tuple(theirs.shape) != ours.shape:
        yield Finding(
            True,
            f"actions: the policy gives shape {list(ours.shape)}, the environment takes "
            f"{list(theirs.shape)}",
        )
    elif not (_same(ours.low, theirs.low) and _same(ours.high, theirs.high)):
        yield Finding(
            True,
            f"actions: the policy gives {_bounds(ours.low, ours.high)}, the environment takes "
            f"{_bounds(theirs.low, theirs.high)}. Actions come in the units of training: take a "
            "RescaleAction away, or add the one that training had",
        )


def _wrappers(env: Any) -> Iterator[Finding]:
    for layer in _layers(env):
        name = type(layer).__name__
        scales = name == "NormalizeObservation" or (name == "VecNormalize" and layer.norm_obs)
        if scales:
            yield Finding(
                False,
                f"{name}: if the statistics of training were imported with the policy, the workers "
                "normalise already, and twice is wrong. Without them this wrapper needs those of "
                "training, and must not go on learning",
            )


def _layers(env: Any) -> Iterator[Any]:
    while env is not None:
        yield env
        inner = vars(env) if hasattr(env, "__dict__") else {}
        # Of environments side by side the first one speaks for all.
        side_by_side = inner.get("envs") or (None,)
        env = inner.get("env", inner.get("venv", side_by_side[0]))


def _first_observation(spec: Spec, env: Any) -> list[Finding]:
    given = env.reset()
    # Gymnasium gives a pair, a VecEnv of Stable-Baselines3 the observations alone.
    is_pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], dict)
    try:
        prepared = observations.prepare(spec.observation_space, given[0] if is_pair else given)
    except Refused as problem:
        return [Finding(True, f"the first observation does not fit: {problem}")]
    arrays: Any = prepared.arrays
    if isinstance(spec.observation_space, spaces.Dict):
        named = [(f".{name}", space, arrays[name]) for name, space in spec.observation_space.spaces]
    else:
        named = [("", spec.observation_space, arrays)]
    return [finding for name, space, array in named for finding in _values(name, space, array)]


def _values(name: str, space: LeafSpace, array: Any) -> Iterator[Finding]:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        yield Finding(True, f"the first observation{name} holds NaN or infinity, which is refused")
    elif isinstance(space, Box) and array.shape[array.ndim - len(space.shape) :] == space.shape:
        outside = int(((array < space.low) | (array > space.high)).sum())
        if outside:
            yield Finding(
                False,
                f"the first observation{name} has {outside} of {array.size} elements outside of "
                f"the bounds of training, {_bounds(space.low, space.high)}",
            )


def _kind(space: Any) -> str:
    """The name of Gymnasium's own space of which this is one."""
    names = [base.__name__ for base in type(space).__mro__]
    return next((name for name in names if name in _KINDS), names[0])


def _same(ours: np.ndarray, theirs: Any) -> bool:
    return bool(np.allclose(ours, theirs, rtol=1e-5, atol=1e-6))


def _bounds(low: Any, high: Any) -> str:
    def said(bound: Any) -> str:
        flat = np.unique(np.asarray(bound))
        return (
            f"{flat[0]:g}"
            if len(flat) == 1
            else np.array2string(np.ravel(bound), precision=4, threshold=8)
        )

    return f"{said(low)} to {said(high)}"


def _choices(space: Any) -> str:
    return f"{int(space.n)} choices from {int(space.start)}"


def _size(space: Any) -> str:
    """What makes a space of choices or bits, for comparing and saying."""
    kind = _kind(space)
    if kind == "Discrete":
        return f"{int(space.n)} choices"
    if kind == "MultiDiscrete":
        return f"choices of {np.ravel(space.nvec).tolist()}"
    return f"bits of shape {list(space.shape)}"
