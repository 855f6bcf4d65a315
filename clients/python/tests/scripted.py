"""A worker whose answers are written down beforehand, for what a real one says only in trouble."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import msgpack
import nats
import numpy as np
from nats.aio.msg import Msg

#: Answers with nothing.
SILENCE = None
SPEC = {
    "model": "scripted",
    "model_version": "1.0.0",
    "weights": "00000000",
    "algorithm": "none",
    "observation_space": {"type": "box", "dtype": "f4", "shape": [2], "low": 0, "high": 1},
    "action_space": {"type": "discrete", "n": 5, "start": 0},
    "wants": [],
    "recurrent": False,
    "masked": False,
    "max_rows": 1024,
    "max_bytes": 1048576,
    "device": "cpu",
    "precision": "float32",
    "worker": "scripted",
}


def action(value: int) -> dict[str, Any]:
    """A reply with one action."""
    tensor = {"dtype": "i8", "shape": [], "data": np.int64(value).tobytes()}
    told = {"model_version": "1.0.0", "weights": "00000000", "worker": "scripted"}
    return {"action": tensor, **told, "batch_rows": 1, "queue_us": 1, "compute_us": 1}


def error(code: str, **details: Any) -> dict[str, Any]:
    """A reply with an error."""
    return {"error": {"code": code, "message": f"a scripted {code}", **details}}


class ScriptedWorker:
    """Answers each request with the next line of its script, and with action 0 after that."""

    def __init__(self, url: str) -> None:
        self.script: list[Any] = []
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._serve(url))

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _serve(self, url: str) -> None:
        self._nats = await nats.connect(url)
        await self._nats.subscribe("policy.v1.spec.scripted", cb=self._on_spec)
        await self._nats.subscribe("policy.v1.infer.scripted", cb=self._on_request)
        await self._nats.flush()

    async def _on_spec(self, message: Msg) -> None:
        await message.respond(msgpack.packb(SPEC))

    async def _on_request(self, message: Msg) -> None:
        self.requests.append(msgpack.unpackb(message.data))
        self.headers.append(dict(message.headers or {}))
        line = self.script.pop(0) if self.script else action(0)
        if isinstance(line, bytes):
            await message.respond(line)
        elif line is not SILENCE:
            await message.respond(msgpack.packb(line))

    def stop(self) -> None:
        self._run(self._nats.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
