"""A way to the broker on which connections can go dead without a word."""

from __future__ import annotations

import asyncio
import threading
from typing import Any


class Proxy:
    """Forwards to ``port`` of this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._dead_up_to = 0
        self._connections = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        start = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(start, self._loop).result(30)
        self.url = f"nats://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def swallow(self) -> None:
        """From now on nothing comes through on the connections that there are."""
        self._dead_up_to = self._connections

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: Any, writer: Any) -> None:
        self._connections += 1
        number = self._connections
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(
            self._forward(number, reader, far_writer), self._forward(number, far_reader, writer)
        )

    async def _forward(self, number: int, reader: Any, writer: Any) -> None:
        while True:
            data = await reader.read(65536)
            if not data:
                writer.close()
                return
            if number > self._dead_up_to:
                writer.write(data)
                await writer.drain()
