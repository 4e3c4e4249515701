"""What a client says until it is ready is what the stock clients say, and a refusal is an error."""

import msgspec
import pytest

from bellcast.auth import pusher_signatures
from bellcast.bench import handshakes
from bellcast.bench.handshakes import HandshakeRefused
from bellcast.bench.server_under_test import APP, KEY, SECRET
from bellcast.model.identities import Project

PROJECT = Project(APP, KEY, SECRET)
ESTABLISHED = (
    b'{"event":"pusher:connection_established","data":"{\\"socket_id\\":\\"12.34\\",\\"activity_timeout\\":120}"}'
)


def subscription(talk, number=0):
    return msgspec.json.decode(talk(number, ESTABLISHED))["data"]


def test_a_native_client_is_ready_at_its_first_frame():
    talk = handshakes.until(b'"connection"')
    assert talk(0, b'{"type":"ready","connection":"c"}') is None
    with pytest.raises(HandshakeRefused, match="close"):
        talk(0, b'{"type":"close"}')


def test_a_socketio_client_connects_with_its_own_token_once_the_pipe_is_open():
    talk = handshakes.socketio(lambda number: f"token-{number}")
    assert talk(7, b'0{"sid":"x"}') == b'40{"token":"token-7"}'
    assert talk(7, b'40{"sid":"y"}') is None
    with pytest.raises(HandshakeRefused, match="expired"):
        talk(7, b'44{"message":"expired"}')


def test_a_pusher_client_signs_for_its_socket_and_is_ready_when_it_follows():
    talk = handshakes.Pusher(KEY, SECRET, "private-x")
    asked = subscription(talk)
    assert pusher_signatures.is_valid(PROJECT, asked["auth"], pusher_signatures.channel_string("12.34", "private-x"))
    assert talk(0, b'{"event":"pusher_internal:subscription_succeeded","channel":"private-x","data":"{}"}') is None
    with pytest.raises(HandshakeRefused, match="no such app"):
        talk(0, b'{"event":"pusher:error","data":{"message":"no such app"}}')


def test_a_pusher_client_that_is_somebody_signs_in_first():
    talk = handshakes.Pusher(KEY, SECRET, "private-x", user=lambda number: f"u-{number}")
    said = msgspec.json.decode(talk(4, ESTABLISHED))
    assert said["event"] == "pusher:signin"
    assert msgspec.json.decode(said["data"]["user_data"]) == {"id": "u-4"}
    assert pusher_signatures.is_valid(
        PROJECT, said["data"]["auth"], pusher_signatures.user_string("12.34", said["data"]["user_data"])
    )
    assert talk(4, b'{"event":"reset","channel":"#server-to-user-u-4","data":"{}"}') == b""
    assert b"private-x" in (talk(4, b'{"event":"pusher:signin_success","data":"{}"}') or b"")


def test_a_member_of_a_presence_channel_is_signed_for_by_its_number():
    asked = subscription(handshakes.Pusher(KEY, SECRET, "presence-x", member=lambda number: f"m-{number}"), 3)
    assert msgspec.json.decode(asked["channel_data"]) == {"user_id": "m-3", "user_info": {"name": "Member m-3"}}
    assert pusher_signatures.is_valid(
        PROJECT, asked["auth"], pusher_signatures.channel_string("12.34", "presence-x", asked["channel_data"])
    )
