"""Fuzzing of input from Pusher's clients and server SDKs: frames, signed data, and queries of signed requests."""

import json
from typing import Any
from urllib.parse import quote

from hypothesis import strategies as st

from bellcast.kernel import validation
from bellcast.kernel.errors import BadRequest, Invalid, Unauthenticated
from bellcast.kernel.http import request_body
from bellcast.kernel.identities import Project
from bellcast.live.pusher import protocol, signatures
from bellcast.live.pusher.http import infos
from tests.fuzz.runner import fuzz
from tests.unit.live import fakes

PROJECT = Project("1", "key", "secret")
NOW = 1_750_000_000_000
EVENTS = ["pusher:subscribe", "pusher:unsubscribe", "pusher:signin", "pusher:ping", "pusher:pong", "client-x", "x"]
FIELDS = ["channel", "auth", "channel_data", "user_data", "event", "data", "id", "user_id", "user_info", "watchlist"]
NUMBERS = st.integers(-(2**70), 2**70) | st.floats() | st.sampled_from([2**64, 10**200, 10**400])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=6,
)
TEXTS = JSON.map(json.dumps)
FRAMES = st.builds(
    lambda event, channel, data: json.dumps({"event": event, "channel": channel, "data": data}),
    st.sampled_from(EVENTS),
    JSON,
    JSON | TEXTS | st.dictionaries(st.sampled_from(FIELDS), st.text(max_size=8) | TEXTS, max_size=4),
)
FRAME_SEEDS = [
    '{"event":"pusher:subscribe","data":"{\\"channel\\":\\"a\\"}"}',
    '{"event":"pusher:subscribe","data":{"channel":"a","auth":{}}}',
    '{"event":"client-x","channel":"private-a","data":123456789012345678901234567890}',
    '{"event":"\\ud800"}',
    '{"event":"' + "x" * 1_000 + '"}',
    "[" * 100_000,
]
DATA_SEEDS = [
    '{"user_id":1' + "0" * 300 + "}",
    '{"user_id":1' + "0" * 5_000 + "}",
    '{"user_id":"u","user_info":{"n":18446744073709551616}}',
    '{"id":"' + "x" * 129 + '"}',
    '{"id":"u","watchlist":["u","u",""]}',
]
NAMES = [
    "auth_key",
    "auth_version",
    "auth_timestamp",
    "auth_signature",
    "body_md5",
    "info",
    "info[]",
    "info[1]",
    "[",
    "a[1",
]
VALUES = [
    "key",
    "1.0",
    str(NOW // 1000),
    "é",
    "%C3%A9",
    "%",
    "%ff",
    "%00",
    "٣",
    "9" * 30,
    "-1",
    "İ",
    "a,b",
    "",
    "\ud800",
]
PAIRS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(max_size=6)), max_size=10)
QUERIES = PAIRS.map(
    lambda pairs: "&".join(f"{quote(name)}={quote(value, errors='replace')}" for name, value in pairs).encode()
) | st.binary(max_size=60)
GOOD = f"auth_key=key&auth_version=1.0&auth_timestamp={NOW // 1000}"
QUERY_SEEDS = [
    f"{GOOD}&body_md5=%C3%A9&auth_signature=a".encode(),
    f"{GOOD}&auth_signature=%C3%A9".encode(),
    f"{GOOD}&info[0]=a&info[1]=b".encode(),
    b"auth_key=key&auth_version=1.0&auth_timestamp=%D9%A3",
    b"&" * 200,
    b"%ff=%ff",
    b"[" * 2_000,
    b"a[1]=" * 90,
]


def test_pusher_frames_are_commands_or_rejected_in_a_response() -> None:
    def check(text: str) -> None:
        try:
            command = protocol.receive(text)
        except BadRequest as refused:
            command, response = None, protocol.error(refused.detail)
        match command:
            case None:
                pass
            case protocol.PusherSubscribe(channel):
                response = protocol.subscription_error(channel, "AuthError", channel, 401)
                signatures.is_valid_for_any([PROJECT], command.auth or "", channel)
            case protocol.ClientEvent(event, channel, data):
                list(validation.data("data", data, 0))
                response = protocol.event_frame(event, channel, protocol.text(data))
            case _:
                response = protocol.PONG
        assert len(fakes.messages(protocol.WEBSOCKET.encode_frame(response))) == 1

    fuzz("pusher frames", FRAMES | st.text(max_size=40), check, FRAME_SEEDS)


def test_signed_data_is_parsed_or_reported_as_wrong() -> None:
    def check(text: str) -> None:
        member, user = protocol.read_member(text), protocol.read_user(text)
        infos: list[Any] = ["" if isinstance(user, str) else user.user_info]
        if not isinstance(member, str):
            infos.append(member.info)
            assert 1 <= len(member.recipient) <= 128
        for info in infos:
            list(validation.data("user_info", info, 0))

    shaped = st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4).map(json.dumps)
    fuzz("pusher user data", shaped | TEXTS | st.text(max_size=40), check, DATA_SEEDS)


def test_unsigned_queries_are_always_refused() -> None:
    def check(query: bytes) -> None:
        try:
            pairs = request_body.query_items(query)
            infos("info", signatures.parameters(pairs).get("info"), frozenset({"user_count"}))
            signatures.check_request(PROJECT, "POST", "/apps/1/%C3%A9", pairs, b"{}", NOW)
        except (BadRequest, Invalid, Unauthenticated):
            return
        raise AssertionError("passed without a signature")

    fuzz("pusher queries", QUERIES, check, QUERY_SEEDS)
