"""The marketplace's live connections with the session cookie, and its encrypted chat."""

import re
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.example_apps import Browsers
from tests.journey.marketplace_client import (
    LiveConnection,
    book,
    change_booking,
    device,
    empty_inboxes,
    encrypted_message,
    open_live,
    send_message,
)
from tests.service_marketplace_app import marketplace


@pytest.fixture(scope="module")
def site(tmp_path_factory, two_workers):
    # A heartbeat per second, so that a test can wait for one.
    with marketplace(
        tmp_path_factory.mktemp("marketplace") / "data", two_workers=two_workers, BELLCAST_HEARTBEAT="1"
    ) as site:
        yield site


@pytest.fixture(scope="module")
def signed_in(site):
    with Browsers(site.visitor) as browsers:
        yield browsers


@pytest.fixture
def browsers(site, signed_in):
    """Signed-in browsers of all people, who have empty inboxes."""
    empty_inboxes(site)
    return signed_in


# --- live connections


@pytest.mark.thorough
def test_ping_is_answered_and_heartbeats_fill_silence(site, browsers):
    with open_live(site, browsers["nora"]) as to_nora:
        to_nora.send_frame("ping", ref="1")
        assert to_nora.next("pong")["ref"] == "1"
        assert to_nora.next("heartbeat")["time"]


@pytest.mark.thorough
def test_session_cookie_identifies_the_person_and_its_expiry(site, browsers):
    session = browsers["nora"].get("/api/bellcast-session").json()
    assert (session["recipient"], session["name"]) == ("nora", "Nora Achterberg")
    assert datetime.fromisoformat(session["expires_at"]) > datetime.now(UTC)
    with open_live(site, browsers["nora"]) as to_nora:
        assert to_nora.ready["recipient"] == "nora"


