"""What a client was made with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Callable, Mapping, Optional, Union
from urllib.parse import urlsplit

from .asking import Patience

#: Arguments of ``nats.connect``, or a function that makes them in each process.
NatsOptions = Union[Mapping[str, Any], Callable[[], Mapping[str, Any]], None]


@dataclass(frozen=True)
class Options:
    """Those of :class:`~carla_rl_client.PolicyClient`, checked. They can be pickled."""

    url: str
    model: str
    timeout: float
    on_timeout: str
    prefix: str
    retries: int
    wait_for_workers: float
    connect_timeout: float
    env_id: Optional[str]
    priority: Optional[int]
    model_version: Optional[str]
    nats_options: NatsOptions

    def __post_init__(self) -> None:
        if self.on_timeout not in ("raise", "hold"):
            raise ValueError(f'on_timeout is "raise" or "hold", not {self.on_timeout!r}')
        if not isinstance(self.timeout, (int, float)) or not self.timeout > 0:
            raise ValueError(f"timeout is a number of seconds above 0, not {self.timeout!r}")
        if self.priority is not None and self.priority not in range(10):
            raise ValueError(f"priority is 0 (first) to 9 (last), not {self.priority!r}")
        if self.env_id is not None and not 1 <= len(self.env_id.encode()) <= 128:
            raise ValueError(f"env_id is 1 to 128 bytes, not {self.env_id!r}")
        # The library says no more of these than that a subject is invalid.
        if not re.fullmatch(r"[\w-]+", self.model, re.ASCII):
            raise ValueError(f"a model's name is letters, digits, - and _, not {self.model!r}")
        if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", self.prefix, re.ASCII):
            raise ValueError(f"a prefix is such names with dots between them, not {self.prefix!r}")

    @property
    def servers(self) -> list[str]:
        """The addresses of the broker; ``host:port`` alone will do."""
        given = (server.strip() for server in self.url.split(","))
        servers = [server if "://" in server else f"nats://{server}" for server in given]
        for server in servers:
            if not _is_address(server):
                raise ValueError(f"a broker's address is like nats://host:4222, not {server!r}")
        return servers

    @property
    def patience(self) -> Patience:
        return Patience(self.timeout, self.retries, self.wait_for_workers)

    def subject(self, verb: str) -> str:
        return f"{self.prefix}.v1.{verb}.{self.model}"

    def headers(self) -> dict[str, str]:
        given = {
            "Env-Id": self.env_id,
            "Priority": self.priority,
            "Model-Version": self.model_version,
        }
        return {name: str(value) for name, value in given.items() if value is not None}


def _is_address(server: str) -> bool:
    try:
        address = urlsplit(server)
        return address.scheme in ("nats", "tls", "ws", "wss") and address.port != 0
    except ValueError:  # A port that is no number.
        return False
