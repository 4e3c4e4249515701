"""Exchange of metrics between the workers of one port, so that any worker can report the metrics of all."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

PREFIX = "counts."
# Seconds. A worker responds within a millisecond; Prometheus's scrape timeout is ten seconds.
READ_TIMEOUT = 2.0


class WorkerMetrics:
    """Serves this process's metrics on a Unix socket in the workers' private folder, and reads the others'."""

    def __init__(self, folder: Path) -> None:
        self.name = str(os.getpid())
        self._socket_path = folder / f"{PREFIX}{self.name}"
        self._server: asyncio.Server | None = None

    async def open(self, export: Callable[[], bytes]) -> None:
        """Start serving the result of `export`."""

        async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(export())
            with contextlib.suppress(OSError):
                await writer.drain()
            writer.close()

        self._server = await asyncio.start_unix_server(serve, self._socket_path)

    def close(self) -> None:
        """Stop serving and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._socket_path.unlink(missing_ok=True)

    async def others(self) -> Mapping[str, bytes]:
        """Return the metrics of the other workers by name."""
        sockets = [
            socket_path
            for socket_path in self._socket_path.parent.glob(f"{PREFIX}*")
            if socket_path != self._socket_path
        ]
        results = await asyncio.gather(*map(_read_worker, sockets))
        return {
            socket_path.name.removeprefix(PREFIX): metrics
            for socket_path, metrics in zip(sockets, results, strict=True)
            if metrics
        }


async def _read_worker(socket_path: Path) -> bytes:
    """Read a worker's metrics; empty if it has exited or does not respond."""
    try:
        async with asyncio.timeout(READ_TIMEOUT):
            reader, writer = await asyncio.open_unix_connection(socket_path)
            try:
                return await reader.read()
            finally:
                writer.close()
    except ConnectionRefusedError:
        return b""  # the worker was killed; its socket is removed with the folder
    except (OSError, TimeoutError):
        log.warning("worker_metrics_unavailable", worker=socket_path.name)
        return b""
