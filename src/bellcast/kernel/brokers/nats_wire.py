"""The NATS protocol of clients: bytes to messages, operations to bytes, subjects. No I/O."""

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from bellcast.kernel import base64url
from bellcast.kernel.errors import SettingsError
from bellcast.kernel.events import SEPARATOR, Stream
from bellcast.kernel.ip_addresses import is_server

# Bytes of an operation without its payload: INFO with the addresses of a large cluster has 10 kB.
MAX_LINE_BYTES = 65_536
# Bytes of a message: the largest `max_payload` that a server accepts.
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
# A server closes connections with operations of 4,096 bytes without their payload; a subject has four long tokens at most.
MAX_TOKEN_BYTES = 900
VERSION_LINE = b"NATS/1.0"
PING, PONG = b"PING\r\n", b"PONG\r\n"
UNSAFE = re.compile(rb"[^A-Za-z0-9_-]")
SEED = re.compile(r"-----BEGIN USER NKEY SEED-----\s+(\S+)")
JWT = re.compile(r"-----BEGIN NATS USER JWT-----\s+(\S+)")
SEED_BYTES = slice(2, 34)  # after the prefix, before the checksum

# Operations with a payload, and the number of their words without a reply subject.
MESSAGES = {b"MSG": 3, b"HMSG": 4}
DEFAULT_PORT = 4222
REPLICAS = ("1", "3")

encode_json = msgspec.json.Encoder().encode


class NatsAddress(NamedTuple):
    """The parts of a `nats://` or `tls://` URL."""

    hosts: tuple[tuple[str, int], ...]
    is_tls: bool
    user: str | None = None
    password: str | None = None
    creds: Path | None = None
    replicas: int = 1
    streams: int = 2_000


