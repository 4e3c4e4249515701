"""Pusher signatures, checked against the examples in Pusher's documentation."""

import pytest

from bellcast.kernel.errors import Unauthenticated
from bellcast.kernel.identities import Project
from bellcast.live.pusher import signatures as pusher_signatures

# The application of the documented examples.
DOCUMENTED = Project("3", "278d425bdf160c739803", "7ad3773142a6692b25b8")
EVENT = b'{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}'
SENT = [
    ("auth_key", DOCUMENTED.key),
    ("auth_timestamp", "1353088179"),
    ("auth_version", "1.0"),
    ("body_md5", "ec365a775a4cd0599faeb73354201b6f"),
    ("auth_signature", "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"),
]
NOW = 1_353_088_179_000


def test_documented_signatures_are_valid() -> None:
    private = pusher_signatures.channel_string("1234.1234", "private-foobar")
    signature = "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
    assert pusher_signatures.is_valid_for_any([DOCUMENTED], f"{DOCUMENTED.key}:{signature}", private)
    data = '{"user_id":10,"user_info":{"name":"Mr. Channels"}}'
    presence = pusher_signatures.channel_string("1234.1234", "presence-foobar", data)
    signature = "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80"
    assert pusher_signatures.is_valid_for_any([DOCUMENTED], f"{DOCUMENTED.key}:{signature}", presence)


def test_documented_request_is_valid_within_ten_minutes() -> None:
    for now in (NOW, NOW + 600_000, NOW - 600_000):
        pusher_signatures.check_request(DOCUMENTED, "POST", "/apps/3/events", SENT, EVENT, now)
    for now in (NOW + 601_000, NOW - 601_000):
        with pytest.raises(Unauthenticated, match="auth_timestamp"):
            pusher_signatures.check_request(DOCUMENTED, "POST", "/apps/3/events", SENT, EVENT, now)


def test_php_list_parameters_are_joined() -> None:
    assert pusher_signatures.parameters([("info[0]", "a"), ("info[1]", "b"), ("Auth_Key", "k")]) == {
        "info": "a,b",
        "auth_key": "k",
    }


@pytest.mark.parametrize("auth", ["", ":", "key", "278d425bdf160c739803:", "278d425bdf160c739803:é", "\ud800:x"])
def test_malformed_signatures_are_invalid(auth: str) -> None:
    assert not pusher_signatures.is_valid_for_any([DOCUMENTED], auth, "1.2:private-a")


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [("1.2", True), ("1", False), ("1.2.3", False), ("١.٢", False), ("1.2\n", False), ("1." + "2" * 51, False)],
)
def test_socket_id_is_two_numbers_joined_by_a_dot(text: str, is_valid: bool) -> None:
    assert pusher_signatures.is_socket_id(text) is is_valid
