"""Asks a pool of carla-rl workers for the actions of a trained policy, over NATS.

    from carla_rl_client import PolicyClient

    client = PolicyClient("nats://127.0.0.1:4222", "highway-ppo")
    action, _ = client.predict(observation, deterministic=True)

What is where, in the order in which a call travels:

- :mod:`.client`, :mod:`.asynchronous`: :class:`PolicyClient` and :class:`AsyncPolicyClient`
- :mod:`.observation`, :mod:`.request`: arrays become bodies, as :mod:`.spec` and :mod:`.spaces` say
- :mod:`.asking`: when it is sent again; :mod:`.connection`: sending it; :mod:`.turns`: which thread
- :mod:`.reply`, :mod:`.errors`: what comes back; :mod:`.hold`: what is done if nothing does
- :mod:`.checking`, :mod:`.shadow`: does it fit this environment, does it agree with a local model
"""

from .asynchronous import AsyncPolicyClient
from .client import PolicyClient
from .errors import (
    Draining,
    EnvironmentMismatch,
    Expired,
    Forbidden,
    Internal,
    InvalidDtype,
    InvalidShape,
    InvalidValue,
    Malformed,
    NotAnswered,
    NoWorkers,
    Overloaded,
    PolicyError,
    Refused,
    Superseded,
    Timeout,
    TooLarge,
    UnknownVersion,
    Unreachable,
    UnreadableReply,
    Unsupported,
)
from .reply import Inference, Part, RecurrentState
from .shadow import Comparison, Shadow
from .spec import Spec

__version__ = "0.1.0"

__all__ = [
    "AsyncPolicyClient",
    "Comparison",
    "Draining",
    "EnvironmentMismatch",
    "Expired",
    "Forbidden",
    "Inference",
    "Internal",
    "InvalidDtype",
    "InvalidShape",
    "InvalidValue",
    "Malformed",
    "NoWorkers",
    "NotAnswered",
    "Overloaded",
    "Part",
    "PolicyClient",
    "PolicyError",
    "RecurrentState",
    "Refused",
    "Shadow",
    "Spec",
    "Superseded",
    "Timeout",
    "TooLarge",
    "UnknownVersion",
    "Unreachable",
    "UnreadableReply",
    "Unsupported",
]
