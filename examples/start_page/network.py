"""The network between the start page and the server: a relay of TCP connections that the page can cut."""

import asyncio
from urllib.parse import urlsplit

CHUNK = 65_536
# Seconds after which the network comes back by itself, if the page that cut it is gone: it cuts for 10.
LONGEST_CUT = 15


class Network:
    """A context manager with the `url` at which pages reach the server. While it is cut, connections are refused."""

    def __init__(self, server: str) -> None:
        self._target = urlsplit(server)
        self._listener: asyncio.Server | None = None
        self._port = 0
        self._open: set[asyncio.Task[None]] = set()
        self._restore: asyncio.TimerHandle | None = None

    @property
    def url(self) -> str:
        return f"http://{self._target.hostname}:{self._port}"

    async def __aenter__(self) -> "Network":
        await self._listen()
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.cut(is_cut=True)
        if self._restore is not None:
            self._restore.cancel()

    async def cut(self, *, is_cut: bool) -> None:
        """Close all connections and refuse new ones, or accept them again."""
        if self._restore is not None:
            self._restore.cancel()
        if not is_cut:
            await self._listen()
            return
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for task in self._open:
            task.cancel()
        loop = asyncio.get_running_loop()
        self._restore = loop.call_later(LONGEST_CUT, lambda: loop.create_task(self._listen()))

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._relay, self._target.hostname, self._port)
            self._port = self._listener.sockets[0].getsockname()[1]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        ends = [writer]
        try:
            server_reader, server_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            ends.append(server_writer)
            async with asyncio.TaskGroup() as copies:
                copies.create_task(_copy(reader, server_writer))
                copies.create_task(_copy(server_reader, writer))
        except* OSError:
            pass  # the server does not listen, or one side is gone
        finally:
            self._open.discard(task)
            for end in ends:
                end.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(CHUNK):
        writer.write(data)
        await writer.drain()
    writer.close()  # after what is buffered