def parse_url(url: str) -> NatsAddress:
    """Parse the URL of a broker. Raises ValueError, or SettingsError with what was expected of a part."""
    scheme, _, rest = url.partition("://")
    servers = re.split("[/?#]", rest, maxsplit=1)[0]  # Debian's `urlsplit` refuses several with an IPv6 address
    parts = urlsplit(rest.removeprefix(servers))
    login, _, netloc = servers.rpartition("@")
    user, colon, password = login.partition(":")
    found = [urlsplit(f"//{host}") for host in netloc.split(",")]
    if parts.netloc or parts.path.strip("/") or not all(map(is_server, netloc.split(","))):
        raise ValueError(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    creds, replicas, streams = query.pop("creds", None), query.pop("replicas", "1"), query.pop("streams", "2000")
    if query:
        raise SettingsError(f"expected a URL with creds, replicas and streams, got {next(iter(query))!r}.")
    if replicas not in REPLICAS:
        raise SettingsError(f"expected a URL with replicas 1 or 3, got {replicas!r}.")
    if not (streams.isascii() and streams.isdigit()):
        raise SettingsError(f"expected a URL with streams as a whole number, got {streams!r}.")
    return NatsAddress(
        tuple((one.hostname or "", one.port or DEFAULT_PORT) for one in found),
        scheme == "tls",
        unquote(user) if login else None,
        unquote(password) if colon else None,
        None if creds is None else Path(creds),
        int(replicas),
        int(streams),
    )


class Message(NamedTuple):
    """A message to the subscription `sid`. `headers` is empty, or the block that begins with the version line."""

    sid: int
    subject: bytes
    reply: bytes
    headers: bytes
    payload: bytes

    @property
    def status(self) -> int:
        """The status in the version line, such as 503 if no one responds to a request; 0 without one."""
        status = self.headers[len(VERSION_LINE) : len(VERSION_LINE) + 4].strip()
        return int(status) if status.isdigit() else 0

    def header(self, name: bytes) -> bytes | None:
        """Return a header's value. The name is in the spelling of the sender."""
        start = self.headers.find(b"\r\n" + name + b":")
        if start < 0:
            return None
        start += len(name) + 3
        return self.headers[start : self.headers.index(b"\r\n", start)].strip()


class Control(NamedTuple):
    """An operation other than a message: INFO, PING, PONG, +OK or -ERR, and its text."""

    name: bytes
    text: bytes


class ProtocolError(ValueError):
    """The peer does not speak the NATS protocol."""


class NatsParser:
    """Splits the bytes of a connection into operations."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> list[Message | Control]:
        """Return the operations that are complete. Raises ProtocolError."""
        buffer = self._rest + data if self._rest else data
        operations: list[Message | Control] = []
        start = 0
        try:
            while (end := buffer.find(b"\r\n", start, start + MAX_LINE_BYTES)) >= 0:
                name, _, text = buffer[start:end].partition(b" ")
                begin = end + 2  # of the payload, or of the next operation
                if name in MESSAGES:
                    words = text.split(b" ")
                    size = int(words[-1])
                    split = begin + (int(words[-2]) if name == b"HMSG" else 0)
                    end = begin + size
                    if not begin <= split <= end or size > MAX_MESSAGE_BYTES:
                        raise ProtocolError("a message of an invalid size")
                    if len(buffer) < end + 2:
                        break
                    reply = words[2] if len(words) > MESSAGES[name] else b""
                    operations.append(Message(int(words[1]), words[0], reply, buffer[begin:split], buffer[split:end]))
                    start = end + 2
                else:
                    operations.append(Control(name, text))
                    start = begin
            else:
                if len(buffer) - start > MAX_LINE_BYTES:
                    raise ProtocolError("a line without an end")
        except (ValueError, IndexError) as failure:
            raise ProtocolError(f"not an operation of NATS: {failure}") from failure
        self._rest = buffer[start:]
        return operations


def subscribe(subject: bytes, sid: int) -> bytes:
    return b"SUB %b %d\r\n" % (subject, sid)


def unsubscribe(sid: int) -> bytes:
    return b"UNSUB %d\r\n" % sid


def publish(subject: bytes, payload: bytes, reply: bytes = b"", headers: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    if not headers:
        return b"PUB %b %b %d\r\n%b\r\n" % (subject, reply, len(payload), payload)
    lines = b"".join([b"%b: %b\r\n" % header for header in headers])
    block = b"%b\r\n%b\r\n" % (VERSION_LINE, lines)
    return b"HPUB %b %b %d %d\r\n%b%b\r\n" % (subject, reply, len(block), len(block) + len(payload), block, payload)


def token(text: str) -> bytes:
    """Encode text as one token of a subject: bytes outside `[A-Za-z0-9_-]` are `=XX`, an empty text is `=`. A token that is
    too long for a server is a digest."""
    raw = text.encode("utf-8", "surrogatepass")
    encoded = UNSAFE.sub(lambda match: b"=%02X" % match[0][0], raw) or b"="
    if len(encoded) <= MAX_TOKEN_BYTES:
        return encoded
    return b"=x" + hashlib.blake2b(raw, digest_size=32).hexdigest().encode()


def subject_of(stream: Stream) -> bytes:
    """Return the end of a stream's subject: `<tenant>.<kind>.<name>`."""
    kind, _, rest = stream.partition(SEPARATOR)
    tenant, _, name = rest.partition(SEPARATOR)
    return b"%b.%b.%b" % (token(tenant), token(kind), token(name))


def signed(nonce: str, credentials: str) -> dict[str, str]:
    """Return the options of CONNECT for the text of a creds file: its JWT, and the nonce signed with its seed. Raises
    ValueError."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # slow to import

    jwt, seed = JWT.search(credentials), SEED.search(credentials)
    if jwt is None or seed is None:
        raise ValueError("expected a file with a user JWT and an NKey seed")
    raw = base64.b32decode(seed[1] + "=" * (-len(seed[1]) % 8))[SEED_BYTES]
    signature = Ed25519PrivateKey.from_private_bytes(raw).sign(nonce.encode())
    return {"jwt": jwt[1], "sig": base64url.encode(signature)}
