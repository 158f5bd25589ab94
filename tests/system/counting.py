"""A TCP proxy that counts: how many connections its clients opened, in all and at once."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Self

from parts import LOOPBACK, Background, free_port


class CountingProxy(Background):
    """Hands every connection on to `target` on loopback. `accepted` counts them."""

    def __init__(self, target: int) -> None:
        super().__init__()
        self.port = free_port()
        self.accepted = 0
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()

    def __enter__(self) -> Self:
        super().__enter__()
        assert self._ready.wait(30)
        return self

    def _end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, LOOPBACK, self.port))
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        inner_reader, inner_writer = await asyncio.open_connection(LOOPBACK, self._target)
        await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()
