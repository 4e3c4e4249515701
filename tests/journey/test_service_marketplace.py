"""The marketplace over HTTP and WebSocket: messages about bookings and payments, sessions by cookie, and an
encrypted chat.
"""

import asyncio
import json
import re
import secrets
import time
import uuid
from base64 import urlsafe_b64encode
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from examples.service_marketplace import telling
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from bellcast.client import AsyncBellcast, Bellcast
from tests.marketplaces import marketplace

PATIENCE = 40  # seconds


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    # A heartbeat per second, so that a test can wait for one.
    with marketplace(tmp_path_factory.mktemp("marketplace") / "data", BELLCAST_HEARTBEAT="1") as place:
        yield place


@pytest.fixture
def people(place):
    """A signed-in browser for each person, with an empty inbox."""
    keys = ("nora", "samir", "ben", "lucia", "tomasz")
    with Bellcast(place.server.url, place.server.secret) as bell:
        for key in keys:
            bell.inbox(bell.token(key)).clear("all")
    with ExitStack() as visitors:
        yield {key: visitors.enter_context(place.visitor(key)) for key in keys}


class Line:
    """A live connection of a person."""

    def __init__(self, socket):
        self.socket = socket

    def say(self, type, **fields):
        self.socket.send(json.dumps({"type": type, **fields}))

    def next(self, type):
        """Skip frames until one has that type."""
        until = time.monotonic() + PATIENCE
        while True:
            frame = json.loads(self.socket.recv(timeout=max(0.01, until - time.monotonic())))
            if frame["type"] == type:
                return frame

    def told(self):
        """Return the next notification."""
        return self.next("notification")["notification"]

    def event(self, name):
        while True:
            frame = self.next("event")
            if frame["name"] == name:
                return frame["data"]

    def end(self):
        """Return the close code and the close frame."""
        said = self.next("close")
        return self.code(), said

    def code(self):
        """Read to the end, and return the close code."""
        try:
            while True:
                self.socket.recv(timeout=PATIENCE)
        except ConnectionClosed as closed:
            return closed.rcvd.code


@contextmanager
def line(place, person, **query):
    """Open the live connection of a signed-in browser, which authenticates by its cookie."""
    cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in person.cookies.jar)
    address = f"{place.live}?{httpx.QueryParams(query)}"
    with connect(address, origin=place.url, additional_headers={"Cookie": cookies}, close_timeout=1) as socket:
        yield Line(socket)


@contextmanager
def live(place, person, **query):
    """Open a live connection, and read its `ready`."""
    with line(place, person, **query) as opened:
        opened.ready = opened.next("ready")
        yield opened


