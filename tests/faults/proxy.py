"""A TCP proxy in a thread, for connections that tests can cut."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from tests.servers import free_port


class Proxy:
    """Forwards bytes to a port. While `silent`, it accepts connections and forwards nothing, like a cut cable; while
    `closed` it aborts all connections and accepts none.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._links: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = free_port()  # no outgoing connection takes it while it is closed
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._listen())
        self._loop.run_forever()
        self._loop.close()

    async def _listen(self) -> None:
        self._open.set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
        self._ready.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            upstream_reader, upstream_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.close()
            return
        self._links |= {writer, upstream_writer}
        for source, target in ((reader, upstream_writer), (upstream_reader, writer)):
            task = asyncio.ensure_future(self._carry(source, target))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65_536):
                await self._open.wait()
                target.write(data)
                await target.drain()
        target.close()
        self._links.discard(target)

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """Forward nothing, without closing any connection."""
        self._call(self._open.clear)
        try:
            yield
        finally:
            self._call(self._open.set)

    @contextlib.contextmanager
    def closed(self) -> Iterator[None]:
        """Abort every connection and accept none."""
        self._call(self._close)
        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(60)

    def _close(self) -> None:
        self._server.close()
        for link in list(self._links):
            link.transport.abort()

    def _call(self, function: object) -> None:
        done = threading.Event()

        def call() -> None:
            function()  # type: ignore[operator]  # only methods of this class
            done.set()

        self._loop.call_soon_threadsafe(call)
        done.wait(60)

    def end(self) -> None:
        """Abort every connection and stop."""
        self._call(self._close)

        def cancel() -> None:
            for task in list(self._tasks):
                task.cancel()
            self._loop.call_later(0.1, self._loop.stop)

        self._loop.call_soon_threadsafe(cancel)
        self._thread.join(60)
