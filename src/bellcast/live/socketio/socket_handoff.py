"""Requests for a session that another process of this machine holds. Their socket is given to that process, which
answers them and keeps it: what comes next on the same connection is with its owner at once, and a WebSocket that
takes a session over costs no more than one that came to the right process by itself."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from bellcast.live.http import asgi
from bellcast.live.http.takeover import EXTENSION
from bellcast.live.socketio import session_ids

log = structlog.get_logger(__name__)

# Pending sockets; each event loop iteration accepts all of them.
BACKLOG = 1_024
CHUNK_BYTES = 65_536
# What says how a body travelled; here it travels whole.
BODY_HEADERS = (b"content-length", b"transfer-encoding", b"expect")

Adopt = Callable[[socket.socket, bytes], Awaitable[None]]


class SocketHandoff:
    """The processes that serve one port, each with a door of its own in a folder only they may enter."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._own = folder / str(os.getpid())
        self._door: socket.socket | None = None

    def peer_path(self, sid: str) -> Path | None:
        """Where a session's owner takes sockets in; None if that is nobody, or ourselves."""
        home = session_ids.owner_of(sid)
        if home is None or home.host != session_ids.HOST:
            return None
        door = self.folder / str(home.process)
        return door if door != self._own and door.is_socket() else None

    def open(self, adopt: Adopt, spawn: Callable[[Any], object]) -> None:
        """Start accepting sockets from other processes."""
        self._door = door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        door.settimeout(0)
        door.bind(str(self._own))
        door.listen(BACKLOG)
        asyncio.get_running_loop().add_reader(door, self._accept, door, adopt, spawn)

    def close(self) -> None:
        """Stop accepting sockets."""
        if self._door is not None:
            asyncio.get_running_loop().remove_reader(self._door)
            self._door.close()
            self._door = None
            self._own.unlink(missing_ok=True)

    def _accept(self, door: socket.socket, adopt: Adopt, spawn: Callable[[Any], object]) -> None:
        while True:
            try:
                giving, _ = door.accept()
            except OSError:  # nobody more; or no more files, and then the giver is told by silence
                return
            IncomingSocket(giving, adopt, spawn)


class IncomingSocket:
    """One socket on its way in: first itself, then what was read from it, up to the end."""

    def __init__(self, giving: socket.socket, adopt: Adopt, spawn: Callable[[Any], object]) -> None:
        self._giving = giving
        self._adopt = adopt
        self._spawn = spawn
        self._socket: socket.socket | None = None
        self._read = bytearray()
        giving.settimeout(0)
        asyncio.get_running_loop().add_reader(giving, self._more)

    def _more(self) -> None:
        try:
            data, given, _, _ = socket.recv_fds(self._giving, CHUNK_BYTES, 1)
        except BlockingIOError:
            return
        except OSError:
            data, given = b"", []
        if given:
            self._socket = socket.socket(fileno=given[0])
        self._read += data
        if not data:
            asyncio.get_running_loop().remove_reader(self._giving)
            self._giving.close()
            if self._socket is not None:
                self._spawn(self._adopt(self._socket, bytes(self._read)))


async def hand_off(door: Path, scope: asgi.Scope, body: bytes) -> bool:
    """Give a request's socket away with all that was read from it; False if nobody takes it, and it can be answered here."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as giving:
        giving.settimeout(0)
        try:
            giving.connect(str(door))
        except OSError:
            return False
        try:
            transport, early = scope["extensions"][EXTENSION](asyncio.Protocol())
        except ConnectionResetError:
            return True  # the client has gone: nobody needs an answer
        transport.pause_reading()  # later data is read by the owner
        try:
            said = _head(scope, body) + body + early
            sent = socket.send_fds(giving, [said[:CHUNK_BYTES]], [transport.get_extra_info("socket").fileno()])
            await asyncio.get_running_loop().sock_sendall(giving, said[sent:])
        except OSError as failure:
            log.warning("a connection could not be given to its owner", why=str(failure))
        finally:
            transport.abort()  # closes only this process's descriptor
    return True


def _head(scope: asgi.Scope, body: bytes) -> bytes:
    """The request's head, as it came."""
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    first = b"%b %b%b HTTP/%b" % (scope["method"].encode(), scope["raw_path"], query, scope["http_version"].encode())
    headers = [b"%b: %b" % (name, value) for name, value in scope["headers"] if name not in BODY_HEADERS]
    size = [b"content-length: %d" % len(body)] if scope["method"] == "POST" else []
    return b"\r\n".join((first, *headers, *size, b"", b""))
