"""The NATS protocol: operations split at any byte, subjects, and signatures of creds files."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bellcast.kernel.brokers import nats_wire as wire
from bellcast.kernel.brokers.nats_wire import Control, Message, NatsParser, ProtocolError
from bellcast.kernel.events import ANNOUNCEMENTS, Stream, inbox_stream, topic_stream
from tests import nats_accounts

HEADERS = b"NATS/1.0\r\nNats-Sequence: 7\r\nNats-Stream:log\r\n\r\n"
OPERATIONS = {
    b'INFO {"version":"2.12.7"} \r\n': Control(b"INFO", b'{"version":"2.12.7"} '),
    b"PING\r\n": Control(b"PING", b""),
    b"-ERR 'Slow Consumer'\r\n": Control(b"-ERR", b"'Slow Consumer'"),
    b"MSG a.b 7 5\r\nhel\r\n\r\n": Message(7, b"a.b", b"", b"", b"hel\r\n"),
    b"MSG a.b 7 _INBOX.1 0\r\n\r\n": Message(7, b"a.b", b"_INBOX.1", b"", b""),
    b"HMSG a 1 %d %d\r\n%bhi\r\n" % (len(HEADERS), len(HEADERS) + 2, HEADERS): Message(1, b"a", b"", HEADERS, b"hi"),
    b"HMSG a 1 r %d %d\r\n%b\r\n" % (len(HEADERS), len(HEADERS), HEADERS): Message(1, b"a", b"r", HEADERS, b""),
}


@pytest.mark.parametrize("bytes_per_read", [1, 2, 7, 1_000_000])
def test_operations_are_parsed_however_they_are_split(bytes_per_read: int) -> None:
    parser, data = NatsParser(), b"".join(OPERATIONS)
    found = [
        one
        for start in range(0, len(data), bytes_per_read)
        for one in parser.receive(data[start : start + bytes_per_read])
    ]
    assert found == list(OPERATIONS.values())


@pytest.mark.parametrize(
    "data",
    [
        b"MSG a.b x 5\r\nhello\r\n",
        b"MSG a.b\r\n",
        b"MSG a.b 1 -1\r\n",
        b"MSG a.b 1 999999999999\r\n",
        b"HMSG a 1 9 5\r\nhello\r\n",
        b"x" * 70_000,
    ],
)
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        NatsParser().receive(data)


def test_headers_are_found_by_their_names() -> None:
    message = Message(1, b"a", b"", HEADERS, b"")
    assert (message.header(b"Nats-Sequence"), message.header(b"Nats-Stream")) == (b"7", b"log")
    assert (message.header(b"Sequence"), message.status) == (None, 0)
    assert Message(1, b"a", b"", b"NATS/1.0 503\r\n\r\n", b"").status == 503
    assert Message(1, b"a", b"", b"NATS/1.0 204 EOB\r\nA: 1\r\n\r\n", b"").status == 204


def test_published_messages_can_be_parsed() -> None:
    assert wire.publish(b"a.b", b"x") == b"PUB a.b  1\r\nx\r\n"
    data = wire.publish(b"a.b", b"xyz", b"r", [(b"K", b"v")])
    assert data == b"HPUB a.b r 18 21\r\nNATS/1.0\r\nK: v\r\n\r\nxyz\r\n"
    assert wire.subscribe(b"a.b", 3) + wire.unsubscribe(3) == b"SUB a.b 3\r\nUNSUB 3\r\n"


@pytest.mark.parametrize(
    ("stream", "subject"),
    [
        (topic_stream("", "room"), b"=.topic.room"),
        (topic_stream("acme", "a.b*>é"), b"acme.topic.a=2Eb=2A=3E=C3=A9"),
        (inbox_stream("a=b c", ""), b"a=3Db=20c.inbox.="),
        (ANNOUNCEMENTS, b"=.announcements.="),
    ],
)
def test_streams_have_subjects_of_safe_characters(stream: Stream, subject: bytes) -> None:
    assert wire.subject_of(stream) == subject


def test_names_have_distinct_tokens() -> None:
    names = ["", "acme", "a=b.c", "Zoë's \u2603", "\ud800", "=", "=x", "=3D"]
    assert len({wire.token(name) for name in names}) == len(names)


def test_long_names_have_distinct_tokens_of_limited_length() -> None:
    tokens = {wire.token("é" * 500 + str(number)) for number in range(10)}
    assert len(tokens) == 10
    assert max(map(len, tokens)) < 100


def test_nonce_is_signed_with_the_seed_of_a_creds_file() -> None:
    keys = nats_accounts.Keys("user")
    options = wire.signed("nonce", nats_accounts.creds("a.b.c", keys))
    signature = base64.urlsafe_b64decode(options["sig"] + "==")
    Ed25519PublicKey.from_public_bytes(keys.raw_public).verify(signature, b"nonce")
    assert options["jwt"] == "a.b.c"


@pytest.mark.parametrize("text", ["", "-----BEGIN NATS USER JWT-----\nx\n", "-----BEGIN USER NKEY SEED-----\nSU\n"])
def test_other_creds_files_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        wire.signed("nonce", text)
