"""Passes the socket of a request to the sibling process that owns its session.

The sibling responds and keeps the socket, so later requests on a persistent connection and WebSocket upgrades need no
handoff."""

import asyncio
import hashlib
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from bellcast.kernel.http import Scope
from bellcast.live.http.takeover import EXTENSION

log = structlog.get_logger(__name__)

# Pending sockets; each event loop iteration accepts every pending one.
BACKLOG = 1_024
CHUNK_BYTES = 65_536
# Time for the owner to receive a request, which takes milliseconds; a stopped process never receives it.
HANDOFF_TIMEOUT = 10
# Delay before the next attempt to accept a socket without a free descriptor.
ACCEPT_RETRY_SECONDS = 1
# Headers of the body's transfer, which the handoff replaces.
BODY_HEADERS = (b"content-length", b"transfer-encoding", b"expect")

Adopt = Callable[[socket.socket, bytes], Awaitable[None]]

# --- ids of sessions, which name their machine and process

# The id alone authorizes access to the session: 144 random bits.
SECRET_BYTES = 18
# 32 bits, so that two machines of one service are unlikely to share them.
HOST_DIGITS = 8
MAX_PROCESS_DIGITS = 10

HOST = hashlib.blake2b(socket.gethostname().encode()).hexdigest()[:HOST_DIGITS]


def new_session_id() -> str:
    """Return the id of a new session of this process."""
    # The process is not cached: servers fork their workers after importing the app.
    return f"{HOST}.{os.getpid()}.{secrets.token_urlsafe(SECRET_BYTES)}"


def owner_of(session: str) -> tuple[str, int] | None:
    """Return the host and the process that owns a session; None if the id is invalid."""
    host, _, rest = session.partition(".")
    process = rest.partition(".")[0]
    is_valid = (
        len(host) == HOST_DIGITS and process.isascii() and process.isdecimal() and len(process) <= MAX_PROCESS_DIGITS
    )
    return (host, int(process)) if is_valid else None


# --- sockets


class SocketHandoff:
    """The processes that serve one port. Each listens on a Unix socket in a private folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own_path = folder / str(os.getpid())
        self._listener: socket.socket | None = None

    def peer_path(self, process: int) -> Path | None:
        """Return the Unix socket of a process; None if it is this one or does not exist."""
        socket_path = self.folder / str(process)
        return socket_path if socket_path != self._own_path and socket_path.is_socket() else None

    def open(self, adopt: Adopt, spawn: Callable[[Any], object]) -> None:
        self._listener = listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.settimeout(0)
        listener.bind(str(self._own_path))
        listener.listen(BACKLOG)
        self._watch(listener, adopt, spawn)

    def _watch(self, listener: socket.socket, adopt: Adopt, spawn: Callable[[Any], object]) -> None:
        if self._listener is listener:  # not closed in the meantime
            asyncio.get_running_loop().add_reader(listener, self._accept, listener, adopt, spawn)

    def close(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            self._own_path.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket, adopt: Adopt, spawn: Callable[[Any], object]) -> None:
        while True:
            try:
                sender, _ = listener.accept()
            except BlockingIOError:  # all pending sockets are accepted
                return
            except OSError as failure:  # no free descriptor: the loop would call this again immediately
                log.warning("socket_handoff_accept_failed", reason=str(failure))
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(ACCEPT_RETRY_SECONDS, self._watch, listener, adopt, spawn)
                return
            receive_socket(sender, adopt, spawn)


def receive_socket(sender: socket.socket, adopt: Adopt, spawn: Callable[[Any], object]) -> None:
    """Receive the descriptor, then the bytes that were read from it, until the sender closes; then let `adopt` serve the socket."""
    received: list[socket.socket] = []
    buffer = bytearray()

    def read() -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(sender, CHUNK_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors = b"", []
        received.extend(socket.socket(fileno=descriptor) for descriptor in descriptors)
        buffer.extend(data)
        if not data:
            asyncio.get_running_loop().remove_reader(sender)
            sender.close()
            if received:
                spawn(adopt(received[-1], bytes(buffer)))

    sender.settimeout(0)
    asyncio.get_running_loop().add_reader(sender, read)


async def hand_off(socket_path: Path, scope: Scope, body: bytes) -> bool:
    """Pass on the socket of a request with the bytes read from it; False if the owner does not listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sender:
        sender.settimeout(0)
        try:
            sender.connect(str(socket_path))
        except OSError:
            return False
        try:
            transport, early = scope["extensions"][EXTENSION](asyncio.Protocol())
        except ConnectionResetError:
            return True  # the client disconnected
        transport.pause_reading()  # later data is read by the owner
        try:
            target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
            head = [b"%b %b HTTP/%b" % (scope["method"].encode(), target, scope["http_version"].encode())]
            head += [b"%b: %b" % (name, value) for name, value in scope["headers"] if name not in BODY_HEADERS]
            head += [b"content-length: %d" % len(body)] if scope["method"] == "POST" else []
            request = b"\r\n".join((*head, b"", body + early))
            sent = socket.send_fds(sender, [request[:CHUNK_BYTES]], [transport.get_extra_info("socket").fileno()])
            async with asyncio.timeout(HANDOFF_TIMEOUT):
                await asyncio.get_running_loop().sock_sendall(sender, request[sent:])
        except OSError as failure:  # a TimeoutError too
            log.warning("socket_handoff_failed", reason=str(failure) or "timeout")
        finally:
            transport.abort()  # closes only this process's descriptor
    return True
