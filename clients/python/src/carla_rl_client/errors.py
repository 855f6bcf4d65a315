"""What can go wrong, one class for each error code of the protocol.

Two kinds: :class:`NotAnswered` says that no action came in time and that the next observation
may well get one; :class:`Refused` says that this request will never get one.
"""

from __future__ import annotations

import builtins
from typing import Any, Mapping, Optional


class PolicyError(Exception):
    """Anything that a pool, the broker or the client itself says instead of an action.

    ``code`` is the protocol's code. ``field``, ``expected``, ``got`` and ``retry_after_ms`` are
    ``None`` where they don't apply.
    """

    code = "error"

    def __init__(
        self,
        message: str,
        *,
        field: Optional[str] = None,
        expected: Optional[str] = None,
        got: Optional[str] = None,
        retry_after_ms: Optional[int] = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.expected = expected
        self.got = got
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        where = f" ({self.field})" if self.field else ""
        expected = f"; expected {self.expected}" if self.expected else ""
        got = f"; got {self.got}" if self.got else ""
        return f"{self.message}{where}{expected}{got}"

    def __reduce__(self) -> Any:
        # Errors cross the pipe of a SubprocVecEnv, and keyword arguments would be lost there.
        return (type(self), (self.message,), self.__dict__)


class NotAnswered(PolicyError):
    """No action came in time. Go on without one, or ask with the next observation."""

    code = "not_answered"


class Timeout(NotAnswered, builtins.TimeoutError):
    """Nothing came within the client's ``timeout``."""

    code = "timeout"


class NoWorkers(NotAnswered):
    """Nobody serves the model at this moment: the broker says so at once."""

    code = "no_workers"


class Unreachable(NotAnswered, builtins.ConnectionError):
    """There is no connection to the broker."""

    code = "unreachable"


class Overloaded(NotAnswered):
    """The pool has no room, or can't be done before the deadline."""

    code = "overloaded"


class Expired(NotAnswered):
    """The deadline passed before a worker came to it. It was not computed."""

    code = "expired"


class Superseded(NotAnswered):
    """A later observation of the same ``env_id`` took its place."""

    code = "superseded"


class Draining(NotAnswered):
    """The worker shuts down, and so did all that were asked after it."""

    code = "draining"


class Internal(PolicyError):
    """A defect in the worker, or numbers that overflowed in the network."""

    code = "internal"


class UnreadableReply(PolicyError):
    """What came back is no reply of a worker: something else answers on that subject."""

    code = "unreadable_reply"


class Refused(PolicyError, ValueError):
    """The request is wrong, and will be each time."""

    code = "refused"


class Malformed(Refused):
    """A key of a wrong type, a name that is missing or unknown."""

    code = "malformed"


class InvalidShape(Refused):
    """The observation, state, mask or ``episode_start`` has another shape than the policy's."""

    code = "invalid_shape"


class InvalidDtype(Refused):
    """Elements that are no numbers."""

    code = "invalid_dtype"


class InvalidValue(Refused):
    """NaN, infinity, or a value that the space does not have."""

    code = "invalid_value"


class Unsupported(Refused):
    """The policy has no such thing: a value, a mask, a memory."""

    code = "unsupported"


class TooLarge(Refused):
    """More rows or bytes than a worker or the broker takes."""

    code = "too_large"


class UnknownVersion(Refused):
    """No worker that was asked serves the ``model_version`` that the client insists on."""

    code = "unknown_version"


class Forbidden(Refused):
    """The broker's permissions don't let this client ask for that model, or hear the answer."""

    code = "forbidden"


class EnvironmentMismatch(PolicyError, ValueError):
    """An environment that this policy was not trained for, with all differences."""

    code = "environment_mismatch"


#: Classes of the codes that workers send.
_BY_CODE: dict[str, type[PolicyError]] = {
    kind.code: kind
    for kind in (
        Malformed,
        UnknownVersion,
        TooLarge,
        InvalidShape,
        InvalidDtype,
        InvalidValue,
        Unsupported,
        Overloaded,
        Internal,
        Draining,
        Expired,
        Superseded,
    )
}


def from_reply(error: Mapping[str, Any]) -> PolicyError:
    """The exception of a reply's ``error`` map.

    A code of a later protocol becomes a plain :class:`PolicyError` that carries it.
    """
    code = str(error.get("code"))
    details = {key: error.get(key) for key in ("field", "expected", "got", "retry_after_ms")}
    raised = _BY_CODE.get(code, PolicyError)(
        str(error.get("message", "no reason given")), **details
    )
    raised.code = code
    return raised
