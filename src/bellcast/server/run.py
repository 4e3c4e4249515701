"""Runs the app on uvicorn with Bellcast's HTTP protocol class, and drains at shutdown."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from math import ceil
from types import FrameType

import structlog
import uvicorn
import uvloop

from bellcast.live.http.fast_path import FastPathFactory
from bellcast.server.app import App
from bellcast.server.live_edge import RESERVED_FILES, default_connections
from bellcast.settings import credentials
from bellcast.settings.table import ServerSettings

log = structlog.get_logger(__name__)

# Listen backlog: 10,000 reconnecting clients arrive faster than one event loop iteration accepts them.
BACKLOG = 8_192
# Without it, a reader of an event stream that has lost its network would count as connected for 15 minutes.
UNACKNOWLEDGED_MS = 60_000
# With 10,000 long-lived connections, garbage collection at Python's default thresholds takes a tenth of the CPU time. A part
# of a bulk request with 10,000 recipients has 120,000 objects, all in use; collections during it took 6 % of its CPU time.
GC_THRESHOLD = 200_000
# How long (seconds) a thread may keep the interpreter while the event loop waits for it. With Python's 5 ms, a list that the
# console reads in a thread delayed sends: the slowest of 100 by a third.
THREAD_SECONDS = 0.000_5
MIGRATION_POLL_SECONDS = 0.1
TICK_SECONDS = 1.0
# How long a process may take to end after a signal, in addition to the drain, whatever hangs: Kubernetes kills it 15 s
# after the drain with the chart's settings.
STOP_LIMIT_SECONDS = 14.0
# How long it may take to end after its app has stopped: no lookup of a host name can be ended, such as the broker's.
END_SECONDS = 3.0


class UvicornServer(uvicorn.Server):
    """uvicorn's server. Calls `ready` once it accepts connections, drains before it stops, and exits with status 0."""

    def __init__(
        self, config: uvicorn.Config, app: App, protocol_class: FastPathFactory, ready: Callable[[str], None]
    ) -> None:
        super().__init__(config)
        self._app = app
        self._protocol_class = protocol_class
        self._ready = ready
        self._stopping = asyncio.Event()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await super().serve(sockets)
        _end_within(END_SECONDS)

    async def main_loop(self) -> None:
        """Wait for a signal. uvicorn's looks for one ten times a second, which was a fifth of the CPU time of a node at rest."""
        while not await self.on_tick(0):  # sets the header `date`
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), TICK_SECONDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self._stopping.set()
        _end_within(self._app.settings.server.drain + STOP_LIMIT_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Start the app here, so that errors propagate; uvicorn would only log them. During a migration, which can take minutes,
        # already respond: with the progress.
        loop, early = asyncio.get_running_loop(), list[asyncio.Server]()
        starting = loop.create_task(self._app.start(is_mounted=False))
        while not starting.done():
            await asyncio.wait([starting], timeout=MIGRATION_POLL_SECONDS)
            if self._app.db.schema.migration is not None and not early:
                early = [await loop.create_server(self._protocol_factory, sock=one.dup()) for one in sockets or ()]
        for server in early:
            server.close()
        await starting
        if self._app.handoff is None:  # otherwise each worker would print one
            await self._app.offer_setup()
        await super().startup(sockets)
        if self._app.handoff is not None:

            async def adopt(sock: socket.socket, initial_data: bytes) -> None:
                """Serve a socket received from another process, starting with the bytes that it has already read."""
                _, protocol = await loop.connect_accepted_socket(self._protocol_factory, sock)
                protocol.data_received(initial_data)

            self._app.handoff.open(adopt, self._app.tasks.spawn)
        sys.setswitchinterval(THREAD_SECONDS)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self._ready(credentials.listening(host, port))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if self._app.handoff is not None:
            self._app.handoff.close()
        until = asyncio.get_running_loop().time() + self._app.settings.server.drain
        await self._app.drain()
        # Requests also had the time in which the connections were closed.
        self.config.timeout_graceful_shutdown = ceil(max(until - asyncio.get_running_loop().time(), 0)) + 1
        await super().shutdown(sockets)

    def _protocol_factory(self) -> asyncio.Protocol:
        return self._protocol_class(self.config, self.server_state, self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Like uvicorn's, but does not raise the signal again afterwards, so that a requested shutdown exits with
        status 0. SIGHUP also shuts down a single process, unless it was ignored at start (nohup). Workers ignore it: it
        is handled by the supervisor."""
        before = {name: signal.signal(name, self.handle_exit) for name in (signal.SIGINT, signal.SIGTERM)}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            hangup_handler = self.handle_exit if self._app.handoff is None else signal.SIG_IGN
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, hangup_handler)
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def serve(app: App, ready: Callable[[str], None], *, shared: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. Calls `ready` with the URL once connections are accepted. A `shared` port is also
    used by other processes: the kernel distributes the connections.

    Raises OSError if it cannot listen, and the errors of opening the store."""
    settings, most = app.settings.server, default_connections()
    protocol_class = FastPathFactory(
        app.begins_live, app.request_log.head_refused, most + min(most, RESERVED_FILES) // 2
    )
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol_class,  # type: ignore[arg-type]  # called as a protocol's class would be
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=ceil(settings.keep_alive),
    )
    with listen(settings, shared=shared) as listener:
        UvicornServer(config, app, protocol_class, ready).run(sockets=[listener])


def listen(settings: ServerSettings, *, shared: bool = False) -> socket.socket:
    family, _, _, _, host = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.create_server(host[:2], family=family, backlog=BACKLOG, reuse_port=shared)
    if sys.platform == "linux":  # connections inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED_MS)
    return listener


def work(app: App, ready: Callable[[], None]) -> None:
    """Run the app's jobs without listening, until SIGTERM or SIGINT. Calls `ready` once they run. Raises the errors of
    opening the store."""

    async def run() -> None:
        loop, stopping = asyncio.get_running_loop(), asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stopping.set)
        app.node_reporter.role = "worker"
        await app.start(is_mounted=False)
        ready()
        await stopping.wait()
        _end_within(STOP_LIMIT_SECONDS)
        await app.stop()
        _end_within(END_SECONDS)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


def _end_within(seconds: float) -> None:
    """End the process after this time, although something hangs that it waits for."""

    def force() -> None:
        log.warning("process_end_forced", after_s=seconds)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)

    end = threading.Timer(seconds, force)
    end.daemon = True
    end.start()