@pytest.mark.parametrize("cookie", [None, "gable=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "gable="])
def test_connection_without_a_session_is_refused(site, cookie):
    headers = {"Cookie": cookie} if cookie else {}
    with connect(site.live, origin=site.url, additional_headers=headers) as socket:
        code, close_frame = LiveConnection(socket).read_close()
    assert (code, close_frame["reason"]) == (4401, "unauthenticated")


def test_page_of_another_origin_cannot_use_the_cookie(site, browsers):
    cookie = f"gable={browsers['nora'].cookies['gable']}"
    with pytest.raises(InvalidStatus) as refused:
        connect(site.live, origin="https://elsewhere.example", additional_headers={"Cookie": cookie})
    assert refused.value.response.status_code == 403


def test_sign_out_closes_the_connection(site):
    with site.visitor("samir") as samir, open_live(site, samir) as to_samir:
        samir.post("/logout")
        code, close_frame = to_samir.read_close()
        assert (code, close_frame["reason"], close_frame["reconnect"]) == (4401, "revoked", False)


def test_session_ended_on_one_device_continues_on_the_others(site):
    with site.visitor("lucia") as laptop, site.visitor("lucia") as phone:
        ended = phone.cookies["gable"]
        newest, *_ = re.findall(r'data-end="(\w+)"', laptop.get("/account").text)
        with open_live(site, phone) as to_phone:
            assert laptop.delete(f"/api/sessions/{newest}").status_code == 200
            assert to_phone.read_close()[0] == 4401
        assert phone.get("/api/bellcast-token").status_code == 401
        with connect(site.live, origin=site.url, additional_headers={"Cookie": f"gable={ended}"}) as socket:
            assert LiveConnection(socket).read_close()[0] == 4401
        with open_live(site, laptop) as to_laptop:
            assert to_laptop.ready["recipient"] == "lucia"


@pytest.mark.thorough
def test_expired_session_closes_its_connection(tmp_path, two_workers):
    # A session is long enough for the connection to open on a loaded machine.
    short = marketplace(tmp_path / "data", two_workers=two_workers, session=20, BELLCAST_HEARTBEAT="1")
    with short as site, site.visitor("nora") as nora, open_live(site, nora) as to_nora:
        code, close_frame = to_nora.read_close()
        assert (code, close_frame["reason"]) == (4402, "expired")
        assert nora.get("/api/bellcast-token").status_code == 401
        assert nora.get("/bookings").headers["location"] == "/login"


def test_token_is_accepted_and_needs_a_session(site, browsers):
    token = browsers["nora"].get("/api/bellcast-token").json()["token"]
    with connect(f"{site.live}?token={token}", origin=site.url) as socket:
        assert LiveConnection(socket).next("ready")["recipient"] == "nora"
    with httpx.Client(base_url=site.url) as anonymous:
        assert anonymous.get("/api/bellcast-token").status_code == 401


def test_flood_closes_the_connection_and_allows_a_reconnect(site, browsers):
    with open_live(site, browsers["nora"]) as to_nora:
        with suppress(ConnectionClosed):
            for _ in range(2_000):
                to_nora.send_frame("ping")
        assert to_nora.read_close_code() == 4429
    with open_live(site, browsers["nora"]) as to_nora:
        assert to_nora.ready["recipient"] == "nora"


# --- the chat


def test_chat_message_reaches_the_open_chat_encrypted(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    booking = book(nora)
    topic = ben.get(f"/api/bookings/{booking}/chat").json()["topic"]
    message = encrypted_message(device(nora))
    with open_live(site, ben, topic=topic) as to_ben:
        assert send_message(nora, booking, message).status_code == 201
        received = to_ben.event("chat-message")
    assert {name: received[name] for name in message} == message
    assert (received["sender"], received["number"]) == ("nora", 1)
    [stored] = ben.get(f"/api/bookings/{booking}/chat").json()["messages"]
    assert stored == received


def test_closed_chat_is_notified_once_until_it_is_read(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    with open_live(site, ben) as to_ben:
        booking = book(nora)
        assert to_ben.next_notification()["type"] == "new_booking"
    key = device(nora)
    with open_live(site, ben) as to_ben:
        for _ in range(2):
            send_message(nora, booking, encrypted_message(key))
            notification = to_ben.next_notification()
            assert (notification["type"], notification["title"]) == ("notification", "Nora wrote to you")
            number = send_message(nora, booking, encrypted_message(key)).json()["number"]
            ben.post(f"/api/bookings/{booking}/read", json={"number": number})
        send_message(nora, booking, encrypted_message(key))
        assert to_ben.next_notification()["type"] == "notification"
        change_booking(nora, booking, "cancel")
        assert to_ben.next_notification()["type"] == "booking_cancelled"
    assert "1 new message" in ben.get("/bookings").text


def test_typing_and_reading_reach_the_other_side(site, browsers):
    nora, ben = browsers["nora"], browsers["ben"]
    booking = book(nora)
    topic = nora.get(f"/api/bookings/{booking}/chat").json()["topic"]
    ben.get(f"/api/bookings/{booking}/chat")
    with open_live(site, nora, topic=topic) as to_nora, open_live(site, ben, topic=topic) as to_ben:
        to_ben.send_frame("typing", topic=topic, on=True)
        received = to_nora.next("typing")
        assert (received["recipient"], received["on"]) == ("ben", True)
        send_message(nora, booking, encrypted_message(device(nora)))
        to_ben.event("chat-message")
        ben.post(f"/api/bookings/{booking}/read", json={"number": 1})
        assert to_nora.event("chat-read") == {"person": "ben", "number": 1}


def test_repeated_chat_message_is_stored_once(browsers):
    nora, booking = browsers["nora"], book(browsers["nora"])
    message = encrypted_message(device(nora))
    first, repeated = send_message(nora, booking, message), send_message(nora, booking, message)
    assert (first.status_code, repeated.status_code) == (201, 200)
    assert first.json() == repeated.json()
    assert len(nora.get(f"/api/bookings/{booking}/chat").json()["messages"]) == 1


def test_chat_is_rate_limited(browsers):
    samir, booking = browsers["samir"], book(browsers["samir"])
    key = device(samir)
    responses = [send_message(samir, booking, encrypted_message(key)) for _ in range(25)]
    assert [response.status_code for response in responses] == [201] * 20 + [429] * 5
    assert 1 <= int(responses[-1].headers["retry-after"]) <= 10


def test_chat_is_open_to_its_two_members_only(site, browsers):
    booking = book(browsers["nora"])
    topic = browsers["nora"].get(f"/api/bookings/{booking}/chat").json()["topic"]
    samir = browsers["samir"]
    assert samir.get(f"/api/bookings/{booking}/chat").status_code == 404
    assert send_message(samir, booking, encrypted_message(device(samir))).status_code == 404
    with open_live(site, samir, topic=topic) as to_samir:
        assert [one["topic"] for one in to_samir.ready["refused"]] == [topic]
        to_samir.send_frame("subscribe", topics=[topic], ref="1")
        assert to_samir.next("error")["code"] == "forbidden"


def test_signed_out_device_receives_no_more_messages(browsers, site):
    booking = book(browsers["nora"])
    with site.visitor("ben") as phone:
        ended = device(phone)
        phone.post("/logout")
    active = device(browsers["ben"])
    shown = browsers["nora"].get(f"/api/bookings/{booking}/chat").json()["devices"]
    is_here = {one["id"]: one["here"] for one in shown}
    assert (is_here[ended], is_here[active]) == (False, True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "1"),
        ("device", "me"),
        ("iv", "short"),
        ("body", ""),
        ("body", "words, in the open"),
        ("body", "A" * 4_101),
        ("keys", {}),
        ("keys", {"0" * 32: "A"}),
        ("keys", {f"{number:032x}": "A" * 64 for number in range(25)}),
        ("text", "words, in the open"),
    ],
)
def test_unencrypted_message_is_refused(browsers, field, value):
    nora, booking = browsers["nora"], book(browsers["nora"])
    refused = send_message(nora, booking, encrypted_message(device(nora)) | {field: value})
    assert refused.status_code == 422
    assert refused.json()["error"]
    assert nora.get(f"/api/bookings/{booking}/chat").json()["messages"] == []
