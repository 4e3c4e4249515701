"""Engine.IO session ids. They begin with the host and process of the session, so that any process can forward or reject
requests for it."""

import hashlib
import os
import secrets
import socket
from typing import NamedTuple

from bellcast.live.socketio.protocol.engineio import UNKNOWN_SESSION, EngineError

# The id alone authorizes access to the session: 144 random bits.
SECRET_BYTES = 18
# 32 bits, so that two machines of one service are unlikely to share them.
HOST_DIGITS = 8
MAX_PROCESS_DIGITS = 10

ELSEWHERE = EngineError(
    UNKNOWN_SESSION.code,
    "Session ID unknown: it began on another machine. Polling needs a balancer that keeps each client on one machine, "
    "or clients that use WebSocket alone (transports: ['websocket']).",
)
OUT_OF_REACH = EngineError(
    UNKNOWN_SESSION.code,
    "Session ID unknown: it began in another process, which has ended or cannot be reached from this one.",
)


class ProcessId(NamedTuple):
    host: str
    process: int


HOST = hashlib.blake2b(socket.gethostname().encode()).hexdigest()[:HOST_DIGITS]


def current() -> ProcessId:
    """Return this process. Not cached, because servers fork their workers after importing the app."""
    return ProcessId(HOST, os.getpid())


def new_sid() -> str:
    return f"{HOST}.{os.getpid()}.{secrets.token_urlsafe(SECRET_BYTES)}"


def owner_of(sid: str) -> ProcessId | None:
    """Return the process that owns a session id; None if the id is invalid."""
    host, _, rest = sid.partition(".")
    process = rest.partition(".")[0]
    is_valid = (
        len(host) == HOST_DIGITS and process.isascii() and process.isdecimal() and len(process) <= MAX_PROCESS_DIGITS
    )
    return ProcessId(host, int(process)) if is_valid else None


def unknown_session(sid: str) -> EngineError:
    """Return the reason why a session was not found."""
    owner = owner_of(sid)
    if owner is None or owner == current():
        return UNKNOWN_SESSION
    return OUT_OF_REACH if owner.host == HOST else ELSEWHERE