def book(person, service="boiler", **fields):
    asked = {
        "service": service,
        "starts_at": f"{datetime.now(UTC) + timedelta(days=9):%Y-%m-%dT14:00}",
        "address": "Canal Row 18",
        "notes": "The key is under the pot",
    }
    answer = person.post("/api/bookings", json=asked | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def do(person, booking, move):
    return person.put(f"/api/bookings/{booking}/{move}", json={})


def pay(person, booking, card="4242"):
    return person.post(f"/api/bookings/{booking}/payment", json={"card": card})


def device(person):
    """Register a device key with the site, and return the name of the device."""
    key = urlsafe_b64encode(b"\x04" + secrets.token_bytes(64)).decode().rstrip("=")
    return person.put("/api/device", json={"key": key}).json()["device"]


def sealed(device, **fields):
    """Return a message as a browser encrypts it, which the site cannot read."""
    random = lambda size: urlsafe_b64encode(secrets.token_bytes(size)).decode().rstrip("=")  # noqa: E731
    return {"id": str(uuid.uuid4()), "device": device, "iv": random(12), "body": random(30), "keys": {device: random(48)}} | fields  # fmt: skip


def write(person, booking, message):
    return person.post(f"/api/bookings/{booking}/messages", json=message)


# --- bookings and payments


def test_booking_from_request_to_refund_notifies_both_sides(place, people):
    nora, ben = people["nora"], people["ben"]
    with live(place, nora) as to_nora, live(place, ben) as to_ben:
        booking = book(nora)
        new = to_ben.told()
        assert (new["type"], new["priority"], new["action_url"]) == ("new_booking", "high", f"/bookings/{booking}")
        assert new["data"] == {
            "type": "new_booking",
            "bookingId": str(booking),
            "serviceName": "Boiler service",
            "message": new["title"],
            "touches": [f"booking:{booking}"],
        }
        assert new["actor"]["name"] == "Nora Achterberg"

        do(ben, booking, "accept")
        assert to_nora.told()["type"] == "booking_accepted"

        assert pay(nora, booking, "0002").json()["status"] == "failed"
        failed = to_nora.told()
        assert (failed["type"], failed["priority"], failed["data"]["amount"]) == ("payment_failed", "high", "150.00")

        assert pay(nora, booking).json()["status"] == "paid"
        confirmed, received = to_nora.told(), to_ben.told()
        assert (confirmed["type"], received["type"]) == ("payment_confirmed", "payment_received")
        assert confirmed["data"]["paymentId"] == received["data"]["paymentId"]
        assert received["data"]["amount"] == "150.00"

        do(ben, booking, "complete")
        assert to_nora.told()["type"] == "booking_completed"
        ben.post(f"/api/bookings/{booking}/refund", json={})
        assert to_nora.told()["type"] == "payment_refunded"


def test_declined_and_cancelled_bookings_notify_both_sides(place, people):
    nora, ben = people["nora"], people["ben"]
    with live(place, nora) as to_nora, live(place, ben) as to_ben:
        do(ben, book(nora), "decline")
        assert to_nora.told()["type"] == "booking_declined"
        assert to_ben.told()["type"] == "new_booking"

        booking = book(nora, "tap")
        do(ben, booking, "accept")
        pay(nora, booking)
        do(nora, booking, "cancel")
        heard = [to_ben.told()["type"] for _ in range(3)]
        assert heard == ["new_booking", "payment_received", "booking_cancelled"]
        heard = [to_nora.told()["type"] for _ in range(3)]
        assert heard == ["booking_accepted", "payment_confirmed", "payment_refunded"]


def test_message_sent_by_the_helpers_arrives_unchanged(place, people):
    fact = {"message": "Your service was booked!", "timestamp": "2026-11-20T09:00:00Z"}
    asked = {"type": "new_booking", "bookingId": "abc123", "serviceName": "House Cleaning", "message": "New booking"}
    paid = {"type": "payment_received", "paymentId": "pay123", "amount": "150.00", "message": "Payment received"}

    async def send():
        async with AsyncBellcast(place.server.url, place.server.secret) as bell:
            await telling.send_to_user(bell, "nora", {"type": "notification", "data": fact})
            await telling.send_booking_update(bell, "nora", asked)
            await telling.send_payment_update(bell, "nora", paid)

    with live(place, people["nora"]) as to_nora:
        asyncio.run(send())
        general, booking, payment = (to_nora.told() for _ in range(3))
    assert (general["type"], general["title"], general["data"]) == ("notification", fact["message"], fact)
    assert (booking["title"], booking["body"]) == ("New booking", "House Cleaning")
    assert booking["data"] == asked | {"touches": ["booking:abc123"]}
    assert (payment["body"], payment["data"]) == ("€150.00", paid)


def test_notification_contains_no_private_details(place, people):
    with live(place, people["ben"]) as to_ben:
        booking = book(people["nora"])
        do(people["ben"], booking, "accept")
        pay(people["nora"], booking)
        told = json.dumps([to_ben.told(), to_ben.told()])
    for private in ("Canal Row", "under the pot", "4242"):
        assert private not in told


def test_notification_reaches_every_device(place, people):
    with live(place, people["ben"]) as laptop, place.visitor("ben") as other, live(place, other) as phone:
        book(people["nora"])
        assert laptop.told()["id"] == phone.told()["id"]


def test_reconnected_client_receives_missed_notifications(place, people):
    with live(place, people["ben"]) as to_ben:
        position = to_ben.ready["position"]
    booking = book(people["nora"])
    with live(place, people["ben"], position=position) as to_ben:
        assert to_ben.told()["data"]["bookingId"] == str(booking)


def test_open_pages_receive_changes_without_a_notification(place, people):
    booking = book(people["nora"])
    with live(place, people["ben"]) as to_ben:
        do(people["ben"], booking, "accept")
        assert to_ben.event("booking-changed") == {"bookingId": booking, "touches": [f"booking:{booking}"]}


# --- live connections


def test_ping_is_answered_and_heartbeats_fill_silence(place, people):
    with live(place, people["nora"]) as to_nora:
        to_nora.say("ping", ref="1")
        assert to_nora.next("pong")["ref"] == "1"
        assert to_nora.next("heartbeat")["time"]


def test_session_cookie_identifies_the_person_and_its_expiry(place, people):
    said = people["nora"].get("/api/bellcast-session").json()
    assert (said["recipient"], said["name"]) == ("nora", "Nora Achterberg")
    assert datetime.fromisoformat(said["expires_at"]) > datetime.now(UTC)
    with live(place, people["nora"]) as to_nora:
        assert to_nora.ready["recipient"] == "nora"


@pytest.mark.parametrize("cookie", [None, "gable=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "gable="])
def test_connection_without_a_session_is_refused(place, cookie):
    headers = {"Cookie": cookie} if cookie else {}
    with connect(place.live, origin=place.url, additional_headers=headers) as socket:
        code, said = Line(socket).end()
    assert (code, said["reason"]) == (4401, "unauthenticated")


def test_page_of_another_origin_cannot_use_the_cookie(place, people):
    cookie = f"gable={people['nora'].cookies['gable']}"
    with pytest.raises(InvalidStatus) as refused:
        connect(place.live, origin="https://elsewhere.example", additional_headers={"Cookie": cookie})
    assert refused.value.response.status_code == 403


def test_sign_out_closes_the_connection(place):
    with place.visitor("samir") as samir, live(place, samir) as to_samir:
        samir.post("/logout")
        code, said = to_samir.end()
        assert (code, said["reason"], said["reconnect"]) == (4401, "revoked", False)


def test_session_ended_on_one_device_continues_on_the_others(place):
    with place.visitor("lucia") as laptop, place.visitor("lucia") as phone:
        lost = phone.cookies["gable"]
        newest, *_ = re.findall(r'data-end="(\w+)"', laptop.get("/account").text)
        with live(place, phone) as to_phone:
            assert laptop.delete(f"/api/sessions/{newest}").status_code == 200
            assert to_phone.end()[0] == 4401
        assert phone.get("/api/session").status_code == 401
        with connect(place.live, origin=place.url, additional_headers={"Cookie": f"gable={lost}"}) as socket:
            assert Line(socket).end()[0] == 4401
        with live(place, laptop) as to_laptop:
            assert to_laptop.ready["recipient"] == "lucia"


def test_expired_session_closes_its_connection(tmp_path):
    # A session is long enough for the connection to open on a loaded machine.
    short = marketplace(tmp_path / "data", session=8, BELLCAST_HEARTBEAT="1")
    with short as place, place.visitor("nora") as nora, live(place, nora) as to_nora:
        code, said = to_nora.end()
        assert (code, said["reason"]) == (4402, "expired")
        assert nora.get("/api/session").status_code == 401
        assert nora.get("/bookings").headers["location"] == "/login"


def test_token_is_accepted_and_needs_a_session(place, people):
    token = people["nora"].get("/api/bellcast-token").json()["token"]
    with connect(f"{place.live}?token={token}", origin=place.url) as socket:
        assert Line(socket).next("ready")["recipient"] == "nora"
    with httpx.Client(base_url=place.url) as stranger:
        assert stranger.get("/api/bellcast-token").status_code == 401


def test_flood_closes_the_connection_and_allows_a_reconnect(place, people):
    with live(place, people["nora"]) as to_nora:
        with suppress(ConnectionClosed):
            for _ in range(2_000):
                to_nora.say("ping")
        assert to_nora.code() == 4429
    with live(place, people["nora"]) as to_nora:
        assert to_nora.ready["recipient"] == "nora"


# --- the chat


def test_chat_message_reaches_the_open_chat_encrypted(place, people):
    nora, ben = people["nora"], people["ben"]
    booking = book(nora)
    topic = ben.get(f"/api/bookings/{booking}/chat").json()["topic"]
    message = sealed(device(nora))
    with live(place, ben, topic=topic) as to_ben:
        assert write(nora, booking, message).status_code == 201
        heard = to_ben.event("chat-message")
    assert {name: heard[name] for name in message} == message
    assert (heard["sender"], heard["number"]) == ("nora", 1)
    [kept] = ben.get(f"/api/bookings/{booking}/chat").json()["messages"]
    assert kept == heard


def test_closed_chat_is_notified_once_until_it_is_read(place, people):
    nora, ben = people["nora"], people["ben"]
    with live(place, ben) as to_ben:
        booking = book(nora)
        assert to_ben.told()["type"] == "new_booking"
    key = device(nora)
    with live(place, ben) as to_ben:
        for _ in range(2):
            write(nora, booking, sealed(key))
            told = to_ben.told()
            assert (told["type"], told["title"]) == ("notification", "Nora wrote to you")
            number = write(nora, booking, sealed(key)).json()["number"]
            ben.post(f"/api/bookings/{booking}/read", json={"number": number})
        write(nora, booking, sealed(key))
        assert to_ben.told()["type"] == "notification"
        do(nora, booking, "cancel")
        assert to_ben.told()["type"] == "booking_cancelled"
    assert "1 new message" in ben.get("/bookings").text


def test_typing_and_reading_reach_the_other_side(place, people):
    nora, ben = people["nora"], people["ben"]
    booking = book(nora)
    topic = nora.get(f"/api/bookings/{booking}/chat").json()["topic"]
    ben.get(f"/api/bookings/{booking}/chat")
    with live(place, nora, topic=topic) as to_nora, live(place, ben, topic=topic) as to_ben:
        to_ben.say("typing", topic=topic, on=True)
        heard = to_nora.next("typing")
        assert (heard["recipient"], heard["on"]) == ("ben", True)
        write(nora, booking, sealed(device(nora)))
        to_ben.event("chat-message")
        ben.post(f"/api/bookings/{booking}/read", json={"number": 1})
        assert to_nora.event("chat-read") == {"person": "ben", "number": 1}


def test_repeated_chat_message_is_stored_once(people):
    nora, booking = people["nora"], book(people["nora"])
    message = sealed(device(nora))
    first, again = write(nora, booking, message), write(nora, booking, message)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(nora.get(f"/api/bookings/{booking}/chat").json()["messages"]) == 1


def test_chat_is_rate_limited(people):
    samir, booking = people["samir"], book(people["samir"])
    key = device(samir)
    answers = [write(samir, booking, sealed(key)) for _ in range(25)]
    assert [answer.status_code for answer in answers] == [201] * 20 + [429] * 5
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 10


def test_chat_is_open_to_its_two_members_only(place, people):
    booking = book(people["nora"])
    topic = people["nora"].get(f"/api/bookings/{booking}/chat").json()["topic"]
    samir = people["samir"]
    assert samir.get(f"/api/bookings/{booking}/chat").status_code == 404
    assert write(samir, booking, sealed(device(samir))).status_code == 404
    with live(place, samir, topic=topic) as to_samir:
        assert [one["topic"] for one in to_samir.ready["refused"]] == [topic]
        to_samir.say("subscribe", topics=[topic], ref="1")
        assert to_samir.next("error")["code"] == "forbidden"


def test_signed_out_device_receives_no_more_messages(people, place):
    booking = book(people["nora"])
    with place.visitor("ben") as phone:
        lost = device(phone)
        phone.post("/logout")
    kept = device(people["ben"])
    shown = people["nora"].get(f"/api/bookings/{booking}/chat").json()["devices"]
    here = {one["id"]: one["here"] for one in shown}
    assert (here[lost], here[kept]) == (False, True)


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
def test_unencrypted_message_is_refused(people, field, value):
    nora, booking = people["nora"], book(people["nora"])
    refused = write(nora, booking, sealed(device(nora)) | {field: value})
    assert refused.status_code == 422
    assert refused.json()["error"]
    assert nora.get(f"/api/bookings/{booking}/chat").json()["messages"] == []


# --- permissions


def test_action_needs_the_right_person_and_state(people):
    nora, samir, ben = people["nora"], people["samir"], people["ben"]
    booking = book(nora)
    assert do(samir, booking, "accept").status_code == 404
    assert do(nora, booking, "accept").status_code == 422
    assert pay(nora, booking).status_code == 422
    assert do(ben, booking, "vanish").status_code == 404
    do(ben, booking, "accept")
    assert do(ben, booking, "decline").status_code == 422
    assert pay(ben, booking).status_code == 422
    assert pay(nora, booking, "9999").status_code == 422
    pay(nora, booking)
    assert pay(nora, booking).status_code == 422
    assert nora.post(f"/api/bookings/{booking}/refund", json={}).status_code == 422


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"service": "magic"}, 422),
        ({"service": "tap", "starts_at": "soon", "address": "here"}, 422),
        ({"service": "tap", "starts_at": "2001-01-01T10:00", "address": "here"}, 422),
        ({"service": "tap", "starts_at": "2101-01-01T10:00", "address": " "}, 422),
        ({"service": "tap", "starts_at": "2101-01-01T10:00", "address": "x" * 501}, 422),
        ({"service": "tap", "starts_at": "2101-01-01T10:00", "address": 7}, 422),
        (b"{", 400),
        (b"[]", 422),
        (b'{"service": "' + b"x" * 20_000 + b'"}', 413),
    ],
)
def test_invalid_request_is_refused_with_a_reason(people, sent, status):
    content = sent if isinstance(sent, bytes) else json.dumps(sent)
    refused = people["nora"].post("/api/bookings", content=content, headers={"content-type": "application/json"})
    assert refused.status_code == status
    assert refused.json()["error"]


