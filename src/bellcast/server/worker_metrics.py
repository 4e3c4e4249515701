"""What the workers of one port count: each tells the others, so that whichever is asked can tell for all."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

PREFIX = "counts."
# One that is well answers in a millisecond; Prometheus itself waits ten seconds for everything.
READ_TIMEOUT = 2.0


class WorkerMetrics:
    """This process among them: it tells what it counts to whoever connects to its socket, in a folder only they may enter."""

    def __init__(self, folder: Path) -> None:
        self.name = str(os.getpid())
        self._own = folder / f"{PREFIX}{self.name}"
        self._server: asyncio.Server | None = None

    async def open(self, tell: Callable[[], bytes]) -> None:
        """Answer from here on."""

        async def answer(_: asyncio.StreamReader, asking: asyncio.StreamWriter) -> None:
            asking.write(tell())
            with contextlib.suppress(OSError):
                await asking.drain()
            asking.close()

        self._server = await asyncio.start_unix_server(answer, self._own)

    def close(self) -> None:
        """Answer nobody any more."""
        if self._server is not None:
            self._server.close()
            self._own.unlink(missing_ok=True)

    async def others(self) -> Mapping[str, bytes]:
        """What the others count, by their names."""
        doors = [door for door in self._own.parent.glob(f"{PREFIX}*") if door != self._own]
        told = await asyncio.gather(*map(_read_worker, doors))
        return {door.name.removeprefix(PREFIX): one for door, one in zip(doors, told, strict=True) if one}


async def _read_worker(door: Path) -> bytes:
    """What one says; nothing if it is gone, or stands still."""
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            answer, asking = await asyncio.open_unix_connection(door)
            try:
                return await answer.read()
            finally:
                asking.close()
    except ConnectionRefusedError:
        return b""  # it was killed; its door goes with the folder
    except (OSError, TimeoutError):
        log.warning("a worker did not say what it counts", worker=door.name)
        return b""
