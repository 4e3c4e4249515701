"""Running it: uvicorn with our HTTP protocol, one line when it accepts connections, and a graceful end."""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn

from bellcast.live.http.fast_path import FastPathFactory
from bellcast.server.app import App

# Connections that wait to be accepted: a storm of 10,000 arrives faster than one loop turn takes them.
BACKLOG = 8_192
# Live connections are long-lived objects; looking through all of them for garbage at every few thousand allocations
# (Python's default) costs a tenth of the time at 10,000 connections.
GC_THRESHOLD = 50_000


class UvicornServer(uvicorn.Server):
    """uvicorn's server; says when it is ready, drains before it stops, and ends with status 0."""

    def __init__(self, config: uvicorn.Config, app: App, lobby: FastPathFactory, ready: Callable[[str], None]) -> None:
        super().__init__(config)
        self._app = app
        self._lobby = lobby
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await self._app.start(is_mounted=False)  # what fails here is told as it is; uvicorn would only log it
        await super().startup(sockets)
        if self._app.handoff is not None:
            self._app.handoff.open(self._adopt, self._app.tasks.spawn)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 20, 50)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        self._ready(f"http://{f'[{host}]' if ':' in host else host}:{port}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        if self._app.handoff is not None:
            self._app.handoff.close()
        await self._app.drain()
        await super().shutdown(sockets)

    async def _adopt(self, given: socket.socket, read: bytes) -> None:
        """Serve a connection that a neighbour gave away, as if it had come here."""
        loop = asyncio.get_running_loop()
        _, entrance = await loop.connect_accepted_socket(self._protocol_factory, given)
        entrance.data_received(read)

    def _protocol_factory(self) -> asyncio.Protocol:
        return self._lobby(self.config, self.server_state, self.lifespan.state)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn's, but an asked-for end is no failure: nothing is raised again afterwards. SIGHUP ends a process that is
        alone as gracefully, unless it was started to outlive its terminal; of several, their parent hears it."""
        before = {name: signal.signal(name, self.handle_exit) for name in (signal.SIGINT, signal.SIGTERM)}
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            heard = self.handle_exit if self._app.handoff is None else signal.SIG_IGN
            before[signal.SIGHUP] = signal.signal(signal.SIGHUP, heard)
        try:
            yield
        finally:
            for name, handler in before.items():
                signal.signal(name, handler)


def serve(app: App, ready: Callable[[str], None], *, shared: bool = False) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called with the URL once connections are accepted. A `shared` port is
    other processes' too: each connection comes to one of them.

    Raises OSError when it cannot listen there, and whatever keeps the store from opening."""
    settings, lobby = app.settings.server, FastPathFactory(app, app.head_refused)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=lobby,  # type: ignore[arg-type]  # called as a protocol's class would be
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=BACKLOG,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=int(settings.drain) + 1,
    )
    with _bind(settings.host, settings.port, shared=shared) as listener:
        UvicornServer(config, app, lobby, ready).run(sockets=[listener])


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    return socket.create_server(address[:2], family=family, backlog=BACKLOG, reuse_port=shared)