def test_page_of_another_site_changes_nothing(people):
    nora = people["nora"]
    forged = nora.post("/api/bookings", content=b"{}", headers={"content-type": "text/plain"})
    assert forged.status_code == 415
    for path in ("/logout", "/api/bookings"):
        assert nora.post(path, json={}, headers={"origin": "https://elsewhere.example"}).status_code == 403
    assert nora.get("/api/session").status_code == 200


def test_request_without_a_session_is_refused(place):
    with httpx.Client(base_url=place.url) as stranger:
        for path in ("/api/session", "/api/bellcast-session", "/api/bellcast-token", "/api/bookings/301/chat"):
            assert stranger.get(path).status_code == 401
        assert stranger.put("/api/device", json={"key": "A" * 87}).status_code == 401
        assert stranger.get("/bookings").headers["location"] == "/login"


def test_pages_run_only_their_own_scripts(place, people):
    for answer in (people["nora"].get("/bookings"), httpx.get(f"{place.url}/"), people["nora"].get("/nowhere")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<style" not in answer.text
        assert not re.search(r"\son\w+=|\sstyle=|<script(?![^>]* src=)", answer.text)


def test_pages_work_without_a_notification_server(place):
    with place.visitor("tomasz") as tomasz, place.visitor("nora") as nora:
        place.server.kill()
        try:
            booking = book(nora, "hedges")
            assert do(tomasz, booking, "accept").status_code == 200
            assert "Hedges and lawn" in tomasz.get("/bookings").text
            assert tomasz.get(f"/api/bookings/{booking}/chat").status_code == 200
            assert tomasz.get("/api/bellcast-token").status_code == 200  # signed without the server
        finally:
            place.server.start()
