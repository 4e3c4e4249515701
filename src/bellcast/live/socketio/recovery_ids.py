"""Signed recovery ids (`pid`) of Socket.IO, for which the server stores nothing.

An id contains the recipient, the inbox position when it was issued, and the public connection id. It does not replace
credentials: every reconnect is authenticated, and must be for the same recipient.
"""

import base64
import binascii
import hmac
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from bellcast.inbox.types.positions import Position, parse_position
from bellcast.kernel.brokers import history_rules as history
from bellcast.kernel.identities import Principal, Project
from bellcast.live.socketio.protocol import dialect

PURPOSE = b"socketio recovery\0"
SIGNATURE_BYTES = 16
# Several times the length of an issued id; longer ones are not decoded.
MAX_PID_LENGTH = 2_048


class Pid(Struct, frozen=True, array_like=True):
    tenant: str
    recipient: str
    namespace: str
    sid: str
    position: str
    connected_at: int = 0  # a new session has another id: clients recognize a recovery by the same one

    def is_of(self, principal: Principal, namespace: str) -> bool:
        return (self.tenant, self.recipient, self.namespace) == (principal.tenant, principal.recipient, namespace)


_decoder = msgspec.json.Decoder(Pid)


def sign(project: Project, pid: Pid) -> str:
    body = msgspec.json.encode(pid)
    return base64.urlsafe_b64encode(_signature(project, body) + body).rstrip(b"=").decode()


def read(project: Project, text: Any, offset: Any) -> Pid | None:
    """Decode a client's `pid`; None if it is invalid, or if the offset shows that the client must not be recovered."""
    if not isinstance(text, str) or len(text) > MAX_PID_LENGTH:
        return None
    if isinstance(offset, str) and offset.startswith(dialect.UNRECOVERABLE):
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not any(hmac.compare_digest(signature, _signature(one, body)) for one in project.accepted):
            return None
        return _decoder.decode(body)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None


class RecoveryPoint(NamedTuple):
    """The inbox position and the last live event of a returning client. `text` is the resume position. `has_joined`:
    the client had joined topics when it received the offset."""

    position: Position
    text: str
    has_joined: bool


def point_of(pid: Pid, offset: Any) -> RecoveryPoint | None:
    """Return the resume position in the client's offset or, if that is invalid, the one at its start."""
    for text in (offset, pid.position):
        if isinstance(text, str):
            bare = text.removeprefix(dialect.HAS_JOINED)
            position = parse_position(history.split_position(bare)[0])
            if position is not None:
                return RecoveryPoint(position, bare, has_joined=bare != text)
    return None


def _signature(project: Project, body: bytes) -> bytes:
    return hmac.digest(project.secret.encode(), PURPOSE + body, "sha256")[:SIGNATURE_BYTES]
