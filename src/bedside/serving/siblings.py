"""What one worker of a server has written, all of them hold before it is answered.

A search never waits for what another process wrote in bulk, so for a moment it may not find it. Between the workers of
one server that moment is the writer's: the answer to a write says that every later request finds it, whoever answers.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio

from bedside.serving.pool import TooSlowError

log = logging.getLogger(__name__)


class Siblings:
    """The other workers of this server.

    Args:
        folder: Where each worker has a socket.
        seconds: How long one may take to read along.
    """

    def __init__(self, folder: Path, seconds: float) -> None:
        self._own = folder / f"{os.getpid()}.sock"
        self._seconds = seconds

    @asynccontextmanager
    async def listening(self, read_along: Callable[[str], None]) -> AsyncIterator[None]:
        """Let the others say which collection they have changed; ``read_along`` takes over what is new in it."""
        threads = ThreadPoolExecutor(1, thread_name_prefix="bedside-siblings")

        async def heard(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with closing(writer):
                name = (await reader.readline()).decode().strip()
                try:
                    await asyncio.get_running_loop().run_in_executor(threads, read_along, name)
                except Exception as error:  # noqa: BLE001 - who next asks for the collection gets it as an answer
                    log.warning("%s: not read along: %s", name, type(error).__name__)

        server = await asyncio.start_unix_server(heard, self._own)
        try:
            yield
        finally:
            self._own.unlink(missing_ok=True)
            server.close()
            threads.shutdown(cancel_futures=True)

    async def tell(self, name: str) -> None:
        """Say that a collection was changed, and wait until the others have read along.

        Raises:
            TooSlowError: One has not in time; what was written stays.
        """
        others = [place for place in self._own.parent.glob("*.sock") if place != self._own]
        try:
            with anyio.fail_after(self._seconds):
                await asyncio.gather(*(_told(place, name) for place in others))
        except TimeoutError:
            raise TooSlowError(f"written, but not read by every worker within {self._seconds:g} seconds") from None


async def _told(place: Path, name: str) -> None:
    try:
        reader, writer = await asyncio.open_unix_connection(place)
        with closing(writer):
            writer.write(f"{name}\n".encode())
            await reader.read()  # it closes when it has read along
    except OSError:
        return  # it has ended: the one after it begins with what is on the disk
