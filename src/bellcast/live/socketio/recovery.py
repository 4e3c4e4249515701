"""What a client brings to come back as who it was: signed, so that nothing is kept for it here.

The id tells whose it is, where the inbox stood when it was given out, and the public id to go on under. It opens
nothing by itself: the credentials are checked at every return and must name the same recipient.
"""

import base64
import binascii
import hmac
from typing import Any

import msgspec
from msgspec import Struct

from bellcast.model.identities import Principal, Project
from bellcast.model.inboxes import Position, parse_position

PURPOSE = b"socketio recovery\0"
SIGNATURE_BYTES = 16
# Far above what one of ours is; a longer one is looked at no further.
MAX_PID_LENGTH = 2_048


class Pid(Struct, frozen=True, array_like=True):
    """One connection to resume: in which namespace, as whom, since when."""

    tenant: str
    recipient: str
    namespace: str
    sid: str
    position: str

    def is_of(self, principal: Principal, namespace: str) -> bool:
        """True if this was issued to the same recipient."""
        return (self.tenant, self.recipient, self.namespace) == (principal.tenant, principal.recipient, namespace)


_decoder = msgspec.json.Decoder(Pid)


def sign(project: Project, pid: Pid) -> str:
    """Encode the `pid` that a client keeps."""
    body = msgspec.json.encode(pid)
    return base64.urlsafe_b64encode(_signature(project, body) + body).rstrip(b"=").decode()


def read(project: Project, text: Any) -> Pid | None:
    """Decode a client's `pid`; None if it is invalid."""
    if not isinstance(text, str) or len(text) > MAX_PID_LENGTH:
        return None
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        signature, body = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, _signature(project, body)):
            return None
        return _decoder.decode(body)
    except (ValueError, binascii.Error, msgspec.DecodeError):
        return None


def position_of(pid: Pid, offset: Any) -> Position | None:
    """Where the client has come to: its offset, or where it began if it has none that is ours."""
    told = parse_position(offset) if isinstance(offset, str) else None
    return told or parse_position(pid.position)


def _signature(project: Project, body: bytes) -> bytes:
    return hmac.digest(project.secret.encode(), PURPOSE + body, "sha256")[:SIGNATURE_BYTES]
