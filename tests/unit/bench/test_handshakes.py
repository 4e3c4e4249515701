"""Handshakes of the load generator match those of the stock clients."""

import msgspec
import pytest
from benchmarks import handshakes
from benchmarks.handshakes import HandshakeRefused
from benchmarks.server_under_test import APP, KEY, SECRET

from bellcast.kernel.identities import Project
from bellcast.live.pusher import signatures as pusher_signatures

PROJECT = Project(APP, KEY, SECRET)
ESTABLISHED = (
    b'{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"12.34\\",\\"activity_timeout\\":120}"}'
)


def subscription(handshake, number=0):
    return msgspec.json.decode(handshake(number, ESTABLISHED))["data"]


def test_native_client_is_ready_at_its_first_frame():
    handshake = handshakes.until(b'"connection"')
    assert handshake(0, b'{"type":"ready","connection":"c"}') is None
    with pytest.raises(HandshakeRefused, match="close"):
        handshake(0, b'{"type":"close"}')


def test_socketio_client_connects_with_its_own_token_after_the_open_packet():
    handshake = handshakes.socketio(lambda number: f"token-{number}")
    assert handshake(7, b'0{"sid":"x"}') == b'40{"token":"token-7"}'
    assert handshake(7, b'40{"sid":"y"}') is None
    with pytest.raises(HandshakeRefused, match="expired"):
        handshake(7, b'44{"message":"expired"}')


def test_pusher_client_signs_for_its_socket_and_is_ready_once_subscribed():
    handshake = handshakes.Pusher(KEY, SECRET, "private-x")
    request = subscription(handshake)
    assert pusher_signatures.is_valid_for_any(
        [PROJECT], request["auth"], pusher_signatures.channel_string("12.34", "private-x")
    )
    assert handshake(0, b'{"event":"pusher_internal:subscription_succeeded","channel":"private-x","data":"{}"}') is None
    with pytest.raises(HandshakeRefused, match="no such app"):
        handshake(0, b'{"event":"pusher:error","data":{"message":"no such app"}}')


def test_pusher_client_with_a_user_signs_in_first():
    handshake = handshakes.Pusher(KEY, SECRET, "private-x", user=lambda number: f"u-{number}")
    signin = msgspec.json.decode(handshake(4, ESTABLISHED))
    assert signin["event"] == "pusher:signin"
    assert msgspec.json.decode(signin["data"]["user_data"]) == {"id": "u-4"}
    assert pusher_signatures.is_valid_for_any(
        [PROJECT], signin["data"]["auth"], pusher_signatures.user_string("12.34", signin["data"]["user_data"])
    )
    assert handshake(4, b'{"event":"reset","channel":"#server-to-user-u-4","data":"{}"}') == b""
    assert b"private-x" in (handshake(4, b'{"event":"pusher:signin_success","data":"{}"}') or b"")


def test_presence_member_is_signed_by_its_number():
    request = subscription(handshakes.Pusher(KEY, SECRET, "presence-x", member=lambda number: f"m-{number}"), 3)
    assert msgspec.json.decode(request["channel_data"]) == {"user_id": "m-3", "user_info": {"name": "Member m-3"}}
    assert pusher_signatures.is_valid_for_any(
        [PROJECT], request["auth"], pusher_signatures.channel_string("12.34", "presence-x", request["channel_data"])
    )
